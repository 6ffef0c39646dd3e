//! `PacketHandle`: read and write packets, with a burst cache inside.

use std::fmt;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::interface::{CLOSE_FLUSH, Inner};
use crate::packet::PacketBuf;
use crate::queue::{Burst, RxMode, RxQueue, TxQueue, Wait};
use crate::{Eof, Error, ErrorKind, LinkType, Packet, PacketSink, PacketSource};

/// Reads and writes packets on one queue of an interface.
///
/// | state | `read_packet` | `write_packet` |
/// |---|---|---|
/// | packets in the burst cache or on the ring | next packet, in order | – |
/// | link up, nothing to read | `Eof(Empty)` | – |
/// | link up, ring full | – | `Eof(Full)`, nothing sent |
/// | link down, packets left | next packet | `Eof(LinkDown)` |
/// | link down, drained | `Eof(LinkDown)` | `Eof(LinkDown)` |
/// | closed | cached packets, then `Eof(Closed)` for ever | `Eof(Closed)`, for ever |
/// | unknown queue, violation by the peer, system error | that error | that error |
///
/// After a reconnect the same handle works on.
///
/// ```
/// use memif::{Context, MemifConfig, Role};
/// use std::time::Duration;
///
/// let context = Context::new("doc")?;
/// let socket = format!("@memif-doc-handle-{}", std::process::id());
/// let master = context.create_interface(MemifConfig::new(&socket).role(Role::Master))?;
/// let slave = context.create_interface(MemifConfig::new(&socket))?;
/// slave.wait_link_up(None)?;
///
/// let mut to = slave.packet_handle(0, 64)?;
/// let mut from = master.packet_handle(0, 64)?;
/// to.write_packet(b"a packet")?;
/// let packet = from.read_packet_timeout(Some(Duration::from_secs(1)))?;
/// assert_eq!(packet.data(), b"a packet");
/// assert!(from.read_packet().unwrap_err().is_eof());
/// # Ok::<(), memif::Error>(())
/// ```
#[derive(Debug)]
pub struct PacketHandle {
    reader: PacketReader,
    writer: PacketWriter,
}

impl PacketHandle {
    pub(crate) fn new(
        inner: Arc<Inner>,
        queue: u16,
        rx: Option<RxQueue>,
        tx: Option<TxQueue>,
        rx_count: u16,
    ) -> Self {
        let closer = Closer(Arc::new(CloserState {
            inner,
            queue,
            closed: AtomicBool::new(false),
        }));
        Self {
            reader: PacketReader {
                queue: rx,
                burst: Burst::new(rx_count),
                next: 0,
                closer: closer.clone(),
            },
            writer: PacketWriter { queue: tx, closer },
        }
    }

    /// The next packet; valid until the next call. Never blocks.
    ///
    /// # Errors
    ///
    /// By the table above.
    #[inline]
    pub fn read_packet(&mut self) -> Result<Packet<'_>, Error> {
        self.reader.read_packet()
    }

    /// As [`read_packet`](Self::read_packet), waiting for a packet while the
    /// link is up. `None`: no limit; a time that is over is `Eof(Empty)`.
    ///
    /// # Errors
    ///
    /// By the table above.
    pub fn read_packet_timeout(&mut self, timeout: Option<Duration>) -> Result<Packet<'_>, Error> {
        self.reader.read_packet_timeout(timeout)
    }

    /// Waits until a packet can be read. `None`: no limit.
    ///
    /// # Errors
    ///
    /// [`Error::Memif`] when the system refuses, or the queue is unknown.
    pub fn wait(&mut self, timeout: Option<Duration>) -> Result<Wait, Error> {
        self.reader.wait(timeout)
    }

    /// A blocking iterator over packets of one's own. It ends when the handle
    /// is closed, or the link is down and drained.
    pub fn packets(&mut self) -> Packets<'_> {
        self.reader.packets()
    }

    /// Sends a packet. Never blocks.
    ///
    /// # Errors
    ///
    /// By the table above; [`Error::Config`] for an empty packet, and one larger than the ring.
    #[inline]
    pub fn write_packet(&mut self, packet: &[u8]) -> Result<(), Error> {
        self.writer.write_packet(packet)
    }

    /// Sends packets, in order. Never blocks. Returns how many were sent:
    /// fewer than given when the ring is full.
    ///
    /// # Errors
    ///
    /// By the table above, when none was sent.
    pub fn write_packets<T: AsRef<[u8]>>(&mut self, packets: &[T]) -> Result<usize, Error> {
        self.writer.write_packets(packets)
    }

    /// As [`write_packet`](Self::write_packet), waiting for room while the
    /// link is up. `None`: no limit; a time that is over is `Eof(Full)`.
    ///
    /// # Errors
    ///
    /// By the table above.
    pub fn write_packet_timeout(
        &mut self,
        packet: &[u8],
        timeout: Option<Duration>,
    ) -> Result<(), Error> {
        self.writer.write_packet_timeout(packet, timeout)
    }

    /// Waits until there is room to write, backing off up to 50 µs at a time.
    /// `None`: no limit.
    ///
    /// # Errors
    ///
    /// [`Error::Memif`] when the peer broke the protocol, or the queue is unknown.
    pub fn wait_writable(&mut self, timeout: Option<Duration>) -> Result<Wait, Error> {
        self.writer.wait_writable(timeout)
    }

    /// Waits until the peer has taken everything: `true`; `false` when the time is over.
    ///
    /// # Errors
    ///
    /// [`Eof::LinkDown`]: what the peer had not taken may be lost.
    pub fn flush(&mut self, timeout: Duration) -> Result<bool, Error> {
        self.writer.flush(timeout)
    }

    /// How waiting is done.
    ///
    /// # Errors
    ///
    /// [`Eof::Closed`] when the interface is closed.
    pub fn set_rx_mode(&mut self, mode: RxMode) -> Result<(), Error> {
        self.reader.set_rx_mode(mode)
    }

    /// Keeps at most this many bytes of packets read from now on; their
    /// [`length`](crate::CaptureInfo::length) still tells the truth. 0 means
    /// [`DEFAULT_SNAPLEN`](crate::DEFAULT_SNAPLEN). To be called while the cache is empty: what is in it is lost.
    pub fn set_snaplen(&mut self, bytes: u32) {
        self.reader.set_snaplen(bytes);
    }

    /// Whether the link is up.
    pub fn is_link_up(&self) -> bool {
        self.writer.closer.0.inner_is_up()
    }

    /// A small copyable thing that closes this handle from anywhere.
    pub fn closer(&self) -> Closer {
        self.reader.closer.clone()
    }

    /// Waits up to a second until the peer has taken what was sent, then closes the handle.
    /// Packets in the cache can still be read.
    pub fn close(&mut self) {
        if let Err(e) = self.flush(CLOSE_FLUSH)
            && !e.is_eof()
        {
            log::warn!("closing: {e}");
        }
        self.reader.closer.close();
    }

    /// The reading and the writing half, for two threads. Closing one closes both.
    pub fn split(self) -> (PacketReader, PacketWriter) {
        (self.reader, self.writer)
    }
}

impl PacketSource for PacketHandle {
    fn read_packet(&mut self) -> Result<Packet<'_>, Error> {
        self.reader.read_packet()
    }

    fn link_type(&self) -> LinkType {
        self.reader.link_type()
    }
}

/// [`flush`](PacketSink::flush) has nothing to do: every packet is published at once.
impl PacketSink for PacketHandle {
    fn write_packet(&mut self, packet: &Packet<'_>) -> Result<(), Error> {
        self.writer.write_packet(packet.data())
    }

    fn flush(&mut self) -> Result<(), Error> {
        Ok(())
    }
}

impl AsFd for PacketHandle {
    /// As of [`RxQueue`].
    ///
    /// # Panics
    ///
    /// When the handle has no receive queue.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.reader.as_fd()
    }
}

/// The reading half of a [`PacketHandle`], with its methods.
///
/// ```
/// # use memif::{Context, MemifConfig, Role};
/// # let context = Context::new("doc")?;
/// # let socket = format!("@memif-doc-split-{}", std::process::id());
/// # let memif = context.create_interface(MemifConfig::new(&socket).role(Role::Master))?;
/// let (mut reader, mut writer) = memif.packet_handle(0, 64)?.split();
/// let reading = std::thread::spawn(move || reader.packets().follow(true).count());
/// writer.close();
/// assert_eq!(reading.join().unwrap(), 0);
/// # Ok::<(), memif::Error>(())
/// ```
#[derive(Debug)]
pub struct PacketReader {
    queue: Option<RxQueue>,
    burst: Burst,
    /// The first packet of the burst that was not read yet.
    next: usize,
    closer: Closer,
}

impl PacketReader {
    /// See [`PacketHandle::read_packet`].
    #[inline]
    pub fn read_packet(&mut self) -> Result<Packet<'_>, Error> {
        if self.next >= self.burst.len() {
            self.fill()?;
        }
        let index = self.next;
        self.next += 1;
        match self.burst.get(index) {
            Some(packet) => Ok(packet),
            None => Err(Eof::Empty.into()), // `fill` leaves at least one
        }
    }

    /// See [`PacketHandle::read_packet_timeout`].
    pub fn read_packet_timeout(&mut self, timeout: Option<Duration>) -> Result<Packet<'_>, Error> {
        let deadline = timeout.and_then(|t| Instant::now().checked_add(t));
        // A wait tells of packets that, at a violation, turn out to be none: hence the loop.
        while self.next >= self.burst.len() {
            match self.fill() {
                Err(Error::Eof(Eof::Empty)) => {}
                result => {
                    result?;
                    break;
                }
            }
            let left = deadline.map(|d| d.saturating_duration_since(Instant::now()));
            match self.wait(left)? {
                Wait::TimedOut => return Err(Eof::Empty.into()),
                Wait::Ready | Wait::LinkDown | Wait::Closed => {}
            }
        }
        self.read_packet()
    }

    /// See [`PacketHandle::wait`].
    pub fn wait(&mut self, timeout: Option<Duration>) -> Result<Wait, Error> {
        self.wait_for(timeout, false)
    }

    /// See [`PacketHandle::packets`].
    pub fn packets(&mut self) -> Packets<'_> {
        Packets {
            reader: self,
            follow: false,
            ended: false,
        }
    }

    /// See [`PacketHandle::set_rx_mode`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn set_rx_mode(&mut self, mode: RxMode) -> Result<(), Error> {
        self.queue()?.set_rx_mode(mode)
    }

    /// See [`PacketHandle::set_snaplen`].
    pub fn set_snaplen(&mut self, bytes: u32) {
        let count = u16::try_from(self.burst.capacity()).unwrap_or(u16::MAX);
        self.burst = Burst::new(count).with_snaplen(bytes);
        self.next = 0;
    }

    /// See [`PacketHandle::closer`].
    pub fn closer(&self) -> Closer {
        self.closer.clone()
    }

    fn wait_for(&mut self, timeout: Option<Duration>, follow: bool) -> Result<Wait, Error> {
        if self.next < self.burst.len() {
            return Ok(Wait::Ready);
        }
        let closer = self.closer.clone();
        self.queue()?
            .wait_while(timeout, follow, || closer.is_closed())
    }

    /// Fills the empty cache with at least one packet.
    #[inline]
    fn fill(&mut self) -> Result<(), Error> {
        self.next = 0;
        self.burst.clear();
        if self.closer.is_closed() {
            return Err(Eof::Closed.into());
        }
        let Some(queue) = &mut self.queue else {
            return Err(self.closer.unknown("receive"));
        };
        match queue.rx_burst(&mut self.burst) {
            Ok(0) => Err(Eof::Empty.into()),
            Ok(_) => Ok(()),
            Err(e) => Err(e),
        }
    }

    fn queue(&mut self) -> Result<&mut RxQueue, Error> {
        match &mut self.queue {
            Some(queue) => Ok(queue),
            None => Err(self.closer.unknown("receive")),
        }
    }
}

impl PacketSource for PacketReader {
    fn read_packet(&mut self) -> Result<Packet<'_>, Error> {
        Self::read_packet(self)
    }

    fn link_type(&self) -> LinkType {
        self.closer.0.inner.config.mode.link_type()
    }
}

impl AsFd for PacketReader {
    /// As of [`RxQueue`].
    ///
    /// # Panics
    ///
    /// When the handle has no receive queue.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.queue
            .as_ref()
            .expect("the handle has a receive queue")
            .as_fd()
    }
}

/// The writing half of a [`PacketHandle`], with its methods.
///
/// ```
/// # use memif::{Context, Eof, MemifConfig, Role};
/// # let context = Context::new("doc")?;
/// # let socket = format!("@memif-doc-writer-{}", std::process::id());
/// # let memif = context.create_interface(MemifConfig::new(&socket).role(Role::Master))?;
/// let (_reader, mut writer) = memif.packet_handle(0, 64)?.split();
/// let error = writer.write_packet(b"nobody is there").unwrap_err();
/// assert_eq!(error.eof(), Some(Eof::LinkDown));
/// # Ok::<(), memif::Error>(())
/// ```
#[derive(Debug)]
pub struct PacketWriter {
    queue: Option<TxQueue>,
    closer: Closer,
}

impl PacketWriter {
    /// See [`PacketHandle::write_packet`].
    #[inline]
    pub fn write_packet(&mut self, packet: &[u8]) -> Result<(), Error> {
        match self.write_packets(&[packet]) {
            Ok(_) => Ok(()),
            Err(e) => Err(e),
        }
    }

    /// See [`PacketHandle::write_packets`].
    #[inline]
    pub fn write_packets<T: AsRef<[u8]>>(&mut self, packets: &[T]) -> Result<usize, Error> {
        if self.closer.is_closed() {
            return Err(Eof::Closed.into());
        }
        match self.queue()?.tx_burst(packets)? {
            0 if !packets.is_empty() => Err(Eof::Full.into()),
            sent => Ok(sent),
        }
    }

    /// See [`PacketHandle::write_packet_timeout`].
    pub fn write_packet_timeout(
        &mut self,
        packet: &[u8],
        timeout: Option<Duration>,
    ) -> Result<(), Error> {
        let closer = self.closer.clone();
        let packets = [packet];
        let sent = self.queue()?.retry(
            timeout,
            || closer.is_closed(),
            |queue| Ok((queue.tx_burst(&packets)? == 1).then_some(())),
        )?;
        match sent {
            Wait::Ready => Ok(()),
            Wait::TimedOut => Err(Eof::Full.into()),
            Wait::LinkDown => Err(Eof::LinkDown.into()),
            Wait::Closed => Err(Eof::Closed.into()),
        }
    }

    /// See [`PacketHandle::wait_writable`].
    pub fn wait_writable(&mut self, timeout: Option<Duration>) -> Result<Wait, Error> {
        let closer = self.closer.clone();
        self.queue()?.retry(
            timeout,
            || closer.is_closed(),
            |queue| Ok((queue.free_slots()? > 0).then_some(())),
        )
    }

    /// See [`PacketHandle::flush`].
    pub fn flush(&mut self, timeout: Duration) -> Result<bool, Error> {
        match &mut self.queue {
            Some(queue) => queue.flush(timeout),
            None => Ok(true),
        }
    }

    /// See [`PacketHandle::closer`].
    pub fn closer(&self) -> Closer {
        self.closer.clone()
    }

    /// See [`PacketHandle::close`].
    pub fn close(&mut self) {
        if let Err(e) = self.flush(CLOSE_FLUSH)
            && !e.is_eof()
        {
            log::warn!("closing: {e}");
        }
        self.closer.close();
    }

    fn queue(&mut self) -> Result<&mut TxQueue, Error> {
        match &mut self.queue {
            Some(queue) => Ok(queue),
            None => Err(self.closer.unknown("transmit")),
        }
    }
}

impl PacketSink for PacketWriter {
    fn write_packet(&mut self, packet: &Packet<'_>) -> Result<(), Error> {
        Self::write_packet(self, packet.data())
    }

    fn flush(&mut self) -> Result<(), Error> {
        Ok(())
    }
}

/// Blocking iterator over packets; see [`PacketHandle::packets`].
///
/// ```
/// # use memif::{Context, MemifConfig, Role};
/// # let context = Context::new("doc")?;
/// # let socket = format!("@memif-doc-packets-{}", std::process::id());
/// # let master = context.create_interface(MemifConfig::new(&socket).role(Role::Master))?;
/// # let slave = context.create_interface(MemifConfig::new(&socket))?;
/// # slave.wait_link_up(None)?;
/// # slave.packet_handle(0, 1)?.write_packet(b"a packet")?;
/// let mut handle = master.packet_handle(0, 64)?;
/// # master.wait_link_up(None)?;
/// for packet in handle.packets() {
///     println!("{} bytes", packet?.len());
/// #   break;
/// }
/// # Ok::<(), memif::Error>(())
/// ```
#[derive(Debug)]
pub struct Packets<'a> {
    reader: &'a mut PacketReader,
    follow: bool,
    ended: bool,
}

impl Packets<'_> {
    /// Whether to go on when the link is down, waiting for the next one.
    pub fn follow(mut self, reconnects: bool) -> Self {
        self.follow = reconnects;
        self
    }
}

impl Iterator for Packets<'_> {
    type Item = Result<PacketBuf, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.ended {
            match self.reader.read_packet() {
                Ok(packet) => return Some(Ok(packet.into())),
                Err(Error::Eof(Eof::Empty)) => {}
                Err(Error::Eof(Eof::LinkDown)) if self.follow => {}
                Err(Error::Eof(_)) => break,
                Err(e) => {
                    // A violation ends the link only; the rest would come again and again.
                    self.ended = e.kind() != ErrorKind::MalformedMessage;
                    return Some(Err(e));
                }
            }
            if let Err(e) = self.reader.wait_for(None, self.follow) {
                self.ended = true;
                return Some(Err(e));
            }
        }
        self.ended = true;
        None
    }
}

/// Closes a [`PacketHandle`] from another thread, and wakes it when it waits.
///
/// ```
/// # use memif::{Context, Eof, MemifConfig, Role, Wait};
/// # let context = Context::new("doc")?;
/// # let socket = format!("@memif-doc-closer-{}", std::process::id());
/// # let memif = context.create_interface(MemifConfig::new(&socket).role(Role::Master))?;
/// let mut handle = memif.packet_handle(0, 64)?;
/// let closer = handle.closer();
/// std::thread::spawn(move || closer.close());
/// assert_eq!(handle.packets().follow(true).count(), 0);
/// assert_eq!(handle.read_packet().unwrap_err().eof(), Some(Eof::Closed));
/// # Ok::<(), memif::Error>(())
/// ```
#[derive(Clone)]
pub struct Closer(Arc<CloserState>);

struct CloserState {
    inner: Arc<Inner>,
    queue: u16,
    closed: AtomicBool,
}

impl CloserState {
    fn inner_is_up(&self) -> bool {
        crate::Memif::from_inner(Arc::clone(&self.inner)).is_link_up()
    }
}

impl Closer {
    /// Closes the handle: reads and writes in progress finish first, packets
    /// in the cache are still delivered. Does not wait, and does not end the link.
    pub fn close(&self) {
        self.0.closed.store(true, Ordering::Release);
        if let Ok(conn) = self.0.inner.conn() {
            conn.rx_wake(self.0.queue);
        }
    }

    /// Whether it is closed.
    #[inline]
    pub fn is_closed(&self) -> bool {
        self.0.closed.load(Ordering::Acquire)
    }

    fn unknown(&self, direction: &str) -> Error {
        let doing = format!("{direction} queue {}", self.0.queue);
        self.0.inner.error(ErrorKind::UnknownQueue.code(), &doing)
    }
}

impl fmt::Debug for Closer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Closer")
            .field("interface", &self.0.inner)
            .field("queue", &self.0.queue)
            .field("closed", &self.is_closed())
            .finish()
    }
}

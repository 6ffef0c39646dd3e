//! The reading half of a handle, with its cache of a burst.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::error::{Eof, Error, ErrorKind};
use crate::ffi::Waker;
use crate::link::Link;
use crate::link::rx_mode::RxMode;
use crate::packet::Packet;
use crate::packet::link_type::LinkType;
use crate::packet::source::PacketSource;
use crate::queue::{Burst, BurstIter, Closer, RxQueue, Wait};

/// The reading half of a [`PacketHandle`](super::PacketHandle).
///
/// ```
/// # use memif::{Context, MemifConfig, Role};
/// # let context = Context::new("doc")?;
/// # let socket = format!("@memif-doc-split-{}", std::process::id());
/// # let memif = context.create_interface(MemifConfig::new(&socket).role(Role::Master))?;
/// let (mut reader, mut writer) = memif.packet_handle(0)?.split();
/// let reading = std::thread::spawn(move || reader.packets().follow(true).count());
/// writer.close()?;
/// assert_eq!(reading.join().unwrap(), 0);
/// # Ok::<(), memif::Error>(())
/// ```
#[derive(Debug)]
pub struct PacketReader {
    queue: Receiving,
    burst: Burst,
    /// Index of the first packet of the burst that has not been read.
    next: usize,
    link: Arc<Link>,
    id: u8,
    closer: Closer,
}

#[derive(Debug)]
enum Receiving {
    Queue(RxQueue),
    /// The handle only writes. Poll loops get a descriptor anyway.
    Never(Waker),
}

/// How many packets a handle takes from the ring at a time, unless told otherwise.
const BURST: u16 = 64;

impl PacketReader {
    pub(super) fn new(queue: Option<RxQueue>, link: Arc<Link>, id: u8) -> Result<Self, Error> {
        let refused = |e| Error::io(format!("making a handle of {link:?}"), e);
        let (closer, queue) = match queue {
            Some(queue) => (queue.closer(), Receiving::Queue(queue)),
            None => {
                let waker = Waker::new().map_err(refused)?;
                (Closer::new(&link, id), Receiving::Never(waker))
            }
        };
        Ok(Self {
            queue,
            burst: Burst::new(BURST),
            next: 0,
            link,
            id,
            closer,
        })
    }

    /// Returns the next packet, which is valid until the next call. Never blocks.
    ///
    /// # Errors
    ///
    /// [`Eof::Empty`] if no packet is waiting, [`Eof::LinkDown`] if the link is down and drained,
    /// [`Eof::Closed`] if the handle is closed and its cache is empty. [`Error::Memif`] if the
    /// handle has no receive queue, or, once, if the peer broke the protocol.
    #[inline]
    pub fn read_packet(&mut self) -> Result<Packet<'_>, Error> {
        self.prepare()?;
        let index = self.next;
        self.next += 1;
        match self.burst.stored(index) {
            Some(packet) => Ok(packet),
            None => Err(none()), // `prepare` leaves at least one
        }
    }

    /// Returns the packets that have been taken from the ring and not been read, at least one. They
    /// are valid until the next call. Never blocks.
    ///
    /// # Errors
    ///
    /// As for [`read_packet`](Self::read_packet).
    pub fn read_burst(&mut self) -> Result<BurstIter<'_>, Error> {
        self.prepare()?;
        let first = std::mem::replace(&mut self.next, self.burst.len());
        Ok(self.burst.iter_from(first))
    }

    /// Returns the next packet, and blocks until there is one while the link is up. `None` means no
    /// timeout.
    ///
    /// # Errors
    ///
    /// As for [`read_packet`](Self::read_packet), with [`Error::TimedOut`] in place of `Empty`.
    pub fn read_packet_timeout(&mut self, timeout: Option<Duration>) -> Result<Packet<'_>, Error> {
        let deadline = timeout.and_then(|t| Instant::now().checked_add(t));
        // A loop, because after a violation a wait may report packets although there are none.
        while self.next >= self.burst.len() {
            match self.fill() {
                Err(Error::Eof(Eof::Empty)) => {}
                result => {
                    result?;
                    break;
                }
            }
            let left = deadline.map(|d| d.saturating_duration_since(Instant::now()));
            let _ = self.wait(left)?; // the next read says it all
        }
        self.read_packet()
    }

    /// Blocks until a packet can be read, the link is down and drained, or the handle is closed.
    /// `None` means no timeout.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`]. [`Error::Memif`] if the system can't wait, or if the handle has no
    /// receive queue.
    pub fn wait(&mut self, timeout: Option<Duration>) -> Result<Wait, Error> {
        self.wait_for(timeout, false)
    }

    /// Like [`wait`](Self::wait), but sleeps also while the link is down: it never ends with
    /// [`Wait::LinkDown`].
    ///
    /// # Errors
    ///
    /// As for [`wait`](Self::wait).
    pub fn wait_following(&mut self, timeout: Option<Duration>) -> Result<Wait, Error> {
        self.wait_for(timeout, true)
    }

    /// Sets how reads wait for packets; [`RxMode::Interrupt`] by default. It stays in effect over
    /// reconnects.
    ///
    /// # Errors
    ///
    /// [`Error::Memif`] if the handle has no receive queue.
    pub fn set_rx_mode(&mut self, mode: RxMode) -> Result<(), Error> {
        self.queue()?.set_rx_mode(mode)
    }

    /// Sets how many packets are taken from the ring at a time, at least 1; 64 by default. To be
    /// called before packets are read: those in the cache are lost.
    #[must_use]
    pub fn with_burst(mut self, packets: u16) -> Self {
        self.burst = self.burst.with_capacity(packets);
        self.next = 0;
        self
    }

    /// Sets the snap length: how many bytes are kept of each packet, at least 1;
    /// [`DEFAULT_SNAPLEN`](crate::DEFAULT_SNAPLEN) by default. The
    /// [`length`](crate::CaptureInfo::length) is still that of the whole packet. To be called
    /// before packets are read: those in the cache are lost.
    #[must_use]
    pub fn with_snaplen(mut self, bytes: u32) -> Self {
        self.burst = self.burst.with_snaplen(bytes);
        self.next = 0;
        self
    }

    /// Whether packets get the time when they were taken from the ring; `true` by default. See
    /// [`Burst::with_timestamps`].
    #[must_use]
    pub fn with_timestamps(mut self, timestamps: bool) -> Self {
        self.burst = self.burst.with_timestamps(timestamps);
        self
    }

    /// Whether the link is up. Never blocks.
    pub fn is_link_up(&self) -> bool {
        self.link.is_up()
    }

    /// Returns a [`Closer`], which closes both halves of the handle from another thread.
    pub fn closer(&self) -> Closer {
        self.closer.clone()
    }

    /// Closes both halves of the handle, without a wait for what was sent. Packets in the cache can
    /// still be read.
    pub fn close(&mut self) {
        self.closer.close();
    }

    /// Whether the handle can read at all. It can't if its queue exists only for sending.
    #[cfg(feature = "tokio")]
    pub(crate) fn has_queue(&self) -> bool {
        matches!(self.queue, Receiving::Queue(_))
    }

    /// Makes sure that the next `read_packet` has a packet. Never blocks.
    #[inline]
    pub(crate) fn prepare(&mut self) -> Result<(), Error> {
        if self.next < self.burst.len() {
            return Ok(());
        }
        self.fill()
    }

    pub(super) fn wait_for(
        &mut self,
        timeout: Option<Duration>,
        follow: bool,
    ) -> Result<Wait, Error> {
        if self.next < self.burst.len() {
            return Ok(Wait::Ready);
        }
        self.queue()?.wait_for(timeout, follow)
    }

    /// Fills the empty cache with at least one packet. A function of its own, so that reading from
    /// the cache is inlined.
    #[inline(never)]
    fn fill(&mut self) -> Result<(), Error> {
        self.next = 0;
        self.burst.clear();
        if self.closer.is_closed() {
            return Err(Eof::Closed.into());
        }
        let Receiving::Queue(queue) = &mut self.queue else {
            return Err(unknown(&self.link, "receive", self.id));
        };
        match queue.receive(&mut self.burst) {
            Ok(0) => Err(Eof::Empty.into()),
            Ok(_) => Ok(()),
            Err(e) => Err(e),
        }
    }

    fn queue(&mut self) -> Result<&mut RxQueue, Error> {
        match &mut self.queue {
            Receiving::Queue(queue) => Ok(queue),
            Receiving::Never(_) => Err(unknown(&self.link, "receive", self.id)),
        }
    }
}

/// Not in line: where the compiler knows which error it is, it keeps all packets in memory.
#[cold]
#[inline(never)]
fn none() -> Error {
    Eof::Empty.into()
}

/// A queue that a handle does not have.
pub(super) fn unknown(link: &Link, direction: &str, queue: u8) -> Error {
    link.error(
        ErrorKind::UnknownQueue,
        &format!("{direction} queue {queue}"),
    )
}

impl PacketSource for PacketReader {
    fn read_packet(&mut self) -> Result<Packet<'_>, Error> {
        Self::read_packet(self)
    }

    fn link_type(&self) -> LinkType {
        self.link.config.mode.link_type()
    }
}

impl AsFd for PacketReader {
    /// The descriptor of the handle's [`RxQueue`]; see [there](RxQueue#impl-AsFd-for-RxQueue) how
    /// to use it. Without a receive queue, a descriptor that never becomes readable.
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.queue {
            Receiving::Queue(queue) => queue.as_fd(),
            Receiving::Never(waker) => waker.as_fd(),
        }
    }
}

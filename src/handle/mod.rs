//! `PacketHandle`: reads and writes packets one by one, with a cache of a burst.

mod halves;
mod packets;
mod read;
mod write;

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::Duration;

pub use self::halves::ReuniteError;
pub use self::packets::Packets;
pub use self::read::PacketReader;
pub use self::write::PacketWriter;
use crate::error::Error;
use crate::interface::Memif;
use crate::link::Link;
use crate::link::rx_mode::RxMode;
use crate::packet::Packet;
use crate::packet::link_type::LinkType;
use crate::packet::source::{PacketSink, PacketSource};
use crate::queue::{Burst, BurstIter, Closer, RxQueue, TxQueue, Wait};

/// Reads and writes packets on one queue of an interface.
///
/// | state | `read_packet` | `write_packet` |
/// |---|---|---|
/// | packets in the cache or on the ring | next packet, in order | – |
/// | link up, nothing to read | `Eof(Empty)` | – |
/// | link up, ring full | – | `Full`, nothing sent |
/// | link down, packets left | next packet | `Eof(LinkDown)` |
/// | link down, drained | `Eof(LinkDown)` | `Eof(LinkDown)` |
/// | closed | packets in the cache, then `Eof(Closed)` | `Eof(Closed)` |
/// | unknown queue, the peer broke the protocol, system error | that error | that error |
///
/// Reading ends as gopacket's does: an [end of file](crate::Eof) means that there is nothing more
/// for now, or for good. A full ring is no end, but [`Error::Full`], so that a loop which leaves at
/// an end of file goes on writing.
///
/// After a reconnect, the same handle continues to work on the new link.
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
/// let mut to = slave.packet_handle(0)?;
/// let mut from = master.packet_handle(0)?;
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
    fn new(
        link: Arc<Link>,
        queue: u8,
        rx: Option<RxQueue>,
        tx: Option<TxQueue>,
    ) -> Result<Self, Error> {
        let reader = PacketReader::new(rx, Arc::clone(&link), queue)?;
        let closer = reader.closer();
        Ok(Self {
            reader,
            writer: PacketWriter::new(tx, link, queue, closer),
        })
    }

    /// Sets how many packets are taken from the ring at a time, at least 1; 64 by default. To be
    /// called before packets are read: those in the cache are lost.
    #[must_use]
    pub fn with_burst(mut self, packets: u16) -> Self {
        self.reader = self.reader.with_burst(packets);
        self
    }

    /// Sets the snap length: how many bytes are kept of each packet, at least 1;
    /// [`DEFAULT_SNAPLEN`](crate::DEFAULT_SNAPLEN) by default. The
    /// [`length`](crate::CaptureInfo::length) is still that of the whole packet. To be called
    /// before packets are read: those in the cache are lost.
    #[must_use]
    pub fn with_snaplen(mut self, bytes: u32) -> Self {
        self.reader = self.reader.with_snaplen(bytes);
        self
    }

    /// Whether packets get the time when they were taken from the ring; `true` by default. See
    /// [`Burst::with_timestamps`].
    #[must_use]
    pub fn with_timestamps(mut self, timestamps: bool) -> Self {
        self.reader = self.reader.with_timestamps(timestamps);
        self
    }

    /// Returns the next packet, which is valid until the next call. Never blocks.
    ///
    /// # Errors
    ///
    /// See the [table above](PacketHandle): [`Error::Eof`] with the reason if there is no packet,
    /// for now or for good.
    #[inline]
    pub fn read_packet(&mut self) -> Result<Packet<'_>, Error> {
        self.reader.read_packet()
    }

    /// Returns the packets that have been taken from the ring and not been read, at least one. They
    /// are valid until the next call. Never blocks.
    ///
    /// # Errors
    ///
    /// As for [`read_packet`](Self::read_packet).
    pub fn read_burst(&mut self) -> Result<BurstIter<'_>, Error> {
        self.reader.read_burst()
    }

    /// Returns the next packet, and blocks until there is one while the link is up. `None` means no
    /// timeout.
    ///
    /// # Errors
    ///
    /// As for [`read_packet`](Self::read_packet), with [`Error::TimedOut`] in place of
    /// `Eof(Empty)`.
    pub fn read_packet_timeout(&mut self, timeout: Option<Duration>) -> Result<Packet<'_>, Error> {
        self.reader.read_packet_timeout(timeout)
    }

    /// Blocks until a packet can be read, the link is down and drained, or the handle is closed.
    /// `None` means no timeout.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`]. [`Error::Memif`] if the system can't wait, or if the handle has no
    /// receive queue.
    pub fn wait(&mut self, timeout: Option<Duration>) -> Result<Wait, Error> {
        self.reader.wait(timeout)
    }

    /// Like [`wait`](Self::wait), but sleeps also while the link is down: it never ends with
    /// [`Wait::LinkDown`].
    ///
    /// # Errors
    ///
    /// As for [`wait`](Self::wait).
    pub fn wait_following(&mut self, timeout: Option<Duration>) -> Result<Wait, Error> {
        self.reader.wait_following(timeout)
    }

    /// A blocking iterator over owned packets. It ends when the handle is closed, or when the link
    /// is down and every packet that had arrived has been read.
    pub fn packets(&mut self) -> Packets<'_> {
        self.reader.packets()
    }

    /// Sends a packet. Never blocks.
    ///
    /// # Errors
    ///
    /// See the [table above](PacketHandle). [`Error::EmptyPacket`] or [`Error::TooLong`] for a
    /// packet that can never be sent.
    #[inline]
    pub fn write_packet(&mut self, packet: &[u8]) -> Result<(), Error> {
        self.writer.write_packet(packet)
    }

    /// Sends packets in order. Returns how many were sent, which are fewer than given if the ring
    /// is full. Never blocks.
    ///
    /// # Errors
    ///
    /// As for [`write_packet`](Self::write_packet), if no packet was sent.
    pub fn write_packets<T: AsRef<[u8]>>(&mut self, packets: &[T]) -> Result<usize, Error> {
        self.writer.write_packets(packets)
    }

    /// Sends the packets of a burst, from the one with index `first` on. Returns how many were
    /// sent. Never blocks.
    ///
    /// # Errors
    ///
    /// As for [`write_packet`](Self::write_packet), if no packet was sent.
    pub fn forward(&mut self, burst: &Burst, first: usize) -> Result<usize, Error> {
        self.writer.forward(burst, first)
    }

    /// Sends a packet, and blocks until there is room for it while the link is up. `None` means no
    /// timeout.
    ///
    /// # Errors
    ///
    /// As for [`write_packet`](Self::write_packet), with [`Error::TimedOut`] in place of `Full`.
    pub fn write_packet_timeout(
        &mut self,
        packet: &[u8],
        timeout: Option<Duration>,
    ) -> Result<(), Error> {
        self.writer.write_packet_timeout(packet, timeout)
    }

    /// Blocks until a packet of `length` bytes can be sent, the link is down, or the handle is
    /// closed. `None` means no timeout. The protocol has no event for free slots, so it tries again
    /// after pauses of up to 50 µs.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`]. [`Error::EmptyPacket`] or [`Error::TooLong`] if no such packet can ever
    /// be sent. [`Error::Memif`] if the peer broke the protocol, or if the handle has no transmit
    /// queue.
    pub fn wait_writable(
        &mut self,
        length: usize,
        timeout: Option<Duration>,
    ) -> Result<Wait, Error> {
        self.writer.wait_writable(length, timeout)
    }

    /// Blocks until the peer has read everything. It tries again after pauses of up to 50 µs.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`]. [`Eof::LinkDown`](crate::Eof::LinkDown) if the link went down before.
    /// Packets that the peer had not read may be lost.
    pub fn flush(&mut self, timeout: Duration) -> Result<(), Error> {
        self.writer.flush(timeout)
    }

    /// The number of slots that the peer has not read yet, see
    /// [`TxQueue::pending_slots`](crate::TxQueue::pending_slots).
    ///
    /// # Errors
    ///
    /// [`Eof::LinkDown`](crate::Eof::LinkDown) or [`Eof::Closed`](crate::Eof::Closed) if the link
    /// is down or the handle closed.
    pub fn pending_slots(&self) -> Result<usize, Error> {
        self.writer.pending_slots()
    }

    /// Sets how reads wait for packets; [`RxMode::Interrupt`] by default. It stays in effect over
    /// reconnects.
    ///
    /// # Errors
    ///
    /// [`Error::Memif`] if the handle has no receive queue.
    pub fn set_rx_mode(&mut self, mode: RxMode) -> Result<(), Error> {
        self.reader.set_rx_mode(mode)
    }

    /// Whether the link is up. Never blocks.
    pub fn is_link_up(&self) -> bool {
        self.writer.is_link_up()
    }

    /// Returns a [`Closer`], which closes this handle from another thread.
    pub fn closer(&self) -> Closer {
        self.reader.closer()
    }

    /// Blocks up to a second until the peer has read what was sent, then closes the handle. Packets
    /// in the cache can still be read. The interface and its link stay.
    ///
    /// # Errors
    ///
    /// As for [`flush`](Self::flush). The handle is closed all the same.
    pub fn close(&mut self) -> Result<(), Error> {
        self.writer.close()
    }
}

impl PacketHandle {
    /// Splits the handle into a reading and a writing half, for two threads. Closing one half
    /// closes both.
    pub fn split(self) -> (PacketReader, PacketWriter) {
        (self.reader, self.writer)
    }
}

impl PacketReader {
    /// Makes one handle of the two halves again.
    ///
    /// # Errors
    ///
    /// Both halves, if they are not of the same handle.
    ///
    /// ```
    /// # use memif::{Context, MemifConfig, Role};
    /// # let context = Context::new("doc")?;
    /// # let socket = format!("@memif-doc-reunite-{}", std::process::id());
    /// # let memif = context.create_interface(MemifConfig::new(&socket).role(Role::Master))?;
    /// let (reader, writer) = memif.packet_handle(0)?.split();
    /// let handle = reader.reunite(writer).expect("they belong together");
    /// # drop(handle);
    /// # Ok::<(), memif::Error>(())
    /// ```
    // Whoever gives away both halves gets both back.
    #[allow(clippy::result_large_err)]
    pub fn reunite(self, writer: PacketWriter) -> Result<PacketHandle, ReuniteError> {
        if !self.closer().is_same(&writer.closer()) {
            return Err(ReuniteError(self, writer));
        }
        Ok(PacketHandle {
            reader: self,
            writer,
        })
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

/// [`flush`](PacketSink::flush) does nothing, because every packet is published at once.
impl PacketSink for PacketHandle {
    fn write_packet(&mut self, packet: &Packet<'_>) -> Result<(), Error> {
        self.writer.write_packet(packet.data())
    }

    fn flush(&mut self) -> Result<(), Error> {
        Ok(())
    }
}

impl AsFd for PacketHandle {
    /// The descriptor of the handle's [`RxQueue`]; see [there](RxQueue#impl-AsFd-for-RxQueue) how
    /// to use it. Without a receive queue, a descriptor that never becomes readable.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.reader.as_fd()
    }
}

impl Memif {
    /// Creates a handle that reads and writes packets, on the receive queue and the transmit queue
    /// with this id.
    ///
    /// # Errors
    ///
    /// [`Error::Memif`]: [`UnknownQueue`](crate::ErrorKind::UnknownQueue) for an id that is not
    /// configured in either direction, [`Exists`](crate::ErrorKind::Exists) if a queue has another
    /// owner. If the id exists in one direction only, the handle can only read or only write.
    /// [`Error::Io`] if the system has no descriptor left for a handle that only writes.
    pub fn packet_handle(&self, queue: u8) -> Result<PacketHandle, Error> {
        let link = self.link();
        let (rx_queues, tx_queues) = (link.config.rx_queues(), link.config.tx_queues());
        let rx = (queue < rx_queues || queue >= tx_queues).then(|| self.rx_queue(queue));
        let tx = (queue < tx_queues).then(|| self.tx_queue(queue));
        PacketHandle::new(Arc::clone(link), queue, rx.transpose()?, tx.transpose()?)
    }
}

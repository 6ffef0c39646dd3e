//! `PacketHandle`: read and write packets, with a burst cache inside.

mod closer;
mod packets;
mod read;
mod write;

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::Duration;

pub use self::closer::Closer;
pub use self::packets::Packets;
pub use self::read::PacketReader;
pub use self::write::PacketWriter;
use crate::error::Error;
use crate::interface::Memif;
use crate::link::rx_mode::RxMode;
use crate::link::{CLOSE_FLUSH, Link};
use crate::packet::Packet;
use crate::packet::link_type::LinkType;
use crate::packet::source::{PacketSink, PacketSource};
use crate::queue::{RxQueue, TxQueue, Wait};

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
    fn new(
        link: Arc<Link>,
        queue: u16,
        rx: Option<RxQueue>,
        tx: Option<TxQueue>,
        rx_count: u16,
    ) -> Result<Self, Error> {
        let closer = Closer::new(link, queue);
        Ok(Self {
            reader: PacketReader::new(rx, rx_count, closer.clone())?,
            writer: PacketWriter::new(tx, closer),
        })
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

    /// Waits until the peer has taken everything, backing off up to 50 µs at a time: `true`; `false`
    /// when the time is over.
    ///
    /// # Errors
    ///
    /// [`Eof::LinkDown`](crate::Eof::LinkDown): what the peer had not taken may be lost.
    pub fn flush(&mut self, timeout: Duration) -> Result<bool, Error> {
        self.writer.flush(timeout)
    }

    /// How waiting is done: [`RxMode::Interrupt`] unless set. Holds over reconnects.
    ///
    /// # Errors
    ///
    /// [`Error::Memif`] when the handle has no receive queue.
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
        self.writer.is_link_up()
    }

    /// A small cloneable thing that closes this handle from anywhere.
    pub fn closer(&self) -> Closer {
        self.reader.closer()
    }

    /// Waits up to a second until the peer has taken what was sent, then closes the handle.
    /// Packets in the cache can still be read.
    pub fn close(&mut self) {
        if let Err(e) = self.flush(CLOSE_FLUSH)
            && !e.is_eof()
        {
            log::warn!("closing: {e}");
        }
        self.reader.closer().close();
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
    /// As of [`RxQueue`]; where the handle has no receive queue one that never becomes readable.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.reader.as_fd()
    }
}

impl Memif {
    /// A handle that reads and writes packets, on the receive and the transmit
    /// queue with this id. `rx_count` is the burst that fills its cache (at least 1).
    ///
    /// # Errors
    ///
    /// As [`rx_queue`](Self::rx_queue). A queue that exists in one direction
    /// only is no error: the handle then can't do the other. [`Error::Io`] when the system has no
    /// descriptor left for a handle that only writes.
    pub fn packet_handle(&self, queue: u16, rx_count: u16) -> Result<PacketHandle, Error> {
        let link = self.link();
        let (rx_queues, tx_queues) = (link.config.rx_queues, link.config.tx_queues);
        let rx = (queue < rx_queues || queue >= tx_queues).then(|| self.rx_queue(queue));
        let tx = (queue < tx_queues).then(|| self.tx_queue(queue));
        PacketHandle::new(
            Arc::clone(link),
            queue,
            rx.transpose()?,
            tx.transpose()?,
            rx_count,
        )
    }
}

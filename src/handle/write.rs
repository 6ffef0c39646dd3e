//! The writing half of a handle.

use std::sync::Arc;
use std::time::Duration;

use super::read::unknown;
use crate::error::{Eof, Error};
use crate::link::{CLOSE_FLUSH, Link};
use crate::packet::Packet;
use crate::packet::source::PacketSink;
use crate::queue::{Burst, Closer, TxQueue, Wait};

/// The writing half of a [`PacketHandle`](super::PacketHandle).
///
/// ```
/// # use memif::{Context, Eof, MemifConfig, Role};
/// # let context = Context::new("doc")?;
/// # let socket = format!("@memif-doc-writer-{}", std::process::id());
/// # let memif = context.create_interface(MemifConfig::new(&socket).role(Role::Master))?;
/// let (_reader, mut writer) = memif.packet_handle(0)?.split();
/// let error = writer.write_packet(b"nobody is there").unwrap_err();
/// assert_eq!(error.eof(), Some(Eof::LinkDown));
/// # Ok::<(), memif::Error>(())
/// ```
#[derive(Debug)]
pub struct PacketWriter {
    queue: Option<TxQueue>,
    link: Arc<Link>,
    id: u8,
    closer: Closer,
}

impl PacketWriter {
    pub(super) fn new(queue: Option<TxQueue>, link: Arc<Link>, id: u8, closer: Closer) -> Self {
        Self {
            queue,
            link,
            id,
            closer,
        }
    }

    /// Sends a packet. Never blocks.
    ///
    /// # Errors
    ///
    /// [`Error::Full`] if the ring is full, [`Eof::LinkDown`] if the link is down, [`Eof::Closed`]
    /// if the handle is closed; the packet was not sent. [`Error::EmptyPacket`] or
    /// [`Error::TooLong`] for a packet that can never be sent. [`Error::Memif`] if the handle has
    /// no transmit queue, or, once, if the peer broke the protocol.
    #[inline]
    pub fn write_packet(&mut self, packet: &[u8]) -> Result<(), Error> {
        match self.write_packets(&[packet]) {
            Ok(_) => Ok(()),
            Err(e) => Err(e),
        }
    }

    /// Sends packets in order. Returns how many were sent, which are fewer than given if the ring
    /// is full. Never blocks.
    ///
    /// # Errors
    ///
    /// As for [`write_packet`](Self::write_packet), if no packet was sent.
    #[inline]
    pub fn write_packets<T: AsRef<[u8]>>(&mut self, packets: &[T]) -> Result<usize, Error> {
        if self.closer.is_closed() {
            return Err(Eof::Closed.into());
        }
        match self.queue()?.tx_burst(packets)? {
            0 if !packets.is_empty() => Err(Error::Full),
            sent => Ok(sent),
        }
    }

    /// Sends the packets of a burst, from the one with index `first` on. Returns how many were
    /// sent. Never blocks.
    ///
    /// # Errors
    ///
    /// As for [`write_packet`](Self::write_packet), if no packet was sent.
    pub fn forward(&mut self, burst: &Burst, first: usize) -> Result<usize, Error> {
        if self.closer.is_closed() {
            return Err(Eof::Closed.into());
        }
        match self.queue()?.forward(burst, first)? {
            0 if first < burst.len() => Err(Error::Full),
            sent => Ok(sent),
        }
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
        let closer = self.closer.clone();
        let packets = [packet];
        let sent = self.queue()?.retry(
            timeout,
            || closer.is_closed(),
            |queue| Ok((queue.tx_burst(&packets)? == 1).then_some(())),
        )?;
        sent.ready()
    }

    /// Blocks until a packet of `length` bytes can be sent, the link is down, or the handle is
    /// closed. `None` means no timeout. It tries again after pauses of up to 50 µs.
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
        let closer = self.closer.clone();
        self.queue()?
            .wait_writable_while(length, timeout, || closer.is_closed())
    }

    /// Blocks until the peer has read everything. It tries again after pauses of up to 50 µs.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`]. [`Eof::LinkDown`] if the link went down before. Packets that the peer
    /// had not read may be lost.
    pub fn flush(&mut self, timeout: Duration) -> Result<(), Error> {
        match &mut self.queue {
            Some(queue) => queue.flush(timeout),
            None => Ok(()),
        }
    }

    /// The number of slots that the peer has not read yet, see [`TxQueue::pending_slots`].
    ///
    /// # Errors
    ///
    /// [`Eof::LinkDown`] or [`Eof::Closed`] if the link is down or the handle closed.
    pub fn pending_slots(&self) -> Result<usize, Error> {
        match &self.queue {
            Some(queue) => queue.pending_slots(),
            None => Err(Eof::Closed.into()),
        }
    }

    /// Returns a [`Closer`], which closes both halves of the handle from another thread.
    pub fn closer(&self) -> Closer {
        self.closer.clone()
    }

    /// Blocks up to a second until the peer has read what was sent, then closes both halves of the
    /// handle. Packets in the reader's cache can still be read.
    ///
    /// # Errors
    ///
    /// As for [`flush`](Self::flush). The handle is closed all the same.
    pub fn close(&mut self) -> Result<(), Error> {
        let flushed = self.flush(CLOSE_FLUSH);
        self.closer.close();
        flushed
    }

    /// Whether the link is up. Never blocks.
    pub fn is_link_up(&self) -> bool {
        self.link.is_up()
    }

    fn queue(&mut self) -> Result<&mut TxQueue, Error> {
        match &mut self.queue {
            Some(queue) => Ok(queue),
            None => Err(unknown(&self.link, "transmit", self.id)),
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

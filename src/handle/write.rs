//! The writing half of a handle.

use std::time::Duration;

use super::closer::Closer;
use crate::error::{Eof, Error};
use crate::link::CLOSE_FLUSH;
use crate::packet::Packet;
use crate::packet::source::PacketSink;
use crate::queue::{TxQueue, Wait};

/// The writing half of a [`PacketHandle`](super::PacketHandle).
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
    pub(super) fn new(queue: Option<TxQueue>, closer: Closer) -> Self {
        Self { queue, closer }
    }

    /// Sends a packet. Never blocks.
    ///
    /// # Errors
    ///
    /// [`Eof::Full`] if the ring is full, [`Eof::LinkDown`] if the link is down, [`Eof::Closed`] if
    /// the handle is closed; the packet was not sent. [`Error::Config`] for a packet that is empty
    /// or larger than the ring. [`Error::Memif`] if the handle has no transmit queue, or, once, if
    /// the peer broke the protocol.
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
            0 if !packets.is_empty() => Err(Eof::Full.into()),
            sent => Ok(sent),
        }
    }

    /// Sends a packet, and blocks until there is room for it while the link is up. `None` means no
    /// timeout.
    ///
    /// # Errors
    ///
    /// As for [`write_packet`](Self::write_packet). [`Eof::Full`] means that the timeout has
    /// passed.
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

    /// Blocks until there is room to write, the timeout passes, the link is down, or the handle is
    /// closed. `None` means no timeout. It tries again after pauses of up to 50 µs.
    ///
    /// # Errors
    ///
    /// [`Error::Memif`] if the peer broke the protocol, or if the handle has no transmit queue.
    pub fn wait_writable(&mut self, timeout: Option<Duration>) -> Result<Wait, Error> {
        let closer = self.closer.clone();
        self.queue()?.retry(
            timeout,
            || closer.is_closed(),
            |queue| Ok((queue.free_slots()? > 0).then_some(())),
        )
    }

    /// Blocks until the peer has read everything (`true`) or the timeout has passed (`false`). It
    /// tries again after pauses of up to 50 µs.
    ///
    /// # Errors
    ///
    /// [`Eof::LinkDown`] if the link went down before. Packets that the peer had not read may be
    /// lost.
    pub fn flush(&mut self, timeout: Duration) -> Result<bool, Error> {
        match &mut self.queue {
            Some(queue) => queue.flush(timeout),
            None => Ok(true),
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
    pub fn close(&mut self) {
        if let Err(e) = self.flush(CLOSE_FLUSH)
            && !e.is_eof()
        {
            log::warn!("closing: {e}");
        }
        self.closer.close();
    }

    /// Whether the link is up. Never blocks.
    pub fn is_link_up(&self) -> bool {
        self.closer.link().is_up()
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

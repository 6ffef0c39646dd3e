//! The writing half of a handle.

use std::time::Duration;

use super::closer::Closer;
use crate::error::{Eof, Error};
use crate::link::CLOSE_FLUSH;
use crate::packet::Packet;
use crate::packet::source::PacketSink;
use crate::queue::{TxQueue, Wait};

/// The writing half of a [`PacketHandle`](super::PacketHandle), with its methods.
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

    /// See [`PacketHandle::write_packet`](super::PacketHandle::write_packet).
    #[inline]
    pub fn write_packet(&mut self, packet: &[u8]) -> Result<(), Error> {
        match self.write_packets(&[packet]) {
            Ok(_) => Ok(()),
            Err(e) => Err(e),
        }
    }

    /// See [`PacketHandle::write_packets`](super::PacketHandle::write_packets).
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

    /// See [`PacketHandle::write_packet_timeout`](super::PacketHandle::write_packet_timeout).
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

    /// See [`PacketHandle::wait_writable`](super::PacketHandle::wait_writable).
    pub fn wait_writable(&mut self, timeout: Option<Duration>) -> Result<Wait, Error> {
        let closer = self.closer.clone();
        self.queue()?.retry(
            timeout,
            || closer.is_closed(),
            |queue| Ok((queue.free_slots()? > 0).then_some(())),
        )
    }

    /// See [`PacketHandle::flush`](super::PacketHandle::flush).
    pub fn flush(&mut self, timeout: Duration) -> Result<bool, Error> {
        match &mut self.queue {
            Some(queue) => queue.flush(timeout),
            None => Ok(true),
        }
    }

    /// See [`PacketHandle::closer`](super::PacketHandle::closer).
    pub fn closer(&self) -> Closer {
        self.closer.clone()
    }

    /// See [`PacketHandle::close`](super::PacketHandle::close).
    pub fn close(&mut self) {
        if let Err(e) = self.flush(CLOSE_FLUSH)
            && !e.is_eof()
        {
            log::warn!("closing: {e}");
        }
        self.closer.close();
    }

    /// See [`PacketHandle::is_link_up`](super::PacketHandle::is_link_up).
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

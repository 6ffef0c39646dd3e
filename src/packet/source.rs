//! Sources and destinations of packets.

use super::Packet;
use super::link_type::LinkType;
use crate::error::Error;

/// A source of packets: a [`PacketHandle`](crate::PacketHandle) or a capture file.
///
/// With it and [`PacketSink`], a program works with both:
///
/// ```
/// use memif::{Error, PacketSink, PacketSource};
///
/// /// Copies the packets that are there now, and returns their number.
/// fn copy(from: &mut impl PacketSource, to: &mut impl PacketSink) -> Result<u64, Error> {
///     let mut packets = 0;
///     loop {
///         match from.read_packet() {
///             Ok(packet) => to.write_packet(&packet)?,
///             Err(e) if e.is_eof() => break,
///             Err(e) => return Err(e),
///         }
///         packets += 1;
///     }
///     to.flush()?;
///     Ok(packets)
/// }
/// # use memif::{Context, MemifConfig, Role};
/// # let context = Context::new("doc")?;
/// # let socket = format!("@memif-doc-source-{}", std::process::id());
/// # let master = context.create_interface(MemifConfig::new(&socket).role(Role::Master).queues(2, 2))?;
/// # let slave = context.create_interface(MemifConfig::new(&socket).queues(2, 2))?;
/// # slave.wait_link_up(None)?;
/// # slave.packet_handle(0, 1)?.write_packet(b"a packet")?;
/// # assert_eq!(copy(&mut master.packet_handle(0, 1)?, &mut slave.packet_handle(1, 1)?)?, 1);
/// # Ok::<(), memif::Error>(())
/// ```
pub trait PacketSource {
    /// Returns the next packet, in order.
    ///
    /// # Errors
    ///
    /// [`Error::Eof`] if there is no packet, for now or for good; the reason says which. Any other
    /// error is returned once, after all packets before it.
    fn read_packet(&mut self) -> Result<Packet<'_>, Error>;

    /// What the packets begin with.
    fn link_type(&self) -> LinkType;
}

/// A destination for packets: a [`PacketHandle`](crate::PacketHandle) or a capture file.
/// [`PacketSource`] has an example.
///
/// ```
/// use memif::{CaptureInfo, Error, Packet, PacketSink};
///
/// /// Counts bytes, and keeps nothing.
/// struct Counting(usize);
///
/// impl PacketSink for Counting {
///     fn write_packet(&mut self, packet: &Packet<'_>) -> Result<(), Error> {
///         self.0 += packet.len();
///         Ok(())
///     }
///
///     fn flush(&mut self) -> Result<(), Error> {
///         Ok(())
///     }
/// }
/// # let mut sink = Counting(0);
/// # sink.write_packet(&Packet::new(b"abc", CaptureInfo::whole(3, Default::default())))?;
/// # assert_eq!(sink.0, 3);
/// # Ok::<(), Error>(())
/// ```
pub trait PacketSink {
    /// Writes one packet.
    ///
    /// # Errors
    ///
    /// [`Error::Eof`] if the packet could not be written, for now or for good. Other errors are
    /// those of the file or the link.
    fn write_packet(&mut self, packet: &Packet<'_>) -> Result<(), Error>;

    /// Writes packets that are buffered. Call it when the source is idle, and at the end.
    ///
    /// # Errors
    ///
    /// The errors of the file or the link.
    fn flush(&mut self) -> Result<(), Error>;
}

//! Where packets come from, and where they go.

use super::Packet;
use super::link_type::LinkType;
use crate::error::Error;

/// Where packets come from: a [`PacketHandle`](crate::PacketHandle), a capture file.
///
/// With [`PacketSink`], a program does not care which:
///
/// ```
/// use memif::{Error, PacketSink, PacketSource};
///
/// /// Copies what is there now; how many packets it was.
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
    /// The next packet, in order.
    ///
    /// # Errors
    ///
    /// [`Error::Eof`] when there is none: for now, or for good, as its reason
    /// says. Any other error is reported once; what came before it has been delivered.
    fn read_packet(&mut self) -> Result<Packet<'_>, Error>;

    /// What its packets start with.
    fn link_type(&self) -> LinkType;
}

/// Where packets go: a [`PacketHandle`](crate::PacketHandle), a capture file. [`PacketSource`] has
/// an example.
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
    /// Takes one packet.
    ///
    /// # Errors
    ///
    /// [`Error::Eof`] when it can't take one now, or any more; the packet was not taken.
    fn write_packet(&mut self, packet: &Packet<'_>) -> Result<(), Error>;

    /// Passes on what it holds back: call it when the source goes idle, and at the end.
    ///
    /// # Errors
    ///
    /// What the file or the peer answers.
    fn flush(&mut self) -> Result<(), Error>;
}

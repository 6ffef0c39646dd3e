//! Sources and destinations of packets.

use super::link_type::LinkType;
use super::{Packet, PacketBuf};
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
///             // A link that is full takes the packet later.
///             Ok(packet) => while let Err(e) = to.write_packet(&packet) {
///                 match e {
///                     Error::Full => std::thread::yield_now(),
///                     e => return Err(e),
///                 }
///             },
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
/// # let master = context.create_interface(MemifConfig::new(&socket).role(Role::Master))?;
/// # let slave = context.create_interface(MemifConfig::new(&socket).queues(2, 2).log2_ring_size(1))?;
/// # slave.wait_link_up(None)?;
/// # let mut first = slave.packet_handle(0)?;
/// # first.write_packet(b"a packet")?;
/// # first.write_packet(b"another")?;
/// # assert_eq!(copy(&mut master.packet_handle(0)?, &mut slave.packet_handle(1)?)?, 2);
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

    /// Iterates over the packets that are there now, each with bytes of its own. Ends at an end of
    /// file, and after an error.
    ///
    /// ```no_run
    /// use memif::PacketSource;
    /// use memif::pcap::CaptureReader;
    ///
    /// for packet in CaptureReader::open("x.pcapng")?.packets() {
    ///     println!("{} bytes", packet?.len());
    /// }
    /// # Ok::<(), memif::Error>(())
    /// ```
    fn packets(&mut self) -> SourcePackets<'_, Self>
    where
        Self: Sized,
    {
        SourcePackets { source: Some(self) }
    }
}

impl<S: PacketSource + ?Sized> PacketSource for &mut S {
    fn read_packet(&mut self) -> Result<Packet<'_>, Error> {
        (**self).read_packet()
    }

    fn link_type(&self) -> LinkType {
        (**self).link_type()
    }
}

impl<S: PacketSource + ?Sized> PacketSource for Box<S> {
    fn read_packet(&mut self) -> Result<Packet<'_>, Error> {
        (**self).read_packet()
    }

    fn link_type(&self) -> LinkType {
        (**self).link_type()
    }
}

/// Iterates over the packets of a source, from [`PacketSource::packets`].
#[derive(Debug)]
pub struct SourcePackets<'a, S> {
    /// Gone after the end.
    source: Option<&'a mut S>,
}

impl<S: PacketSource> Iterator for SourcePackets<'_, S> {
    type Item = Result<PacketBuf, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let packet = self.source.as_mut()?.read_packet().map(PacketBuf::from);
        if packet.is_err() {
            self.source = None;
        }
        match packet {
            Err(Error::Eof(_)) => None,
            packet => Some(packet),
        }
    }
}

/// A destination for packets: a [`PacketHandle`](crate::PacketHandle) or a capture file.
/// [`PacketSource`] has an example.
///
/// ```
/// use memif::{Error, Packet, PacketSink};
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
/// # sink.write_packet(&Packet::whole(b"abc", Default::default()))?;
/// # assert_eq!(sink.0, 3);
/// # Ok::<(), Error>(())
/// ```
pub trait PacketSink {
    /// Writes one packet.
    ///
    /// # Errors
    ///
    /// [`Error::Full`] if a link's ring has no room: the packet was not written, try again later.
    /// [`Error::Eof`] if nobody is there to write to. Other errors are those of the file or the
    /// link.
    fn write_packet(&mut self, packet: &Packet<'_>) -> Result<(), Error>;

    /// Writes packets that are buffered. Call it when the source is idle, and at the end.
    ///
    /// # Errors
    ///
    /// The errors of the file or the link.
    fn flush(&mut self) -> Result<(), Error>;
}

impl<S: PacketSink + ?Sized> PacketSink for &mut S {
    fn write_packet(&mut self, packet: &Packet<'_>) -> Result<(), Error> {
        (**self).write_packet(packet)
    }

    fn flush(&mut self) -> Result<(), Error> {
        (**self).flush()
    }
}

impl<S: PacketSink + ?Sized> PacketSink for Box<S> {
    fn write_packet(&mut self, packet: &Packet<'_>) -> Result<(), Error> {
        (**self).write_packet(packet)
    }

    fn flush(&mut self) -> Result<(), Error> {
        (**self).flush()
    }
}

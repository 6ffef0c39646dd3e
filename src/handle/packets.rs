//! The blocking iterator over packets.

use super::read::PacketReader;
use crate::error::{Eof, Error, ErrorKind};
use crate::packet::PacketBuf;

/// A blocking iterator over owned packets, from
/// [`PacketHandle::packets`](super::PacketHandle::packets).
///
/// ```
/// # use memif::{Context, MemifConfig, Role};
/// # let context = Context::new("doc")?;
/// # let socket = format!("@memif-doc-packets-{}", std::process::id());
/// # let master = context.create_interface(MemifConfig::new(&socket).role(Role::Master))?;
/// # let slave = context.create_interface(MemifConfig::new(&socket))?;
/// # slave.wait_link_up(None)?;
/// # slave.packet_handle(0)?.write_packet(b"a packet")?;
/// let mut handle = master.packet_handle(0)?;
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

impl PacketReader {
    /// A blocking iterator over owned packets. It ends when the handle is closed, or when the link
    /// is down and every packet that had arrived has been read.
    pub fn packets(&mut self) -> Packets<'_> {
        Packets {
            reader: self,
            follow: false,
            ended: false,
        }
    }
}

impl Packets<'_> {
    /// With `true`, the iterator waits for the next link when the link is down, instead of ending.
    #[must_use]
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
                    // A violation ends only the link. All other errors would come again and again.
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

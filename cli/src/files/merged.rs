//! Several capture files as one, in the order of their packets' times.

use memif::{Eof, Error, LinkType, Packet, PacketBuf, PacketSource, Timestamp};

use super::input::Input;

pub(crate) struct Merged(Vec<Head>);

/// A file, and the packet of it that comes next.
struct Head {
    file: Input,
    next: Option<PacketBuf>,
    /// Why there is none, if not for the file's end.
    damage: Option<Error>,
    /// Given out, until the next call.
    given: Option<PacketBuf>,
}

/// A packet, and the number and link type of its file.
pub(crate) struct Next<'a> {
    pub(crate) file: usize,
    pub(crate) link_type: LinkType,
    pub(crate) packet: Packet<'a>,
}

impl Merged {
    pub(crate) fn new(files: impl IntoIterator<Item = Input>) -> Self {
        let head = |file| {
            let mut head = Head {
                file,
                next: None,
                damage: None,
                given: None,
            };
            head.step();
            head
        };
        Self(files.into_iter().map(head).collect())
    }

    pub(crate) fn files(&self) -> impl Iterator<Item = &Input> {
        self.0.iter().map(|head| &head.file)
    }

    /// The next packet; damage to a file comes after the packets before it.
    pub(crate) fn next(&mut self) -> Result<Next<'_>, Error> {
        let ended = self.0.iter_mut().filter(|head| head.next.is_none());
        if let Some(damage) = ended.filter_map(|head| head.damage.take()).next() {
            return Err(damage);
        }
        let times = self.0.iter().map(Head::time).enumerate();
        let first = times.filter_map(|(file, time)| Some((time?, file))).min();
        let end = Error::Eof(Eof::EndOfFile);
        let (_, file) = first.ok_or_else(|| end.clone())?;
        let head = &mut self.0[file];
        let packet = head.next.take().ok_or(end)?;
        head.step();
        Ok(Next {
            file,
            link_type: head.file.link_type(),
            packet: head.given.insert(packet).as_packet(),
        })
    }
}

impl Head {
    fn step(&mut self) {
        match self.file.read_packet() {
            Ok(packet) => self.next = Some(packet.into()),
            Err(Error::Eof(_)) => {}
            Err(e) => self.damage = Some(e),
        }
    }

    fn time(&self) -> Option<Timestamp> {
        self.next.as_ref().map(|packet| packet.info().timestamp)
    }
}

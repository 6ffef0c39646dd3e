//! The packets of the files, from the disk or from memory.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use memif::{CaptureInfo, Error, IfMode, LinkType, Packet, PacketSource, Timestamp};

use crate::events::Events;
use crate::failure::Failure;
use crate::files::filter::PacketFilter;
use crate::files::input::{Input, is_stream, open};
use crate::files::merged::Merged;
use crate::files::tcp;
use crate::link_type::Header;

/// How files are opened, and what has to be in them.
#[derive(Clone, Copy)]
pub(super) struct Opener<'a> {
    pub(super) events: &'a Events,
    pub(super) mode: IfMode,
}

impl Opener<'_> {
    fn open(self, path: &Path) -> Result<Input, Failure> {
        let file = open(path, self.events)?;
        let expected = self.mode.link_type();
        // What is IP in a cooked capture is sent without the rest.
        let cooked = matches!(Header::of(file.link_type()), Header::Cooked { .. });
        if file.link_type() == expected || (cooked && expected == LinkType::RAW) {
            return Ok(file);
        }
        Err(Failure::Failed(format!(
            "{} holds {}, but in {} mode packets are {expected}: see --mode",
            path.display(),
            file.link_type(),
            self.mode,
        )))
    }

    /// Opens what can be opened again, so that a wrong file is known before anything is sent. How
    /// many bytes there are.
    pub(super) fn check(self, paths: &[PathBuf]) -> Result<u64, Failure> {
        let mut total = 0;
        for path in paths.iter().filter(|path| !is_stream(path)) {
            self.open(path)?;
            total += path.metadata().map_or(0, |m| m.len());
        }
        Ok(total)
    }
}

/// Files whose packets are sent together, in the order of their times.
#[derive(Debug)]
pub(super) enum Group {
    Files(Vec<PathBuf>),
    Memory(Loaded),
}

impl Group {
    /// Reads everything now. How many packets the filter rejected.
    pub(super) fn preload(
        &mut self,
        opener: Opener<'_>,
        filter: &PacketFilter,
    ) -> Result<u64, Failure> {
        let (mut loaded, mut rejected) = (Loaded::default(), 0);
        let mut reader = self.read(opener)?;
        loop {
            match reader.next() {
                Ok(packet) if filter.matches(&packet) => loaded.push(&packet),
                Ok(_) => rejected += 1,
                Err(Error::Eof(_)) => break,
                Err(e) => return Err(e.into()),
            }
        }
        loaded.size = reader.position();
        *self = Self::Memory(loaded);
        Ok(rejected)
    }

    pub(super) fn read(&self, opener: Opener<'_>) -> Result<Reader<'_>, Failure> {
        Ok(match self {
            Self::Memory(loaded) => Reader::Memory(loaded, 0),
            Self::Files(paths) => match &paths[..] {
                [path] => Reader::File(Box::new(opener.open(path)?)),
                paths => {
                    let files = paths.iter().map(|path| opener.open(path));
                    Reader::Merged(Merged::new(files.collect::<Result<Vec<_>, _>>()?))
                }
            },
        })
    }
}

/// Packets in memory.
#[derive(Debug, Default)]
pub(super) struct Loaded {
    bytes: Vec<u8>,
    packets: Vec<(Timestamp, usize, usize)>,
    /// Bytes of the files.
    size: u64,
}

impl Loaded {
    fn push(&mut self, packet: &Packet<'_>) {
        self.bytes.extend_from_slice(packet);
        let info = packet.info();
        self.packets
            .push((info.timestamp, self.bytes.len(), info.length));
    }

    fn get(&self, at: usize) -> Option<Packet<'_>> {
        let (time, end, length) = *self.packets.get(at)?;
        let start = at.checked_sub(1).map_or(0, |before| self.packets[before].1);
        let data = &self.bytes[start..end];
        let info = CaptureInfo::whole(length, time);
        Some(Packet::new(data, info))
    }
}

/// Goes through a group once.
pub(super) enum Reader<'a> {
    File(Box<Input>),
    Merged(Merged),
    Memory(&'a Loaded, usize),
}

impl Reader<'_> {
    /// The next packet; damage to a file comes after the packets before it.
    pub(super) fn next(&mut self) -> Result<Packet<'_>, Error> {
        match self {
            Self::File(file) => {
                let header = Header::of(file.link_type());
                file.read_packet().map(|packet| header.stripped(packet))
            }
            Self::Memory(loaded, at) => {
                *at += 1;
                let packet = loaded.get(*at - 1);
                packet.ok_or(Error::Eof(memif::Eof::EndOfFile))
            }
            Self::Merged(files) => {
                let next = files.next()?;
                Ok(Header::of(next.link_type).stripped(next.packet))
            }
        }
    }

    /// Whether packets go out as they lie there, if nothing is to be done to them.
    pub(super) fn is_plain(&self, expected: LinkType) -> bool {
        match self {
            Self::File(file) => file.link_type() == expected,
            Self::Merged(_) => false,
            Self::Memory(..) => true,
        }
    }

    /// The next packets, at least one.
    pub(super) fn next_few<'p>(&'p mut self, packets: &mut [Packet<'p>]) -> Result<usize, Error> {
        match self {
            Self::File(file) => file.read_packets(packets),
            Self::Memory(loaded, at) => {
                let left = (*at..).map_while(|at| loaded.get(at));
                let count = packets
                    .iter_mut()
                    .zip(left)
                    .map(|(to, packet)| *to = packet)
                    .count();
                *at += count;
                match count {
                    0 => Err(Error::Eof(memif::Eof::EndOfFile)),
                    count => Ok(count),
                }
            }
            Self::Merged(_) => {
                let packet = self.next()?;
                Ok(packets.iter_mut().take(1).map(|to| *to = packet).count())
            }
        }
    }

    /// How much of the files has been read, in bytes.
    pub(super) fn position(&self) -> u64 {
        match self {
            Self::File(file) => position(file),
            Self::Merged(files) => files.files().map(position).sum(),
            Self::Memory(loaded, at) => {
                let all = loaded.packets.len().max(1) as u128;
                (u128::from(loaded.size) * *at as u128 / all) as u64
            }
        }
    }
}

/// To the packet where the file is plain; a compressed one has fewer bytes than its packets.
pub(super) fn position(file: &Input) -> u64 {
    file.position().min(file.file_position())
}

/// The files on a command line, and the words of the filter after them.
///
/// What is there, looks like a path or like a capture's name is a file; the filter begins with the
/// first word that is not.
pub(super) fn split(words: &[OsString]) -> (Vec<PathBuf>, &[OsString]) {
    const ENDS: [&str; 6] = [".pcap", ".pcapng", ".cap", ".dmp", ".gz", ".zst"];
    let is_file = |word: &OsString| {
        let bytes = word.as_bytes();
        word == "-"
            || tcp::peer(Path::new(word)).is_some()
            || bytes.contains(&b'/')
            || ENDS.iter().any(|end| bytes.ends_with(end.as_bytes()))
            || Path::new(word).exists()
    };
    // The first is one whatever it looks like.
    let rest = words.iter().skip(1).take_while(|word| is_file(word));
    let files = words.len().min(1 + rest.count());
    (
        words[..files].iter().map(PathBuf::from).collect(),
        &words[files..],
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_end_where_the_filter_begins() {
        let split_of = |text: &str| {
            let words: Vec<OsString> = text.split(' ').map(Into::into).collect();
            let (files, filter) = split(&words);
            (files.len(), filter.len())
        };
        assert_eq!(split_of("a"), (1, 0));
        assert_eq!(split_of("udp port 9"), (1, 2));
        assert_eq!(split_of("tcp:x:1 tcp port 9"), (1, 3));
        assert_eq!(split_of("a.pcap udp port 9"), (1, 3));
        assert_eq!(
            split_of("a.pcap b.pcapng.zst - /x/y net 10.0.0.0/8"),
            (4, 2)
        );
    }
}

//! Reads pcap and pcapng files.

use std::fmt;
use std::io::{self, Read};
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::classic::FILE_HEADER;
use super::classic::read::{self as classic, Classic};
use super::file::FileReader;
use super::ng::interface::InterfaceInfo;
use super::ng::read::{self as ng, Ng};
use super::record::Step;
use crate::error::{Eof, Error};
use crate::packet::link_type::LinkType;
use crate::packet::source::PacketSource;
use crate::packet::{CaptureInfo, Packet};

/// Reads the packets of a pcap or pcapng file. The first bytes of the file tell which it is.
///
/// It reads pcap with microseconds and nanoseconds, and pcapng with enhanced, simple and obsolete
/// packet blocks, any clock resolution and offset, and any number of interfaces and sections, both
/// in either byte order. Packets may be cut by a snap length, and the snap length in the header may
/// be 0. With the feature `compress`, [`open`](CaptureReader::open) decompresses gzip and
/// Zstandard. For other compressed files, the error says so.
///
/// | in the file | in [`CaptureInfo`] |
/// |---|---|
/// | time | `timestamp` in nanoseconds; times before 1970 become 1970, times after 2554 the latest possible time; 0 for simple packet blocks, which have no time |
/// | length on the wire | `length` |
/// | interface, numbered from 0 in each section of a pcapng file | `interface_index` (0 in pcap); see [`interfaces`](CaptureReader::interfaces) |
/// | direction | `direction` |
///
/// Packets of length 0 are delivered like all others. A packet or block of more than 64 MiB counts
/// as damage.
///
/// After the last packet, reads return [`Eof::EndOfFile`]. If the file is truncated or damaged, all
/// packets before the damage are delivered. Then [`Error::Capture`] is returned once, with the
/// offset of the record that can't be read, and from then on [`Eof::EndOfFile`].
///
/// ```
/// use memif::pcap::CaptureReader;
/// use memif::{Eof, PacketSource};
///
/// # fn main() -> Result<(), memif::Error> {
/// # let mut bytes = Vec::new();
/// # memif::pcap::PcapWriter::new(&mut bytes, memif::LinkType::ETHERNET, None)?.close()?;
/// let mut reader = CaptureReader::new(&bytes[..])?; // or CaptureReader::open("some.pcapng")?
/// let mut total = 0;
/// let end = loop {
///     match reader.read_packet() {
///         Ok(packet) => total += packet.info().length,
///         Err(error) => break error,
///     }
/// };
/// assert_eq!(end.eof(), Some(Eof::EndOfFile));
/// # Ok(())
/// # }
/// ```
pub struct CaptureReader<R> {
    input: Input<R>,
    format: Format,
    link_type: LinkType,
    /// Of the packet read last.
    comment: Option<String>,
    path: Option<PathBuf>,
    ended: bool,
    /// Damage that was found after packets that are still to be delivered.
    met: Option<String>,
}

impl CaptureReader<FileReader> {
    /// Opens a capture file, compressed or not.
    ///
    /// For a named pipe, this blocks until a writer has opened it and written the file's header.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the file can't be opened or read. [`Error::Capture`] if it is empty,
    /// compressed in another way, or not a capture file.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        Self::start(FileReader::open(path)?, Some(path.to_owned()))
    }

    /// From now on a thread decompresses the file, up to a megabyte ahead of the packets. Nothing
    /// changes for a file that is not compressed. The thread ends with the reader. If it waits for
    /// a pipe just then, it ends once that has bytes, and the pipe stays open until then.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the thread can't be started.
    ///
    /// ```no_run
    /// use memif::pcap::CaptureReader;
    ///
    /// let reader = CaptureReader::open("x.pcap.gz")?.decompress_ahead()?;
    /// # Ok::<(), memif::Error>(())
    /// ```
    pub fn decompress_ahead(mut self) -> Result<Self, Error> {
        let failed = |e| Error::io("starting a thread that decompresses", e);
        self.input.reader = self.input.reader.decompress_ahead().map_err(failed)?;
        Ok(self)
    }

    /// The number of bytes that have been read from the file, before decompression. It is ahead of
    /// [`position`](Self::position), because the file is read in large pieces.
    pub fn file_position(&self) -> u64 {
        self.input.reader.position()
    }
}

impl<R: Read> CaptureReader<R> {
    /// Reads a capture from any reader, for example standard input. The reader needs no buffer of
    /// its own.
    ///
    /// Reads the file's header (of a pcapng file, up to the first interface), and blocks until it
    /// is there.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if reading fails. [`Error::Capture`] if there are no bytes, or they are
    /// compressed or not a capture.
    pub fn new(reader: R) -> Result<Self, Error> {
        Self::start(reader, None)
    }

    /// The offset, in bytes, of the record after the last packet that was delivered.
    pub fn position(&self) -> u64 {
        self.input.offset
    }

    /// The interfaces of a pcapng file that have been read, by their numbers; packets say theirs in
    /// [`interface_index`](CaptureInfo::interface_index). A new section of the file begins anew. A
    /// pcap file has one, without a name.
    pub fn interfaces(&self) -> &[InterfaceInfo] {
        match &self.format {
            Format::Classic(classic) => std::slice::from_ref(&classic.interface),
            Format::Ng(ng) => &ng.interfaces,
        }
    }

    /// The comment that a pcapng file has on the packet that
    /// [`read_packet`](PacketSource::read_packet) returned last.
    pub fn comment(&self) -> Option<&str> {
        self.comment.as_deref()
    }

    /// Reads packets without copying them: at least one, and at most as many as are already in
    /// memory and fit into `packets`. Puts them at the start of `packets` and returns their number,
    /// which is 0 only if `packets` is empty. Blocks for the first packet only, in the underlying
    /// reader.
    ///
    /// # Errors
    ///
    /// Those of [`read_packet`](PacketSource::read_packet), after all packets before the damage.
    ///
    /// ```
    /// use memif::pcap::{CaptureReader, PcapWriter};
    /// # use memif::{LinkType, Packet, PacketSink, Timestamp};
    ///
    /// # fn main() -> Result<(), memif::Error> {
    /// # let mut bytes = Vec::new();
    /// # let mut file = PcapWriter::new(&mut bytes, LinkType::ETHERNET, None)?;
    /// # for n in 0..3 {
    /// #     file.write_packet(&Packet::whole(&[n; 60], Timestamp::now()))?;
    /// # }
    /// # file.close()?;
    /// let mut reader = CaptureReader::new(&bytes[..])?;
    /// let mut packets = [Packet::default(); 64];
    /// let count = reader.read_packets(&mut packets)?;
    /// assert_eq!(packets[..count].iter().map(|packet| packet[0]).collect::<Vec<_>>(), [0, 1, 2]);
    /// // To a peer: handle.write_packets(&packets[..count])
    /// # Ok(())
    /// # }
    /// ```
    pub fn read_packets<'a>(&'a mut self, packets: &mut [Packet<'a>]) -> Result<usize, Error> {
        let Some((first, others)) = packets.split_first_mut() else {
            return Ok(0);
        };
        let (data, info) = loop {
            if let Some(found) = self.step()? {
                break found;
            }
        };
        let Input {
            buffer,
            start,
            end,
            offset,
            ..
        } = &mut self.input;
        let (before, mut left) = buffer[..*end].split_at_mut(*start);
        *first = Packet::new(&before[data], info);
        let mut count = 1;
        while let Some(packet) = others.get_mut(count - 1) {
            let (size, found) = match self.format.step(left) {
                Ok(Step::Packet {
                    size, data, info, ..
                }) => (size, Some((data, info))),
                Ok(Step::Skip(size)) => (size, None),
                Ok(Step::More(_)) => break,
                Err(problem) => {
                    self.met = Some(problem);
                    break;
                }
            };
            let (record, rest) = left.split_at_mut(size);
            left = rest;
            *start += size;
            *offset += size as u64;
            if let Some((data, info)) = found {
                *packet = Packet::new(&record[data], info);
                count += 1;
            }
        }
        Ok(count)
    }

    fn start(reader: R, path: Option<PathBuf>) -> Result<Self, Error> {
        let mut this = Self {
            input: Input::new(reader),
            format: Format::Ng(Ng::default()),
            link_type: LinkType::ETHERNET,
            comment: None,
            path,
            ended: false,
            met: None,
        };
        match this.read_header() {
            Err(Error::Eof(Eof::Empty)) => Err(this.io(io::ErrorKind::WouldBlock.into())),
            Err(error) => Err(error),
            Ok(()) => Ok(this),
        }
    }

    fn read_header(&mut self) -> Result<(), Error> {
        let magic = self.first_bytes()?;
        if classic::recognises(magic) {
            while self.input.filled().len() < FILE_HEADER {
                self.fill(FILE_HEADER)?;
            }
            let classic =
                Classic::new(self.input.filled()).map_err(|problem| self.damage(problem))?;
            self.input.consume(FILE_HEADER);
            self.link_type = classic.interface.link_type;
            self.format = Format::Classic(classic);
            return Ok(());
        }
        if magic != ng::MAGIC {
            return Err(self.damage(unknown(magic)));
        }
        // No packet comes before an interface, so none is lost here.
        loop {
            if let Format::Ng(Ng {
                link_type: Some(found),
                ..
            }) = &self.format
            {
                self.link_type = *found;
                return Ok(());
            }
            match self.step() {
                Ok(_) => {}
                Err(Error::Eof(Eof::EndOfFile)) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }

    fn first_bytes(&mut self) -> Result<[u8; 4], Error> {
        loop {
            if let Some(magic) = self.input.filled().first_chunk() {
                return Ok(*magic);
            }
            match self.fill(4) {
                Err(Error::Eof(Eof::EndOfFile)) => {
                    return Err(self.damage("the file is empty".into()));
                }
                other => other?,
            }
        }
    }

    /// Reads one record, or some more bytes of one.
    fn step(&mut self) -> Result<Option<(Range<usize>, CaptureInfo)>, Error> {
        if self.ended {
            return Err(Eof::EndOfFile.into());
        }
        if let Some(problem) = self.met.take() {
            return Err(self.damage(problem));
        }
        match self.format.step(self.input.filled()) {
            Ok(Step::Packet {
                size,
                data,
                info,
                comment,
            }) => {
                self.comment = comment;
                let start = self.input.start;
                self.input.consume(size);
                Ok(Some((start + data.start..start + data.end, info)))
            }
            Ok(Step::Skip(size)) => {
                self.input.consume(size);
                Ok(None)
            }
            Ok(Step::More(size)) => {
                self.fill(size)?;
                Ok(None)
            }
            Err(problem) => Err(self.damage(problem)),
        }
    }

    /// Reads more bytes. The record has at least `size` bytes.
    fn fill(&mut self, size: usize) -> Result<(), Error> {
        match self.input.fill(size) {
            Ok(0) if self.input.filled().is_empty() => {
                self.ended = true;
                Err(Eof::EndOfFile.into())
            }
            Ok(0) => {
                let there = self.input.filled().len();
                Err(self.damage(format!(
                    "cut short: truncated packet, expected {size} bytes, found {there}"
                )))
            }
            Ok(_) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(Eof::Empty.into()),
            Err(error) => {
                self.ended = true;
                Err(self.io(error))
            }
        }
    }

    fn damage(&mut self, problem: String) -> Error {
        self.ended = true;
        Error::Capture {
            path: self.path.clone(),
            offset: self.input.offset,
            problem,
        }
    }

    fn io(&self, error: io::Error) -> Error {
        let name = self
            .path
            .as_deref()
            .unwrap_or(Path::new("the capture"))
            .display();
        Error::io(
            format!("reading {name} after byte {}", self.input.offset),
            error,
        )
    }
}

impl<R: Read> PacketSource for CaptureReader<R> {
    /// Returns the next packet of the file. May block in the underlying reader.
    ///
    /// # Errors
    ///
    /// [`Eof::EndOfFile`] after the last packet. [`Error::Capture`] if the file is truncated or
    /// damaged, or if a packet in a pcapng file has another link type than
    /// [`link_type`](Self::link_type) returns. [`Error::Io`] if reading fails. These two are
    /// returned once, and from then on `EndOfFile`. [`Eof::Empty`] if the reader is in non-blocking
    /// mode and has no data: try again later.
    fn read_packet(&mut self) -> Result<Packet<'_>, Error> {
        loop {
            if let Some((data, info)) = self.step()? {
                return Ok(Packet::new(&self.input.buffer[data], info));
            }
        }
    }

    /// The link type in the header of a pcap file, or of the first interface of a pcapng file. A
    /// pcapng file without interfaces has no packets, and counts as Ethernet.
    fn link_type(&self) -> LinkType {
        self.link_type
    }
}

impl<R> fmt::Debug for CaptureReader<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CaptureReader")
            .field("path", &self.path)
            .field("link_type", &self.link_type)
            .field("position", &self.input.offset)
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}

enum Format {
    Classic(Classic),
    Ng(Ng),
}

impl Format {
    #[inline]
    fn step(&mut self, bytes: &mut [u8]) -> Result<Step, String> {
        match self {
            Self::Classic(classic) => classic.step(bytes),
            Self::Ng(ng) => ng.step(bytes),
        }
    }
}

/// Bytes that were read and not yet consumed. The buffer of `pcap-file` has a fixed size, gives up
/// on an interrupted read, and does not know offsets in pcap files.
struct Input<R> {
    reader: R,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// The offset of `start` in the file, in bytes.
    offset: u64,
}

impl<R: Read> Input<R> {
    const CAPACITY: usize = 256 << 10;

    fn new(reader: R) -> Self {
        Self {
            reader,
            buffer: vec![0; Self::CAPACITY],
            start: 0,
            end: 0,
            offset: 0,
        }
    }

    fn filled(&mut self) -> &mut [u8] {
        &mut self.buffer[self.start..self.end]
    }

    fn consume(&mut self, size: usize) {
        self.start += size;
        self.offset += size as u64;
    }

    /// Reads once. The buffer grows as bytes arrive, never because of a length field alone.
    fn fill(&mut self, wanted: usize) -> io::Result<usize> {
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        if self.end == self.buffer.len() {
            let size = (2 * self.end).min(wanted.max(self.end + 1));
            self.buffer.resize(size, 0);
        }
        loop {
            match self.reader.read(&mut self.buffer[self.end..]) {
                Ok(count) => {
                    self.end += count;
                    return Ok(count);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

fn unknown(magic: [u8; 4]) -> String {
    let compressed = match magic {
        [0x1f, 0x8b, ..] => Some(("gzip", "gzip -dc")),
        [0x28, 0xb5, 0x2f, 0xfd] => Some(("zstd", "zstd -dc")),
        [0xfd, b'7', b'z', b'X'] => Some(("xz", "xz -dc")),
        [b'B', b'Z', b'h', _] => Some(("bzip2", "bzip2 -dc")),
        [0x04, 0x22, 0x4d, 0x18] => Some(("lz4", "lz4 -dc")),
        _ => None,
    };
    if let Some((name, command)) = compressed {
        return format!("compressed with {name}: unpack it first, as with `{command}`");
    }
    let number = u32::from_be_bytes(magic);
    match number {
        0xa1b2_cd34 | 0x34cd_b2a1 => {
            format!(
                "a patched pcap with longer record headers (magic {number:#010x}): convert it first, as with `editcap -F pcap`"
            )
        }
        _ => format!(
            "not a capture file: it starts with {number:#010x}, which is neither pcap nor pcapng"
        ),
    }
}

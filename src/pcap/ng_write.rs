//! Writing pcapng files: one section, one block per interface, a block per packet.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use super::{DEFAULT_SNAPLEN, MAX_RECORD};
use crate::{Error, LinkType, Packet};

/// Which way a packet passed an interface, as seen by whoever captured it.
///
/// ```
/// assert_ne!(memif::pcap::Direction::Inbound, memif::pcap::Direction::Outbound);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Received.
    Inbound,
    /// Sent.
    Outbound,
}

/// Writes a pcapng file with several interfaces, times in nanoseconds, and each packet's direction.
///
/// The file's header is written and flushed at once. Packets gather in a buffer of 256
/// KiB, until it is full or [`flush`](Self::flush) is called; into a pipe none waits. After an error the next call
/// goes on at the byte where this one stopped. Dropping the writer flushes too, but can only
/// log what goes wrong.
///
/// ```
/// use memif::pcap::{CaptureReader, Direction, PcapNgWriter};
/// use memif::{CaptureInfo, LinkType, Packet, PacketSource, Timestamp};
///
/// let mut file = Vec::new();
/// let mut writer = PcapNgWriter::new(&mut file, LinkType::ETHERNET, &["left", "right"])?;
/// let when = Timestamp::from_nanos(1_500_000_000_123_456_789);
/// let packet = Packet::new(&[0xff; 60], CaptureInfo::whole(60, when));
/// writer.write_packet(&packet, 1, Direction::Inbound)?;
/// drop(writer);
///
/// let mut reader = CaptureReader::new(&file[..])?;
/// let read = reader.read_packet()?;
/// assert_eq!((read.info().interface_index, read.info().timestamp), (1, when));
/// # Ok::<(), memif::Error>(())
/// ```
#[derive(Debug)]
pub struct PcapNgWriter<W: Write> {
    writer: W,
    path: Option<PathBuf>,
    interfaces: u32,
    flush_each: bool,
    bytes: Vec<u8>,
    /// How many of `bytes` the writer has taken.
    taken: usize,
    packets: u64,
}

/// Bytes that gather before they are written.
const CAPACITY: usize = 256 << 10;

const SECTION: u32 = 0x0a0d_0d0a;
const INTERFACE: u32 = 1;
const PACKET: u32 = 6;

const OPTION_NAME: u16 = 2;
const OPTION_FLAGS: u16 = 2;
const OPTION_RESOLUTION: u16 = 9;
/// Ticks of 10^-9 seconds.
const NANOSECONDS: u8 = 9;

impl PcapNgWriter<File> {
    /// Creates a capture file, or empties the one that is there; see [`new`](PcapNgWriter::new).
    /// Opening a named pipe blocks until somebody reads it.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] when the file can't be created, or written.
    pub fn create(
        path: impl AsRef<Path>,
        link_type: LinkType,
        interfaces: &[&str],
    ) -> Result<Self, Error> {
        let path = path.as_ref();
        let failed = |error| Error::io(format!("creating {}", path.display()), error);
        let file = File::create(path).map_err(failed)?;
        let kind = file.metadata().map_err(failed)?.file_type();
        let each = kind.is_fifo() || kind.is_char_device() || kind.is_socket();
        Self::start(file, Some(path.to_owned()), link_type, interfaces, each)
    }
}

impl<W: Write> PcapNgWriter<W> {
    /// Writes a capture to anything, with an interface block for each of these names, numbered from 0.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] when the header can't be written, [`Error::Config`] when the link type is
    /// beyond 65,535 or a name longer than 65,535 bytes.
    pub fn new(writer: W, link_type: LinkType, interfaces: &[&str]) -> Result<Self, Error> {
        Self::start(writer, None, link_type, interfaces, false)
    }

    /// Takes one packet. Blocks as the writer does, when the buffer is full.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] when the buffer could not be written: the packet was not taken.
    /// [`Error::Config`] for an interface that has no block, or a packet beyond 64 MiB.
    pub fn write_packet(
        &mut self,
        packet: &Packet<'_>,
        interface: u32,
        direction: Direction,
    ) -> Result<(), Error> {
        if interface >= self.interfaces {
            let count = self.interfaces;
            return Err(Error::config(
                "interface",
                format!("number {interface}, of {count} in the file"),
            ));
        }
        let (data, info) = (packet.data(), packet.info());
        // Type, two lengths, five numbers, and the option for the direction with the options' end.
        let length = 12 + 20 + data.len().next_multiple_of(4) + 12;
        if length > MAX_RECORD {
            let bytes = data.len();
            return Err(Error::config(
                "packet",
                format!("{bytes} bytes; a record has {MAX_RECORD} at most"),
            ));
        }
        if !self.bytes.is_empty() && self.bytes.len() + length > CAPACITY {
            self.write_out()?;
        }
        let time = info.timestamp.as_nanos();
        let original = u32::try_from(info.length).unwrap_or(u32::MAX);
        self.numbers(&[
            PACKET,
            length as u32,
            interface,
            (time >> 32) as u32,
            time as u32,
            data.len() as u32,
            original,
        ]);
        self.padded(data);
        let flags: u32 = match direction {
            Direction::Inbound => 1,
            Direction::Outbound => 2,
        };
        self.option(OPTION_FLAGS, &flags.to_ne_bytes());
        self.numbers(&[0, length as u32]);
        self.packets += 1;
        if self.flush_each {
            return self.flush();
        }
        Ok(())
    }

    /// Writes what has gathered. Blocks as the writer does.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] when not all could be written.
    pub fn flush(&mut self) -> Result<(), Error> {
        self.write_out()?;
        let flushed = self.writer.flush();
        flushed.map_err(|error| self.failed(error))
    }

    /// Packets accepted: those written and those in the buffer.
    pub fn packets_accepted(&self) -> u64 {
        self.packets
    }

    fn start(
        writer: W,
        path: Option<PathBuf>,
        link_type: LinkType,
        interfaces: &[&str],
        flush_each: bool,
    ) -> Result<Self, Error> {
        let number = u32::from(link_type);
        let link = u16::try_from(number).map_err(|_| {
            Error::config(
                "link type",
                format!("{number}, where a capture file has room for 65535"),
            )
        })?;
        let mut this = Self {
            writer,
            path,
            interfaces: interfaces.len() as u32,
            flush_each,
            bytes: Vec::with_capacity(CAPACITY),
            taken: 0,
            packets: 0,
        };
        // Version 1.0, of unknown length.
        this.numbers(&[SECTION, 28, 0x1a2b_3c4d]);
        this.halves(1, 0);
        this.numbers(&[u32::MAX, u32::MAX, 28]);
        for name in interfaces {
            if name.len() > usize::from(u16::MAX) {
                return Err(Error::config(
                    "interface name",
                    format!("{} bytes, at most 65535 are possible", name.len()),
                ));
            }
            let length = (20 + 4 + name.len().next_multiple_of(4) + 8 + 4) as u32;
            this.numbers(&[INTERFACE, length]);
            this.halves(link, 0);
            this.numbers(&[DEFAULT_SNAPLEN]);
            this.option(OPTION_NAME, name.as_bytes());
            this.option(OPTION_RESOLUTION, &[NANOSECONDS]);
            this.numbers(&[0, length]);
        }
        this.flush()?;
        Ok(this)
    }

    fn numbers(&mut self, numbers: &[u32]) {
        for number in numbers {
            self.bytes.extend_from_slice(&number.to_ne_bytes());
        }
    }

    fn halves(&mut self, first: u16, second: u16) {
        self.bytes.extend_from_slice(&first.to_ne_bytes());
        self.bytes.extend_from_slice(&second.to_ne_bytes());
    }

    fn padded(&mut self, data: &[u8]) {
        self.bytes.extend_from_slice(data);
        let padding = data.len().next_multiple_of(4) - data.len();
        self.bytes.extend_from_slice(&[0; 3][..padding]);
    }

    /// Of at most 65,535 bytes.
    fn option(&mut self, code: u16, value: &[u8]) {
        self.halves(code, value.len() as u16);
        self.padded(value);
    }

    fn write_out(&mut self) -> Result<(), Error> {
        while self.taken < self.bytes.len() {
            match self.writer.write(&self.bytes[self.taken..]) {
                Ok(0) => return Err(self.failed(io::ErrorKind::WriteZero.into())),
                Ok(count) => self.taken += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.failed(error)),
            }
        }
        self.bytes.clear();
        self.taken = 0;
        Ok(())
    }

    fn failed(&self, error: io::Error) -> Error {
        let name = self.path.as_deref().unwrap_or(Path::new("a capture"));
        Error::io(format!("writing {}", name.display()), error)
    }
}

impl<W: Write> Drop for PcapNgWriter<W> {
    fn drop(&mut self) {
        if !std::thread::panicking()
            && let Err(error) = self.flush()
        {
            log::error!("{error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pcap::CaptureReader;
    use crate::{CaptureInfo, PacketSource, Timestamp};

    #[test]
    fn what_is_written_is_read_again() {
        let mut file = Vec::new();
        let mut writer = PcapNgWriter::new(&mut file, LinkType::RAW, &["", "odd", "even"]).unwrap();
        for length in 0..70_000usize {
            if length < 100 || length % 9999 == 0 {
                let data = vec![length as u8; length];
                let info = CaptureInfo::whole(length, Timestamp::from_nanos(length as u64));
                let packet = Packet::new(&data, info);
                let direction = [Direction::Inbound, Direction::Outbound][length % 2];
                let interface = 1 + (length % 2) as u32;
                writer.write_packet(&packet, interface, direction).unwrap();
            }
        }
        let empty = Packet::new(&[], CaptureInfo::whole(0, Timestamp::default()));
        let error = writer.write_packet(&empty, 3, Direction::Inbound);
        assert!(error.unwrap_err().to_string().contains("number 3, of 3"));
        let packets = writer.packets_accepted();
        drop(writer);

        let mut reader = CaptureReader::new(&file[..]).unwrap();
        assert_eq!(reader.link_type(), LinkType::RAW);
        for _ in 0..packets {
            let packet = reader.read_packet().unwrap();
            let length = packet.len();
            assert!(packet.iter().all(|byte| *byte == length as u8));
            assert_eq!(packet.info().timestamp.as_nanos(), length as u64);
            assert_eq!(packet.info().interface_index, 1 + (length % 2) as u32);
        }
        assert!(reader.read_packet().unwrap_err().is_eof());
    }

    /// Takes one byte at a time, and fails every other time.
    struct Stuttering<'a>(&'a mut Vec<u8>, bool);

    impl Write for Stuttering<'_> {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.1 = !self.1;
            if self.1 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.0.extend(bytes.first());
            Ok(1)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn after_an_error_it_goes_on_at_the_same_byte() {
        let write = |file: &mut Vec<u8>| {
            let mut writer = PcapNgWriter::new(file, LinkType::ETHERNET, &["a"]).unwrap();
            let packet = Packet::new(b"abcde", CaptureInfo::whole(9, Timestamp::default()));
            writer
                .write_packet(&packet, 0, Direction::Outbound)
                .unwrap();
        };
        let mut whole = Vec::new();
        write(&mut whole);

        let mut out = Vec::new();
        let mut writer = PcapNgWriter {
            writer: Stuttering(&mut out, false),
            path: None,
            interfaces: 1,
            flush_each: false,
            bytes: whole.clone(),
            taken: 0,
            packets: 1,
        };
        while writer.flush().is_err() {}
        drop(writer);
        assert_eq!(out, whole);
    }
}

//! Writes pcap files.

use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use pcap_file::pcap::{PcapHeader, PcapTsResolution};
use pcap_file::{DataLink, Endianness};

use super::{FILE_HEADER, RECORD_HEADER};
use crate::error::Error;
use crate::packet::link_type::LinkType;
use crate::packet::source::PacketSink;
use crate::packet::time::Timestamp;
use crate::packet::{CaptureInfo, Packet};
use crate::pcap::file::{Compression, Effort};
use crate::pcap::output::{Outgoing, create};
use crate::pcap::packer::Packer;
use crate::pcap::record::checked_snaplen;

/// Writes packets to a pcap file, with times in nanoseconds.
///
/// The file's header is written and flushed at once, so that a reader at the other end of a pipe
/// can start. Packets are collected in a buffer of 256 KiB. It is written when it is full, and by
/// [`flush`](PacketSink::flush) and [`close`](PcapWriter::close). With
/// [`flush_each`](PcapWriter::flush_each) each packet is written at once. Dropping the writer also
/// flushes, but can only log errors.
///
/// # When writing fails
///
/// The error says how many packets are complete in the file. So do
/// [`packets_written`](PcapWriter::packets_written) and
/// [`bytes_written`](PcapWriter::bytes_written), which do not count a packet that was written in
/// part. Packets that were accepted but not written stay in the buffer. The next call continues at
/// the byte where the failed one stopped, so that no byte is written twice, and the file is correct
/// if the disk has room again.
///
/// ```
/// use memif::pcap::PcapWriter;
/// use memif::{LinkType, Packet, PacketSink, Timestamp};
///
/// # fn main() -> Result<(), memif::Error> {
/// # let dir = tempfile::tempdir().unwrap();
/// # let path = dir.path().join("out.pcap");
/// let mut writer = PcapWriter::create(&path, LinkType::ETHERNET, None)?;
/// writer.write_packet(&Packet::whole(&[0; 60], Timestamp::now()))?;
/// writer.flush()?;
/// assert_eq!(writer.packets_written(), 1);
/// assert_eq!(writer.bytes_written(), 24 + 16 + 60);
/// writer.close()?;
/// # Ok(())
/// # }
/// ```
pub struct PcapWriter<W: Write> {
    snaplen: u32,
    out: Outgoing<W>,
}

impl PcapWriter<File> {
    /// Creates a capture file, or truncates an existing one.
    ///
    /// If the file is a named pipe, a terminal or another device, each packet is written at once,
    /// as with [`flush_each`](PcapWriter::flush_each). Opening a named pipe blocks until somebody
    /// reads it.
    ///
    /// A name that ends in `.gz` or `.zst` gives a compressed file, with the feature `compress`.
    ///
    /// Packets longer than `snaplen` bytes are cut; `None` means
    /// [`DEFAULT_SNAPLEN`](crate::DEFAULT_SNAPLEN), and more than 64 MiB counts as 64 MiB.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the file can't be created or its header can't be written. [`Error::Config`]
    /// if the link type is above 65,535, for a snap length of 0, and without the feature for a
    /// compressed file.
    pub fn create(
        path: impl AsRef<Path>,
        link_type: LinkType,
        snaplen: Option<u32>,
    ) -> Result<Self, Error> {
        let path = path.as_ref();
        let (file, each) = create(path)?;
        Ok(Self::start(file, Some(path.to_owned()), link_type, snaplen)?.flush_each(each))
    }
}

impl<W: Write> PcapWriter<W> {
    /// Writes a capture to any writer, which needs no buffer of its own.
    ///
    /// Packets longer than `snaplen` bytes are cut; `None` means
    /// [`DEFAULT_SNAPLEN`](crate::DEFAULT_SNAPLEN), and more than 64 MiB counts as 64 MiB.
    ///
    /// For standard output, write each packet at once:
    ///
    /// ```no_run
    /// use memif::LinkType;
    /// use memif::pcap::PcapWriter;
    ///
    /// # fn main() -> Result<(), memif::Error> {
    /// let writer = PcapWriter::new(std::io::stdout(), LinkType::ETHERNET, None)?.flush_each(true);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the file's header can't be written. [`Error::Config`] if the link type is
    /// above 65,535.
    pub fn new(writer: W, link_type: LinkType, snaplen: Option<u32>) -> Result<Self, Error> {
        Self::start(Packer::Plain(writer), None, link_type, snaplen)
    }

    /// Like [`new`](Self::new), compressed.
    ///
    /// # Errors
    ///
    /// As for `new`; [`Error::Config`] for a compression that needs the feature `compress`.
    pub fn compressed(
        writer: W,
        compression: Compression,
        link_type: LinkType,
        snaplen: Option<u32>,
    ) -> Result<Self, Error> {
        Self::compressed_by(Effort::default(), writer, compression, link_type, snaplen)
    }

    /// Like [`compressed`](Self::compressed), with so much effort.
    ///
    /// # Errors
    ///
    /// As for `compressed`; [`Error::Config`] for a level that there is not, and [`Error::Io`] if a
    /// thread can't be started.
    pub fn compressed_by(
        effort: Effort,
        writer: W,
        compression: Compression,
        link_type: LinkType,
        snaplen: Option<u32>,
    ) -> Result<Self, Error> {
        let packer = Packer::new(writer, compression, effort)?;
        Self::start(packer, None, link_type, snaplen)
    }

    /// Whether each packet is flushed at once, which is useful for a pipe. `false` by default,
    /// except if [`PcapWriter::create`] opened a pipe or a device.
    #[must_use]
    pub fn flush_each(mut self, each: bool) -> Self {
        self.out.flush_each = each;
        self
    }

    /// Writes whole records of so many packets, as
    /// [`RecordFormat::Pcap`](crate::pcap::RecordFormat::Pcap) makes them. What is many goes to the
    /// underlying writer as it is.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if they can't be written. They were accepted if
    /// [`packets_accepted`](Self::packets_accepted) counts them.
    pub fn write_records(&mut self, records: &[u8], packets: u64) -> Result<(), Error> {
        self.out.records(records, packets)
    }

    /// The number of packets that have been written completely.
    pub fn packets_written(&self) -> u64 {
        self.out.pending.packets_out
    }

    /// The number of bytes of the file's header and of the packets that have been written
    /// completely.
    pub fn bytes_written(&self) -> u64 {
        self.out.pending.bytes_out
    }

    /// The number of packets accepted, written or still in the buffer.
    pub fn packets_accepted(&self) -> u64 {
        self.out.pending.packets_in
    }

    /// The size in bytes that the file will have when everything accepted is written. Use it to
    /// start a new file at a certain size.
    pub fn bytes_accepted(&self) -> u64 {
        self.out.pending.bytes_in
    }

    /// The snap length in bytes, as in the file's header.
    pub fn snaplen(&self) -> u32 {
        self.snaplen
    }

    /// Writes everything and the end of a compressed file, and returns the underlying writer. May
    /// block in it.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if not everything could be written. The rest is lost.
    pub fn close(self) -> Result<W, Error> {
        self.out.close()
    }

    /// Does what [`close`](Self::close) does, for those who want to know the counts afterwards.
    /// Nothing can be written after it.
    ///
    /// # Errors
    ///
    /// As for `close`.
    pub fn finish(&mut self) -> Result<(), Error> {
        self.out.finish()
    }

    /// Discards the buffer. It is never written, not even when the writer is dropped. Use it for a
    /// file that has to stay as it is, for example after it was truncated behind its last complete
    /// packet.
    ///
    /// ```
    /// use memif::pcap::PcapWriter;
    /// use memif::{LinkType, Packet, PacketSink, Timestamp};
    ///
    /// # fn main() -> Result<(), memif::Error> {
    /// let mut file = Vec::new();
    /// let mut writer = PcapWriter::new(&mut file, LinkType::ETHERNET, None)?;
    /// writer.write_packet(&Packet::whole(&[0; 60], Timestamp::now()))?;
    /// writer.abandon();
    /// drop(writer);
    /// assert_eq!(file.len(), 24);
    /// # Ok(())
    /// # }
    /// ```
    pub fn abandon(&mut self) {
        self.out.abandon();
    }

    /// The underlying writer. Packets that are still in the buffer have not reached it.
    pub fn get_mut(&mut self) -> &mut W {
        self.out.get_mut()
    }

    fn start(
        writer: Packer<W>,
        path: Option<PathBuf>,
        link_type: LinkType,
        snaplen: Option<u32>,
    ) -> Result<Self, Error> {
        let number = u32::from(link_type);
        if number > 0xffff {
            return Err(Error::config(
                "link type",
                format!("{number}, where a capture file has room for 65535"),
            ));
        }
        let snaplen = checked_snaplen(snaplen)?;
        let header = PcapHeader {
            snaplen,
            datalink: DataLink::from(number),
            ts_resolution: PcapTsResolution::NanoSecond,
            endianness: Endianness::native(),
            ..PcapHeader::default()
        };
        let mut out = Outgoing::new(writer, path, measure);
        header
            .write_to(&mut out.pending.bytes)
            .map_err(|error| Error::io("writing a pcap header", io::Error::other(error)))?;
        let length = out.pending.bytes.len();
        out.pending.appended(length, 0);
        out.open()?;
        Ok(Self { snaplen, out })
    }
}

impl<W: Write> PacketSink for PcapWriter<W> {
    /// Writes one packet, cut to the snap length. May block in the underlying writer when the
    /// buffer is full or each packet is flushed.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] if the packet's time is after 2106-02-07 or its length needs more than 32
    /// bits, because pcap can't represent them. The packet was not accepted. [`Error::Io`] if
    /// writing fails. The packet was accepted if [`packets_accepted`](PcapWriter::packets_accepted)
    /// counts it; do not write it again in this case.
    fn write_packet(&mut self, packet: &Packet<'_>) -> Result<(), Error> {
        let data = &packet.data()[..packet.data().len().min(self.snaplen as usize)];
        check(&packet.info())?;
        let head = head(&packet.info(), data.len());
        let size = head.len() + data.len();
        self.out.make_room(size)?;
        let bytes = &mut self.out.pending.bytes;
        bytes.extend_from_slice(&head);
        bytes.extend_from_slice(data);
        self.out.packet_appended(size)
    }

    /// Writes all buffered packets, and flushes the underlying writer. Does not wait for the disk.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if not everything could be written.
    fn flush(&mut self) -> Result<(), Error> {
        self.out.flush()
    }
}

impl<W: Write> fmt::Debug for PcapWriter<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PcapWriter")
            .field("snaplen", &self.snaplen)
            .field("out", &self.out)
            .finish()
    }
}

/// What is before a packet's data. Written by hand, because this is the hot path and it is only
/// four numbers.
#[inline]
pub(in crate::pcap) fn head(info: &CaptureInfo, bytes: usize) -> [u8; RECORD_HEADER] {
    let mut head = [0; RECORD_HEADER];
    let numbers = [
        info.timestamp.seconds() as u32,
        info.timestamp.subsec_nanos(),
        bytes as u32,
        info.length as u32,
    ];
    for (field, number) in head.chunks_exact_mut(4).zip(numbers) {
        field.copy_from_slice(&number.to_ne_bytes());
    }
    head
}

/// Whether `head` has room for the time and the length. Apart from it: a result with the bytes in it
/// would lie in memory, where what is stored in parts and loaded as a whole costs a wait.
#[inline]
pub(in crate::pcap) fn check(info: &CaptureInfo) -> Result<(), Error> {
    match info.timestamp.seconds().max(info.length as u64) > u32::MAX.into() {
        true => Err(no_room(info.timestamp, info.length)),
        false => Ok(()),
    }
}

#[cold]
fn no_room(time: Timestamp, length: usize) -> Error {
    let most = u32::MAX;
    if time.seconds() > most.into() {
        let problem = format!("{time} seconds, where pcap files end at {most} (in the year 2106)");
        return Error::config("packet time", problem);
    }
    let problem = format!("{length} bytes, where pcap files have room for {most}");
    Error::config("packet length", problem)
}

/// The size of the file's header, or of a record according to its own length field.
pub(in crate::pcap) fn measure(bytes: &[u8], first: bool) -> Option<(usize, bool)> {
    if first {
        return Some((FILE_HEADER, false));
    }
    let length = u32::from_ne_bytes(*bytes.get(8..)?.first_chunk()?);
    Some((RECORD_HEADER + length as usize, true))
}

//! Writes pcapng files: one section, a block per interface, a block per packet, counts at the end.

use std::fmt;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use pcap_file::pcapng::PcapNgWriter as Blocks;
use pcap_file::pcapng::blocks::PcapNgBlock;
use pcap_file::pcapng::blocks::interface_description::{
    InterfaceDescriptionBlock, InterfaceDescriptionOption, InterfaceTsResolution,
};
use pcap_file::pcapng::blocks::interface_statistics::{
    InterfaceStatisticsBlock, InterfaceStatisticsOption,
};
use pcap_file::pcapng::blocks::opt_common::CommonOption;
use pcap_file::pcapng::blocks::section_header::{SectionHeaderBlock, SectionHeaderOption};
use pcap_file::{DataLink, Endianness};

use super::interface::InterfaceInfo;
use super::record::{self, Frame, Tail, measure};
use crate::error::Error;
use crate::packet::Packet;
use crate::packet::direction::Direction;
use crate::packet::source::PacketSink;
use crate::packet::time::Timestamp;
use crate::pcap::file::{Compression, Effort};
use crate::pcap::output::{Outgoing, create};
use crate::pcap::packer::Packer;
use crate::pcap::record::checked_snaplen;

/// The counts of an interface at the end of a capture.
///
/// ```
/// use memif::Timestamp;
/// use memif::pcap::InterfaceStatistics;
///
/// let now = Timestamp::now();
/// let mut counts = InterfaceStatistics::default();
/// (counts.received, counts.accepted, counts.start, counts.end) = (10, 10, now, now);
/// assert_eq!(counts.dropped, 0);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct InterfaceStatistics {
    /// The number of packets received.
    pub received: u64,
    /// How many of these were lost before they reached the file.
    pub dropped: u64,
    /// How many of these passed the capture's filter.
    pub accepted: u64,
    /// How often the ring was found full, so that the peer may have dropped packets. A comment in
    /// the file says so, and what the next two are, unless they are 0.
    pub found_full: u64,
    /// The longest time between two reads of the ring.
    pub longest_pause: Duration,
    /// Bytes that waited to be written at most.
    pub buffered: u64,
    /// When the capture started.
    pub start: Timestamp,
    /// When it ended.
    pub end: Timestamp,
}

impl InterfaceStatistics {
    /// What the format has no option for.
    fn comment(&self) -> String {
        let mut parts = Vec::new();
        match self.found_full {
            0 => {}
            1 => parts.push("ring found full once: the peer may have dropped packets".into()),
            n => parts.push(format!(
                "ring found full {n} times: the peer may have dropped packets"
            )),
        }
        if !self.longest_pause.is_zero() {
            let pause = self.longest_pause.as_secs_f64() * 1e3;
            parts.push(format!("longest time between two reads {pause:.3} ms"));
        }
        if self.buffered > 0 {
            let most = self.buffered.div_ceil(1024);
            parts.push(format!("up to {most} KiB waited to be written"));
        }
        parts.join("; ")
    }
}

/// Writes a pcapng file with several interfaces, times in nanoseconds, and the direction of each
/// packet.
///
/// The file's header names the machine, the system and this program. It is written and flushed at
/// once. Packets are collected in a buffer of 256 KiB, which is written when it is full or
/// [`flush`](Self::flush) is called. If the file is a pipe, each packet is written at once. After
/// an error, the next call continues at the byte where the failed one stopped. Dropping the writer
/// also flushes, but can only log errors.
///
/// ```
/// use memif::pcap::{CaptureReader, InterfaceInfo, PcapNgWriter};
/// use memif::{Direction, LinkType, Packet, PacketSource, Timestamp};
///
/// let mut file = Vec::new();
/// let interfaces = ["left", "right"].map(|name| InterfaceInfo::new(name, LinkType::ETHERNET));
/// let mut writer = PcapNgWriter::new(&mut file, &interfaces)?;
/// let when = Timestamp::from_nanos(1_500_000_000_123_456_789);
/// writer.write_packet_on(1, Direction::Outbound, &Packet::whole(&[0xff; 60], when))?;
/// writer.close()?;
///
/// let mut reader = CaptureReader::new(&file[..])?;
/// let info = reader.read_packet()?.info();
/// assert_eq!((info.timestamp, info.direction), (when, Direction::Outbound));
/// assert_eq!(reader.interfaces()[info.interface_index as usize].name, "right");
/// # Ok::<(), memif::Error>(())
/// ```
pub struct PcapNgWriter<W: Write> {
    out: Outgoing<W>,
    /// Makes the blocks other than packets, and knows the interfaces.
    blocks: Blocks<Vec<u8>>,
    /// One for each interface.
    snaplens: Vec<u32>,
}

impl PcapNgWriter<File> {
    /// Creates a capture file, or truncates an existing one, with these interfaces, numbered from
    /// 0. A name that ends in `.gz` or `.zst` gives a compressed file, with the feature `compress`.
    /// Opening a named pipe blocks until somebody reads it.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the file can't be created or its header can't be written. [`Error::Config`]
    /// as for [`add_interface`](Self::add_interface).
    pub fn create(path: impl AsRef<Path>, interfaces: &[InterfaceInfo]) -> Result<Self, Error> {
        let path = path.as_ref();
        let (file, each) = create(path)?;
        Ok(Self::start(file, Some(path.to_owned()), interfaces)?.flush_each(each))
    }
}

impl<W: Write> PcapNgWriter<W> {
    /// Writes a capture to any writer, with these interfaces, numbered from 0.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the header can't be written. [`Error::Config`] as for
    /// [`add_interface`](Self::add_interface).
    pub fn new(writer: W, interfaces: &[InterfaceInfo]) -> Result<Self, Error> {
        Self::start(Packer::Plain(writer), None, interfaces)
    }

    /// Like [`new`](Self::new), compressed.
    ///
    /// # Errors
    ///
    /// As for `new`; [`Error::Config`] for a compression that needs the feature `compress`.
    pub fn compressed(
        writer: W,
        compression: Compression,
        interfaces: &[InterfaceInfo],
    ) -> Result<Self, Error> {
        Self::compressed_by(Effort::default(), writer, compression, interfaces)
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
        interfaces: &[InterfaceInfo],
    ) -> Result<Self, Error> {
        let packer = Packer::new(writer, compression, effort)?;
        Self::start(packer, None, interfaces)
    }

    /// Whether each packet is flushed at once, which is useful for a pipe. `false` by default,
    /// except if [`create`](PcapNgWriter::create) opened a pipe or a device.
    #[must_use]
    pub fn flush_each(mut self, each: bool) -> Self {
        self.out.flush_each = each;
        self
    }

    /// Adds an interface and returns its number. Packets of it may follow. Programs that use
    /// libpcap require that all interfaces of a file have the same link type and snap length.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] if the link type is above 65,535, the snap length 0, or a name or
    /// description longer than 65,535 bytes. [`Error::Io`] if the buffer can't be written.
    pub fn add_interface(&mut self, interface: &InterfaceInfo) -> Result<u32, Error> {
        use InterfaceDescriptionOption as Option;

        let number = u32::from(interface.link_type);
        if number > 0xffff {
            return Err(Error::config(
                "link type",
                format!("{number}, where a capture file has room for 65535"),
            ));
        }
        for (what, text) in [
            ("interface name", &interface.name),
            ("interface description", &interface.description),
        ] {
            if text.len() > usize::from(u16::MAX) {
                return Err(Error::config(
                    what,
                    format!("{} bytes, at most 65535 are possible", text.len()),
                ));
            }
        }
        let mut options = vec![Option::IfName(interface.name.as_str().into())];
        if !interface.description.is_empty() {
            options.push(Option::IfDescription(interface.description.as_str().into()));
        }
        options.push(Option::IfTsResol(InterfaceTsResolution::NANO));
        let snaplen = checked_snaplen(interface.snaplen)?;
        self.block(InterfaceDescriptionBlock {
            linktype: DataLink::from(number),
            snaplen,
            options,
        })?;
        self.snaplens.push(snaplen);
        Ok(self.snaplens.len() as u32 - 1)
    }

    /// Writes one packet of this interface and direction, cut to the snap length of its interface.
    /// May block in the underlying writer when the buffer is full.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the buffer can't be written. The packet was accepted if
    /// [`packets_accepted`](Self::packets_accepted) counts it. [`Error::Config`] for an interface
    /// that was not added, or for a packet of about 64 MiB or more.
    pub fn write_packet_on(
        &mut self,
        interface: u32,
        direction: Direction,
        packet: &Packet<'_>,
    ) -> Result<(), Error> {
        let Some(snaplen) = self.snaplens.get(interface as usize) else {
            return Err(self.no_interface(interface));
        };
        let info = packet.info();
        let data = &packet.data()[..packet.data().len().min(*snaplen as usize)];
        record::check(data.len())?;
        let frame = Frame::new(interface, direction, &info, data.len());
        self.out.make_room(frame.size)?;
        let bytes = &mut self.out.pending.bytes;
        bytes.extend_from_slice(&frame.head);
        bytes.extend_from_slice(data);
        bytes.extend_from_slice(&[0; 3][..frame.padding]);
        match &frame.tail {
            Tail::Options(tail) => bytes.extend_from_slice(tail),
            Tail::Length(tail) => bytes.extend_from_slice(tail),
        }
        self.out.packet_appended(frame.size)
    }

    /// Writes whole records of so many packets, as
    /// [`RecordFormat::PcapNg`](crate::pcap::RecordFormat::PcapNg) makes them, of interfaces that
    /// were added. What is many goes to the underlying writer as it is.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if they can't be written. They were accepted if
    /// [`packets_accepted`](Self::packets_accepted) counts them.
    pub fn write_records(&mut self, records: &[u8], packets: u64) -> Result<(), Error> {
        self.out.records(records, packets)
    }

    /// Writes the counts of an interface. Call it at the end of the file.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for an interface that was not added. [`Error::Io`] if the buffer can't be
    /// written.
    pub fn write_statistics(
        &mut self,
        interface: u32,
        counts: &InterfaceStatistics,
    ) -> Result<(), Error> {
        use InterfaceStatisticsOption as Option;

        if interface as usize >= self.snaplens.len() {
            return Err(self.no_interface(interface));
        }
        let time = |time: Timestamp| Duration::from_nanos(time.as_nanos());
        let mut options = vec![
            Option::IsbStartTime(time(counts.start)),
            Option::IsbEndTime(time(counts.end)),
            Option::IsbIfRecv(counts.received),
            Option::IsbIfDrop(counts.dropped),
            Option::IsbFilterAccept(counts.accepted),
        ];
        let comment = counts.comment();
        if !comment.is_empty() {
            options.push(Option::Common(CommonOption::Comment(comment.into())));
        }
        self.block(InterfaceStatisticsBlock {
            interface_id: interface,
            timestamp: time(counts.end),
            options,
        })
    }

    /// Writes all buffered packets. May block in the underlying writer.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if not everything could be written.
    pub fn flush(&mut self) -> Result<(), Error> {
        self.out.flush()
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

    /// Discards the buffer. It is never written, not even when the writer is dropped.
    pub fn abandon(&mut self) {
        self.out.abandon();
    }

    /// The underlying writer. Packets that are still in the buffer have not reached it.
    pub fn get_mut(&mut self) -> &mut W {
        self.out.get_mut()
    }

    /// The number of packets accepted, written or still in the buffer.
    pub fn packets_accepted(&self) -> u64 {
        self.out.pending.packets_in
    }

    /// The number of packets that have been written completely.
    pub fn packets_written(&self) -> u64 {
        self.out.pending.packets_out
    }

    /// The size in bytes that the file will have when everything accepted is written.
    pub fn bytes_accepted(&self) -> u64 {
        self.out.pending.bytes_in
    }

    /// The number of bytes of the blocks that have been written completely.
    pub fn bytes_written(&self) -> u64 {
        self.out.pending.bytes_out
    }

    fn start(
        writer: Packer<W>,
        path: Option<PathBuf>,
        interfaces: &[InterfaceInfo],
    ) -> Result<Self, Error> {
        let section = SectionHeaderBlock {
            endianness: Endianness::native(),
            options: vec![
                SectionHeaderOption::Hardware(hardware().into()),
                SectionHeaderOption::OS(system().into()),
                SectionHeaderOption::UserApplication(
                    concat!("memif ", env!("CARGO_PKG_VERSION")).into(),
                ),
            ],
            ..SectionHeaderBlock::default()
        };
        let blocks = Blocks::with_section_header(Vec::new(), section).map_err(unencoded)?;
        let mut this = Self {
            out: Outgoing::new(writer, path, measure),
            blocks,
            snaplens: Vec::new(),
        };
        this.append();
        for interface in interfaces {
            this.add_interface(interface)?;
        }
        this.out.open()?;
        Ok(this)
    }

    fn block<'a>(&mut self, block: impl PcapNgBlock<'a>) -> Result<(), Error> {
        self.blocks.write_pcapng_block(block).map_err(unencoded)?;
        self.append();
        Ok(())
    }

    /// Appends the blocks that were made.
    fn append(&mut self) {
        let made = self.blocks.get_mut();
        self.out.pending.bytes.extend_from_slice(made);
        self.out.pending.appended(made.len(), 0);
        made.clear();
    }

    fn no_interface(&self, number: u32) -> Error {
        let count = self.snaplens.len();
        Error::config(
            "interface",
            format!("number {number}, of {count} in the file"),
        )
    }
}

/// Writes packets with the direction and the interface that their [`info`](Packet::info) has. In a
/// file with one interface all packets are of that. Otherwise
/// [`write_packet_on`](PcapNgWriter::write_packet_on) says which.
impl<W: Write> PacketSink for PcapNgWriter<W> {
    fn write_packet(&mut self, packet: &Packet<'_>) -> Result<(), Error> {
        let info = packet.info();
        let interface = match self.snaplens.len() {
            1 => 0,
            _ => info.interface_index,
        };
        self.write_packet_on(interface, info.direction, packet)
    }

    fn flush(&mut self) -> Result<(), Error> {
        Self::flush(self)
    }
}

impl<W: Write> fmt::Debug for PcapNgWriter<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PcapNgWriter")
            .field("snaplens", &self.snaplens)
            .field("out", &self.out)
            .finish_non_exhaustive()
    }
}

fn unencoded(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::io("making a pcapng block", std::io::Error::other(error))
}

fn hardware() -> String {
    let named = fs::read_to_string("/proc/cpuinfo").ok().and_then(|text| {
        let line = text.lines().find(|line| line.starts_with("model name"))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    });
    named.unwrap_or_else(|| std::env::consts::ARCH.to_owned())
}

fn system() -> String {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("Linux {}", release.trim()).trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::packet::CaptureInfo;
    use crate::packet::link_type::LinkType;

    /// Accepts everything; or one byte at a time, and fails every second time.
    struct Stuttering<'a>(&'a mut Vec<u8>, Option<bool>);

    impl Write for Stuttering<'_> {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let Some(fails) = &mut self.1 else {
                return self.0.write(bytes);
            };
            *fails = !*fails;
            if *fails {
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
        let packet = Packet::new(b"abcde", CaptureInfo::whole(9, Timestamp::default()));
        let interface = InterfaceInfo::new("a", LinkType::ETHERNET);
        let mut whole = Vec::new();
        let mut writer = PcapNgWriter::new(&mut whole, std::slice::from_ref(&interface)).unwrap();
        writer
            .write_packet_on(0, Direction::Outbound, &packet)
            .unwrap();
        writer.close().unwrap();

        let mut bytes = Vec::new();
        let mut writer = PcapNgWriter::new(Stuttering(&mut bytes, None), &[interface]).unwrap();
        writer.get_mut().1 = Some(false);
        writer
            .write_packet_on(0, Direction::Outbound, &packet)
            .unwrap();
        assert_eq!(
            (writer.packets_accepted(), writer.packets_written()),
            (1, 0)
        );
        let header = writer.bytes_written();
        while writer.flush().is_err() {
            // A packet counts only when it is complete.
            let done = (writer.packets_written(), writer.bytes_written());
            assert_eq!(done, (0, header));
        }
        assert_eq!(writer.packets_written(), 1);
        assert_eq!(writer.bytes_written(), whole.len() as u64);
        drop(writer);
        assert_eq!(bytes, whole);
    }
}

//! Reads the records of a pcap file. A record has four 32-bit numbers (seconds, fraction, captured
//! bytes, bytes on the wire) and then the captured bytes.

use pcap_file::Endianness;
use pcap_file::pcap::{PcapParser, PcapTsResolution};

use super::RECORD_HEADER;
use crate::packet::direction::Direction;
use crate::packet::link_type::LinkType;
use crate::packet::time::Timestamp;
use crate::packet::{CaptureInfo, DEFAULT_SNAPLEN};
use crate::pcap::ng::interface::InterfaceInfo;
use crate::pcap::record::{MAX_RECORD, Step};

/// Whether a file that starts with these bytes is a pcap file.
pub(crate) fn recognises(magic: [u8; 4]) -> bool {
    // Microseconds or nanoseconds, in big and little endian.
    matches!(
        u32::from_be_bytes(magic),
        0xa1b2_c3d4 | 0xa1b2_3c4d | 0xd4c3_b2a1 | 0x4d3c_b2a1
    )
}

#[derive(Debug)]
pub(crate) struct Classic {
    pub(crate) interface: InterfaceInfo,
    order: Endianness,
    /// Nanoseconds in a unit of the fraction, and how many units a second has.
    fraction: (u64, u32),
    limit: u32,
}

impl Classic {
    /// Reads the file header, of which all [`FILE_HEADER`](super::FILE_HEADER) bytes must be there.
    pub(crate) fn new(bytes: &[u8]) -> Result<Self, String> {
        let (_, parser) = PcapParser::new(bytes).map_err(|error| error.to_string())?;
        let header = parser.header();
        if header.version_major != 2 {
            return Err(format!(
                "pcap version {}.{}; only version 2 can be read",
                header.version_major, header.version_minor
            ));
        }
        Ok(Self {
            // The upper half may describe a frame check sequence.
            interface: InterfaceInfo {
                snaplen: Some(header.snaplen).filter(|bytes| *bytes > 0),
                ..InterfaceInfo::new("", LinkType::from(u32::from(header.datalink) & 0xffff))
            },
            order: header.endianness,
            fraction: match header.ts_resolution {
                PcapTsResolution::MicroSecond => (1000, 1_000_000),
                PcapTsResolution::NanoSecond => (1, 1_000_000_000),
            },
            limit: longest(header.snaplen),
        })
    }

    /// Written by hand, because a replay reads millions of records per second, and this is eight
    /// times as fast as the crate.
    #[inline]
    pub(crate) fn step(&self, bytes: &[u8]) -> Result<Step, String> {
        let Some(header) = bytes.first_chunk::<RECORD_HEADER>() else {
            return Ok(Step::More(RECORD_HEADER));
        };
        let number = |at: usize| {
            let bytes = [header[at], header[at + 1], header[at + 2], header[at + 3]];
            match self.order {
                Endianness::Big => u32::from_be_bytes(bytes),
                Endianness::Little => u32::from_le_bytes(bytes),
            }
        };
        let (seconds, fraction, captured, length) = (number(0), number(4), number(8), number(12));
        let (unit, most) = self.fraction;
        let size = RECORD_HEADER + captured as usize;
        if bytes.len() < size && captured <= self.limit {
            return Ok(Step::More(size));
        }
        if captured > self.limit || fraction >= most || length < captured {
            return Err(self.damaged(fraction, captured, length));
        }
        let nanos = u64::from(seconds) * 1_000_000_000 + u64::from(fraction) * unit;
        Ok(Step::Packet {
            size,
            data: RECORD_HEADER..size,
            info: CaptureInfo {
                timestamp: Timestamp::from_nanos(nanos),
                capture_length: captured as usize,
                length: length as usize,
                interface_index: 0,
                direction: Direction::Unknown,
            },
            comment: None,
        })
    }

    #[cold]
    fn damaged(&self, fraction: u32, captured: u32, length: u32) -> String {
        let problem = if captured > self.limit {
            let limit = self.limit;
            format!("a packet of {captured} bytes, where {limit} is the most")
        } else if length < captured {
            format!("{captured} bytes captured of a packet of {length}")
        } else if self.fraction.0 == 1 {
            format!("a time with {fraction} nanoseconds in the second")
        } else {
            format!("a time with {fraction} microseconds in the second")
        };
        format!("{problem}: the file is damaged here")
    }
}

/// Some tools write packets that are longer than the snap length in the header. Other readers
/// accept them up to the default snap length.
fn longest(snaplen: u32) -> u32 {
    match snaplen {
        0 => MAX_RECORD as u32,
        some => some.max(DEFAULT_SNAPLEN).min(MAX_RECORD as u32),
    }
}

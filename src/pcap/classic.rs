//! Records of a pcap file: four 32-bit numbers (seconds, fraction, bytes
//! captured, bytes on the wire), then the captured bytes.

use pcap_file::pcap::{PcapHeader, PcapParseError, PcapParser, PcapValidationError};

use super::{DEFAULT_SNAPLEN, MAX_RECORD, Step};
use crate::{CaptureInfo, LinkType, Timestamp};

pub(super) const FILE_HEADER: usize = 24;
pub(super) const RECORD_HEADER: usize = 16;

/// Whether a file that starts like this is a pcap.
pub(super) fn recognises(magic: [u8; 4]) -> bool {
    // Seconds and microseconds, seconds and nanoseconds; big and little endian.
    matches!(
        u32::from_be_bytes(magic),
        0xa1b2_c3d4 | 0xa1b2_3c4d | 0xd4c3_b2a1 | 0x4d3c_b2a1
    )
}

#[derive(Debug)]
pub(super) struct Classic {
    parser: PcapParser,
    header: PcapHeader,
    limit: u32,
}

impl Classic {
    /// From the file header, of which all [`FILE_HEADER`] bytes must be there.
    pub(super) fn new(bytes: &[u8]) -> Result<Self, String> {
        let (_, parser) = PcapParser::new(bytes).map_err(|error| error.to_string())?;
        let header = parser.header();
        if header.version_major != 2 {
            return Err(format!(
                "pcap version {}.{}; only version 2 can be read",
                header.version_major, header.version_minor
            ));
        }
        Ok(Self {
            parser,
            header,
            limit: longest(header.snaplen),
        })
    }

    pub(super) fn link_type(&self) -> LinkType {
        // The upper half may tell of a frame check sequence.
        LinkType::from(u32::from(self.header.datalink) & 0xffff)
    }

    pub(super) fn step(&self, bytes: &[u8]) -> Result<Step, String> {
        // Raw, because the checked way takes a snap length of 0 at its word.
        let raw = match self.parser.next_raw_packet(bytes) {
            Ok((_, raw)) => raw,
            Err(PcapParseError::IncompleteBuffer(..)) if bytes.len() < RECORD_HEADER => {
                return Ok(Step::More(RECORD_HEADER));
            }
            Err(PcapParseError::IncompleteBuffer(length, _)) if length <= self.limit as usize => {
                return Ok(Step::More(RECORD_HEADER + length));
            }
            Err(PcapParseError::IncompleteBuffer(length, _)) => {
                return Err(too_long(length, self.limit));
            }
            Err(PcapParseError::Validation(error)) => return Err(explain(&error)),
        };
        let packet = raw
            .try_into_pcap_packet(self.header.ts_resolution, self.limit)
            .map_err(|error| explain(&error))?;

        let size = RECORD_HEADER + packet.data().len();
        let time = packet.timestamp();
        let nanos = time.as_secs() * 1_000_000_000 + u64::from(time.subsec_nanos());
        Ok(Step::Packet {
            size,
            data: RECORD_HEADER..size,
            info: CaptureInfo {
                timestamp: Timestamp::from_nanos(nanos),
                capture_length: packet.data().len(),
                length: packet.orig_len() as usize,
                interface_index: 0,
            },
        })
    }
}

/// Packets somewhat longer than the header's snap length occur in files of
/// careless tools; other readers take them up to the default.
fn longest(snaplen: u32) -> u32 {
    match snaplen {
        0 => MAX_RECORD as u32,
        some => some.max(DEFAULT_SNAPLEN).min(MAX_RECORD as u32),
    }
}

fn too_long(length: usize, limit: u32) -> String {
    format!("a packet of {length} bytes, where {limit} is the most: the file is damaged here")
}

fn explain(error: &PcapValidationError) -> String {
    use PcapValidationError as E;
    match error {
        E::TsFracMicroTooBig(n) => {
            format!("a time with {n} microseconds in the second: the file is damaged here")
        }
        E::TsFracNanoTooBig(n) => {
            format!("a time with {n} nanoseconds in the second: the file is damaged here")
        }
        E::IncludedLenTooBig(length, limit) => too_long(*length as usize, *limit),
        E::OriginLenTooSmall(length, captured) => {
            format!("{captured} bytes captured of a packet of {length}: the file is damaged here")
        }
        other => other.to_string(),
    }
}

//! Reads the blocks of a pcapng file. A block has a type, its length, a body, and its length again.
//!
//! Options are read here and hidden from `pcap-file`. It refuses a whole file because of a name
//! that is not UTF-8, a clock with a resolution below a nanosecond, or a packet from before 1970.

use std::error::Error as _;

use pcap_file::Endianness;
use pcap_file::pcapng::blocks::{
    ENHANCED_PACKET_BLOCK, INTERFACE_DESCRIPTION_BLOCK, PACKET_BLOCK, SECTION_HEADER_BLOCK,
    SIMPLE_PACKET_BLOCK,
};
use pcap_file::pcapng::{Block, PcapNgParseError, PcapNgParser};

use super::interface::InterfaceInfo;
use super::options::{Options, PacketOptions, u32_at};
use crate::packet::CaptureInfo;
use crate::packet::link_type::LinkType;
use crate::packet::time::Timestamp;
use crate::pcap::record::{MAX_RECORD, Step};

/// The type of a file's first block, the same in both byte orders.
pub(crate) const MAGIC: [u8; 4] = SECTION_HEADER_BLOCK.to_be_bytes();

/// The shortest block: type and both lengths.
const BLOCK_FRAME: usize = 12;
/// Offsets from the start of a block.
const SECTION_OPTIONS: usize = 24;
const INTERFACE_RESERVED: usize = 10;
const INTERFACE_OPTIONS: usize = 16;
const PACKET_CAPTURED: usize = 20;
const PACKET_DATA: usize = 28;
const SIMPLE_DATA: usize = 12;

#[derive(Debug, Default)]
pub(crate) struct Ng {
    /// Exists from the first section header on.
    parser: Option<PcapNgParser>,
    /// The interfaces of the section, and their clocks.
    pub(crate) interfaces: Vec<InterfaceInfo>,
    clocks: Vec<Clock>,
    /// The link type of the first interface, once its block has been read.
    pub(crate) link_type: Option<LinkType>,
}

impl Ng {
    pub(crate) fn step(&mut self, bytes: &mut [u8]) -> Result<Step, String> {
        let Some(frame) = Frame::at(bytes, self.parser.as_ref())? else {
            return Ok(Step::More(BLOCK_FRAME));
        };
        let Some(block) = bytes.get_mut(..frame.size) else {
            return Ok(Step::More(frame.size));
        };
        let (described, options) = prepare(block, &frame)?;

        let Some(parser) = &mut self.parser else {
            let (_, parser) = PcapNgParser::new(block).map_err(|error| explain(&error))?;
            supported(&parser)?;
            self.parser = Some(parser);
            return Ok(Step::Skip(frame.size));
        };
        let (_, raw) = parser
            .next_raw_block(block)
            .map_err(|error| explain(&error))?;
        match raw.type_ {
            SECTION_HEADER_BLOCK => {
                supported(parser)?;
                self.clocks.clear();
                self.interfaces.clear();
                return Ok(Step::Skip(frame.size));
            }
            INTERFACE_DESCRIPTION_BLOCK => {
                if let (Some(interface), Some(block)) = (described, parser.interfaces().last()) {
                    let link_type = LinkType::from(u32::from(block.linktype));
                    self.link_type.get_or_insert(link_type);
                    self.clocks.push(interface.clock);
                    self.interfaces.push(InterfaceInfo {
                        name: interface.name,
                        description: interface.description,
                        snaplen: Some(block.snaplen).filter(|bytes| *bytes > 0),
                        link_type,
                    });
                }
                return Ok(Step::Skip(frame.size));
            }
            ENHANCED_PACKET_BLOCK | PACKET_BLOCK | SIMPLE_PACKET_BLOCK => {}
            // Statistics, names, keys and custom blocks may be damaged without harm to the packets.
            _ => return Ok(Step::Skip(frame.size)),
        }

        let parsed = raw.try_into_block(parser.state());
        let (interface, ticks, length, captured, start) =
            match parsed.map_err(|error| explain(&PcapNgParseError::from(error)))? {
                Block::EnhancedPacket(p) => (
                    p.interface_id,
                    p.timestamp.as_micros(),
                    p.original_len,
                    p.data.len(),
                    PACKET_DATA,
                ),
                Block::Packet(p) => (
                    p.interface_id.into(),
                    p.timestamp.as_micros(),
                    p.original_len,
                    p.data.len(),
                    PACKET_DATA,
                ),
                Block::SimplePacket(p) => (0, 0, p.original_len, p.data.len(), SIMPLE_DATA),
                _ => return Ok(Step::Skip(frame.size)),
            };
        self.same_link_type(interface)?;
        let timestamp = match self.clocks.get(interface as usize) {
            // Because its options are hidden, the interface seems to count microseconds. These are
            // the file's ticks.
            Some(clock) if start == PACKET_DATA => clock.time(ticks as u64),
            _ => Timestamp::from_nanos(0),
        };
        Ok(Step::Packet {
            size: frame.size,
            data: start..start + captured,
            info: CaptureInfo {
                timestamp,
                capture_length: captured,
                length: length as usize,
                interface_index: interface,
                direction: options.direction,
            },
            comment: options.comment,
        })
    }

    /// A packet with another link type would be misread.
    fn same_link_type(&self, interface: u32) -> Result<(), String> {
        let theirs = self.interfaces.get(interface as usize);
        let (Some(ours), Some(theirs)) = (self.link_type, theirs.map(|i| i.link_type)) else {
            return Ok(());
        };
        if theirs == ours {
            return Ok(());
        }
        Err(format!(
            "a packet of interface {interface}, whose link type is {theirs}, in a file that began with {ours}: \
             split the file by interface first"
        ))
    }
}

/// What the options of an interface block say.
#[derive(Default)]
struct Described {
    name: String,
    description: String,
    clock: Clock,
}

/// The clock of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Clock {
    /// A tick is 10^-n seconds, or 2^-n if the top bit is set.
    resolution: u8,
    /// Seconds to add.
    offset: i64,
}

impl Default for Clock {
    fn default() -> Self {
        Self {
            resolution: 6,
            offset: 0,
        }
    }
}

impl Described {
    const NAME: u16 = 2;
    const DESCRIPTION: u16 = 3;
    const RESOLUTION: u16 = 9;
    const OFFSET: u16 = 14;

    /// Of options that come twice the first one counts.
    fn read(options: &[u8], order: Endianness) -> Result<Self, String> {
        let (mut name, mut description, mut resolution, mut offset) = (None, None, None, None);
        for option in Options::new(options, order) {
            let (code, value) = option?;
            let text = || String::from_utf8_lossy(value).into_owned();
            match code {
                Self::NAME => name = name.or_else(|| Some(text())),
                Self::DESCRIPTION => description = description.or_else(|| Some(text())),
                Self::RESOLUTION => resolution = resolution.or(value.first().copied()),
                Self::OFFSET => {
                    let seconds = <[u8; 8]>::try_from(value).ok().map(|bytes| match order {
                        Endianness::Big => i64::from_be_bytes(bytes),
                        Endianness::Little => i64::from_le_bytes(bytes),
                    });
                    offset = offset.or(seconds);
                }
                _ => {}
            }
        }
        let default = Clock::default();
        Ok(Self {
            name: name.unwrap_or_default(),
            description: description.unwrap_or_default(),
            clock: Clock {
                resolution: resolution.unwrap_or(default.resolution),
                offset: offset.unwrap_or(default.offset),
            },
        })
    }
}

impl Clock {
    /// Times before 1970 and after 2554 become the nearest possible time.
    fn time(self, ticks: u64) -> Timestamp {
        const SECOND: u128 = 1_000_000_000;
        let exponent = u32::from(self.resolution & 0x7f);
        let since = if self.resolution & 0x80 != 0 {
            (u128::from(ticks) * SECOND) >> exponent
        } else if exponent <= 9 {
            u128::from(ticks) * 10u128.pow(9 - exponent)
        } else {
            // Above 10^38 the divisor exceeds any number of ticks.
            10u128
                .checked_pow(exponent - 9)
                .map_or(0, |divisor| u128::from(ticks) / divisor)
        };
        let nanos = since as i128 + i128::from(self.offset) * SECOND as i128;
        Timestamp::from_nanos(nanos.clamp(0, i128::from(u64::MAX)) as u64)
    }
}

/// The contents of a block's first twelve bytes.
struct Frame {
    kind: u32,
    size: usize,
    order: Endianness,
}

impl Frame {
    fn at(bytes: &[u8], parser: Option<&PcapNgParser>) -> Result<Option<Self>, String> {
        let Some(&[a, b, c, d, e, f, g, h, m @ ..]) = bytes.first_chunk::<BLOCK_FRAME>() else {
            return Ok(None);
        };
        let order = match ([a, b, c, d] == MAGIC, parser) {
            // A section header defines its own byte order.
            (true, _) => match u32::from_be_bytes(m) {
                0x1a2b_3c4d => Endianness::Big,
                0x4d3c_2b1a => Endianness::Little,
                other => {
                    return Err(format!(
                        "a section header with byte-order magic {other:#010x}"
                    ));
                }
            },
            (false, Some(parser)) => parser.state().endianness(),
            (false, None) => return Err("no section header at the start of a pcapng file".into()),
        };
        let size = u32_at([e, f, g, h], order) as usize;
        if size > MAX_RECORD {
            return Err(format!(
                "a block of {size} bytes, where {MAX_RECORD} is the most: the file is damaged here"
            ));
        }
        if size < BLOCK_FRAME || !size.is_multiple_of(4) {
            return Err(format!(
                "a block of {size} bytes; blocks have {BLOCK_FRAME} at least and a multiple of 4: the file is damaged here"
            ));
        }
        Ok(Some(Self {
            kind: u32_at([a, b, c, d], order),
            size,
            order,
        }))
    }
}

/// Reads the options that are needed, and hides all options.
fn prepare(block: &mut [u8], frame: &Frame) -> Result<(Option<Described>, PacketOptions), String> {
    let end = frame.size - 4;
    match frame.kind {
        SECTION_HEADER_BLOCK => hide(block, SECTION_OPTIONS, end),
        INTERFACE_DESCRIPTION_BLOCK if INTERFACE_OPTIONS <= end => {
            let described = Described::read(&block[INTERFACE_OPTIONS..end], frame.order)?;
            hide(block, INTERFACE_OPTIONS, end);
            // Reserved bytes. Readers have to ignore them, but pcap-file requires zeroes.
            block[INTERFACE_RESERVED..INTERFACE_RESERVED + 2].fill(0);
            return Ok((Some(described), PacketOptions::default()));
        }
        ENHANCED_PACKET_BLOCK | PACKET_BLOCK => {
            if let Some(captured) = block
                .get(PACKET_CAPTURED..)
                .and_then(|rest| rest.first_chunk())
            {
                let captured = u32_at(*captured, frame.order) as usize;
                let options = PACKET_DATA.saturating_add(captured.next_multiple_of(4));
                let found = block.get(options..end).unwrap_or_default();
                let found = PacketOptions::read(found, frame.order);
                hide(block, options, end);
                return Ok((None, found));
            }
        }
        _ => {}
    }
    Ok(Default::default())
}

/// Writes the end-of-options mark to where the options begin.
fn hide(block: &mut [u8], options: usize, end: usize) {
    if let Some(code) = block
        .get_mut(options..end)
        .and_then(|rest| rest.first_chunk_mut::<4>())
    {
        *code = [0; 4];
    }
}

fn supported(parser: &PcapNgParser) -> Result<(), String> {
    let section = parser.section();
    if section.major_version == 1 {
        return Ok(());
    }
    Err(format!(
        "a pcapng section of version {}.{}; only version 1 can be read",
        section.major_version, section.minor_version
    ))
}

/// Joins the whole chain of errors, because the outermost one says only that a block is wrong.
fn explain(error: &PcapNgParseError) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        let inner_text = inner.to_string();
        if !text.ends_with(&inner_text) {
            text = format!("{text}: {inner_text}");
        }
        source = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_of_every_resolution_convert_and_saturate() {
        let nanos = |resolution, offset, ticks| Clock { resolution, offset }.time(ticks).as_nanos();
        assert_eq!(nanos(0, 0, 3), 3_000_000_000);
        assert_eq!(nanos(6, 0, 1_500_000), 1_500_000_000);
        assert_eq!(nanos(9, 0, 123), 123);
        assert_eq!(nanos(12, 0, 5_999), 5);
        assert_eq!(nanos(127, 0, u64::MAX), 0);
        assert_eq!(nanos(0x80, 0, 2), 2_000_000_000);
        assert_eq!(nanos(0x80 | 10, 0, 1536), 1_500_000_000);
        assert_eq!(nanos(0x80 | 32, 0, 3 << 31), 1_500_000_000);
        assert_eq!(nanos(0xff, 0, u64::MAX), 0);
        assert_eq!(nanos(6, 10, 1), 10_000_001_000);
        assert_eq!(nanos(6, -10, 1), 0);
        assert_eq!(nanos(0, 0, u64::MAX), u64::MAX);
        assert_eq!(nanos(0, i64::MIN, u64::MAX), u64::MAX);
        assert_eq!(nanos(9, i64::MAX, 0), u64::MAX);
    }
}

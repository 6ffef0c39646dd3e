//! The options of a block: a code, a length, and so many bytes, each padded to a multiple of 4.

use pcap_file::Endianness;

use crate::packet::direction::Direction;

/// Walks through the options of a block, up to the mark of their end.
pub(super) struct Options<'a> {
    bytes: &'a [u8],
    order: Endianness,
}

impl<'a> Options<'a> {
    pub(super) fn new(bytes: &'a [u8], order: Endianness) -> Self {
        Self { bytes, order }
    }
}

/// The code and the value; an error for one that runs past the block's end, and then nothing.
impl<'a> Iterator for Options<'a> {
    type Item = Result<(u16, &'a [u8]), String>;

    fn next(&mut self) -> Option<Self::Item> {
        let (head, rest) = self.bytes.split_first_chunk::<4>()?;
        let code = u16_at([head[0], head[1]], self.order);
        let length = usize::from(u16_at([head[2], head[3]], self.order));
        self.bytes = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        if code == 0 {
            self.bytes = &[];
            return None;
        }
        let value = rest.get(..length).ok_or_else(|| {
            self.bytes = &[];
            format!("option {code} runs {length} bytes, past the end of its block")
        });
        Some(value.map(|value| (code, value)))
    }
}

/// What the options of a packet say. Damage to them is no harm to the packet.
#[derive(Debug, Default)]
pub(super) struct PacketOptions {
    pub(super) direction: Direction,
    pub(super) comment: Option<String>,
}

const COMMENT: u16 = 1;
const FLAGS: u16 = 2;

impl PacketOptions {
    pub(super) fn read(bytes: &[u8], order: Endianness) -> Self {
        let mut this = Self::default();
        for (code, value) in Options::new(bytes, order).map_while(Result::ok) {
            match (code, value) {
                (COMMENT, text) if this.comment.is_none() => {
                    this.comment = Some(String::from_utf8_lossy(text).into_owned());
                }
                (FLAGS, &[a, b, c, d]) => {
                    this.direction = match u32_at([a, b, c, d], order) & 3 {
                        1 => Direction::Inbound,
                        2 => Direction::Outbound,
                        _ => Direction::Unknown,
                    };
                }
                _ => {}
            }
        }
        this
    }
}

pub(super) fn u16_at(bytes: [u8; 2], order: Endianness) -> u16 {
    match order {
        Endianness::Big => u16::from_be_bytes(bytes),
        Endianness::Little => u16::from_le_bytes(bytes),
    }
}

pub(super) fn u32_at(bytes: [u8; 4], order: Endianness) -> u32 {
    match order {
        Endianness::Big => u32::from_be_bytes(bytes),
        Endianness::Little => u32::from_le_bytes(bytes),
    }
}

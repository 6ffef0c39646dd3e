//! The record of a packet. Written by hand, because this is the hot path.

use pcap_file::pcapng::blocks::ENHANCED_PACKET_BLOCK;

use crate::error::Error;
use crate::packet::CaptureInfo;
use crate::packet::direction::Direction;
use crate::pcap::record::MAX_RECORD;

/// Bytes from the start of a packet block to its data.
const HEADER: usize = 28;
/// Bytes after the data: the option for the direction, the end of options, and the block's length
/// again. Without a direction there is that length alone.
const TRAILER: usize = 16;
const LENGTH: usize = 4;
const OPTION_FLAGS: u16 = 2;

/// What is around a packet's data.
pub(in crate::pcap) struct Frame {
    pub(in crate::pcap) head: [u8; HEADER],
    /// Zeros after the data.
    pub(in crate::pcap) padding: usize,
    pub(in crate::pcap) tail: Tail,
    /// Of it all.
    pub(in crate::pcap) size: usize,
}

impl Frame {
    #[inline]
    pub(in crate::pcap) fn new(
        interface: u32,
        direction: Direction,
        info: &CaptureInfo,
        bytes: usize,
    ) -> Self {
        let padding = bytes.next_multiple_of(4) - bytes;
        let flags: u32 = match direction {
            Direction::Inbound => 1,
            Direction::Outbound => 2,
            Direction::Unknown => 0,
        };
        let trailer = if flags == 0 { LENGTH } else { TRAILER };
        let size = HEADER + bytes + padding + trailer;
        let time = info.timestamp.as_nanos();
        let original = u32::try_from(info.length).unwrap_or(u32::MAX);
        let head = [
            ENHANCED_PACKET_BLOCK,
            size as u32,
            interface,
            (time >> 32) as u32,
            time as u32,
            bytes as u32,
            original,
        ];
        let option = u32::from_ne_bytes(halves(OPTION_FLAGS, 4));
        Self {
            head: numbers(&head),
            padding,
            tail: match flags {
                0 => Tail::Length(numbers(&[size as u32])),
                _ => Tail::Options(numbers(&[option, flags, 0, size as u32])),
            },
            size,
        }
    }
}

/// What follows the padding; two arrays, as the compiler copies these without a call.
pub(in crate::pcap) enum Tail {
    Options([u8; TRAILER]),
    Length([u8; LENGTH]),
}

/// Whether a record may hold so many bytes; apart from `Frame::new`, as in `classic`.
#[inline]
pub(in crate::pcap) fn check(bytes: usize) -> Result<(), Error> {
    match bytes > MAX_RECORD - HEADER - TRAILER {
        true => Err(too_long(bytes)),
        false => Ok(()),
    }
}

#[cold]
fn too_long(bytes: usize) -> Error {
    let problem = format!("{bytes} bytes; a record has {MAX_RECORD} at most");
    Error::config("packet", problem)
}

/// The size of a block according to its own length field, and whether it is a packet.
pub(in crate::pcap) fn measure(bytes: &[u8], _first: bool) -> Option<(usize, bool)> {
    let number = |at: usize| Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?));
    Some((number(4)? as usize, number(0)? == ENHANCED_PACKET_BLOCK))
}

/// Adds to the number of a packet's interface.
pub(in crate::pcap) fn renumber(record: &mut [u8], add: u32) {
    if let Some(number) = record
        .get_mut(8..)
        .and_then(|bytes| bytes.first_chunk_mut())
    {
        *number = u32::from_ne_bytes(*number).wrapping_add(add).to_ne_bytes();
    }
}

fn halves(first: u16, second: u16) -> [u8; 4] {
    let ([a, b], [c, d]) = (first.to_ne_bytes(), second.to_ne_bytes());
    [a, b, c, d]
}

fn numbers<const BYTES: usize>(numbers: &[u32]) -> [u8; BYTES] {
    let mut bytes = [0; BYTES];
    for (field, number) in bytes.chunks_exact_mut(4).zip(numbers) {
        field.copy_from_slice(&number.to_ne_bytes());
    }
    bytes
}

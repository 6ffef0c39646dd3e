//! What the formats have in common: records with a packet in them, or without.

use std::ops::Range;

use crate::packet::CaptureInfo;

/// The snap length of a file whose writer asks for none, in bytes; what
/// tcpdump and Wireshark take as the most.
pub const DEFAULT_SNAPLEN: u32 = 262_144;

/// The longest packet or block that is believed. Real ones stay far below; a
/// damaged length must not make a reader ask for gigabytes.
pub(super) const MAX_RECORD: usize = 64 << 20;

/// What lies at the start of the bytes that were read so far.
pub(super) enum Step {
    /// Not yet a whole record: it has this many bytes, or more.
    More(usize),
    /// A record of this size without a packet in it.
    Skip(usize),
    /// A record of this size with a packet at these bytes of it.
    Packet {
        size: usize,
        data: Range<usize>,
        info: CaptureInfo,
    },
}

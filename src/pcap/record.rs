//! What the formats have in common: records with or without a packet.

use std::ops::Range;

use crate::packet::CaptureInfo;

/// The snap length of a file, in bytes, unless another is given. It is the maximum of tcpdump and
/// Wireshark.
pub const DEFAULT_SNAPLEN: u32 = 262_144;

/// The longest packet or block that is accepted. Real ones are much shorter, and a damaged length
/// must not make a reader allocate gigabytes.
pub(super) const MAX_RECORD: usize = 64 << 20;

/// What is at the start of the bytes that were read so far.
pub(super) enum Step {
    /// Not yet a whole record. It has at least this many bytes.
    More(usize),
    /// A record of this size without a packet.
    Skip(usize),
    /// A record of this size, with a packet in these bytes of it.
    Packet {
        size: usize,
        data: Range<usize>,
        info: CaptureInfo,
    },
}

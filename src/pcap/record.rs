//! What the formats have in common: records with or without a packet.

use std::ops::Range;

use crate::error::Error;
use crate::packet::{CaptureInfo, DEFAULT_SNAPLEN};

/// The longest packet or block that is accepted. Real ones are much shorter, and a damaged length
/// must not make a reader allocate gigabytes.
pub(super) const MAX_RECORD: usize = 64 << 20;

/// The snap length of a file that is written.
pub(super) fn checked_snaplen(asked: Option<u32>) -> Result<u32, Error> {
    match asked {
        Some(0) => Err(Error::config(
            "snap length",
            "0 bytes, at least 1 is possible",
        )),
        asked => Ok(asked.unwrap_or(DEFAULT_SNAPLEN).min(MAX_RECORD as u32)),
    }
}

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
        comment: Option<String>,
    },
}

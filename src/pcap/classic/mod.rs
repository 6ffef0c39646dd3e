//! pcap files.

pub(super) mod read;
pub(super) mod write;

pub(super) const FILE_HEADER: usize = 24;
const RECORD_HEADER: usize = 16;

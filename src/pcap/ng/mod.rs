//! pcapng files.

pub(super) mod interface;
mod options;
pub(super) mod read;
pub(super) mod write;

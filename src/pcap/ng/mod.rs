//! pcapng files.

pub(super) mod interface;
mod options;
pub(super) mod read;
pub(super) mod record;
pub(super) mod write;

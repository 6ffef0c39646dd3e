//! Two halves that don't make a handle.

use std::fmt;

use super::read::PacketReader;
use super::write::PacketWriter;

/// Two halves that are not of the same handle.
#[derive(Debug)]
pub struct ReuniteError(pub PacketReader, pub PacketWriter);

impl fmt::Display for ReuniteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the two halves are of different handles")
    }
}

impl std::error::Error for ReuniteError {}

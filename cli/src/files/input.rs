//! Capture files as they are named on a command line.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use memif::pcap::{CaptureReader, FileReader};

use crate::failure::Failure;

/// Packets that are read together.
pub(crate) const BATCH: usize = 64;

/// Whether the two name one file on a disk; '-' is standard input, of the second standard output.
pub(crate) fn is_same(from: &Path, to: &str) -> bool {
    let found = |path: &Path, standard: &str| {
        fs::metadata(if path.as_os_str() == "-" {
            Path::new(standard)
        } else {
            path
        })
    };
    match (
        found(from, "/dev/stdin"),
        found(Path::new(to), "/dev/stdout"),
    ) {
        (Ok(a), Ok(b)) => a.is_file() && (a.dev(), a.ino()) == (b.dev(), b.ino()),
        _ => false,
    }
}

/// Opens a file; '-' is standard input.
pub(crate) fn open(path: &Path) -> Result<CaptureReader<FileReader>, Failure> {
    if path.as_os_str() != "-" {
        return Ok(CaptureReader::open(path)?);
    }
    let failed = |e| Failure::Failed(format!("reading standard input: {e}"));
    Ok(CaptureReader::new(
        FileReader::new(io::stdin()).map_err(failed)?,
    )?)
}

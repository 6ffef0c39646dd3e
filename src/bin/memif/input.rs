//! Capture files as they are named on a command line.

use std::io;
use std::path::Path;

use memif::pcap::{CaptureReader, FileReader};

use crate::Failure;

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

//! The system's errors, as ours have them.

use std::fmt;
use std::io;
use std::ops::Deref;
use std::sync::Arc;

/// A system's error that can be cloned and compared. Dereferences to the [`io::Error`].
///
/// ```
/// use memif::{Error, pcap::CaptureReader};
///
/// match CaptureReader::open("/nowhere.pcap") {
///     Err(Error::Io { error, .. }) => assert_eq!(error.kind(), std::io::ErrorKind::NotFound),
///     other => panic!("{other:?}"),
/// }
/// ```
#[derive(Clone, Debug)]
pub struct IoError(Arc<io::Error>);

impl Deref for IoError {
    type Target = io::Error;

    fn deref(&self) -> &io::Error {
        &self.0
    }
}

impl From<io::Error> for IoError {
    fn from(error: io::Error) -> Self {
        Self(Arc::new(error))
    }
}

/// Errors are equal if their kinds and texts are.
impl PartialEq for IoError {
    fn eq(&self, other: &Self) -> bool {
        self.kind() == other.kind() && self.to_string() == other.to_string()
    }
}

impl Eq for IoError {}

impl fmt::Display for IoError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

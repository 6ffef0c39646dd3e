//! The state of a link, and why there is none.

use crate::error::{Error, ErrorKind};

/// Why an attempt to connect failed.
///
/// ```
/// use memif::{Context, ErrorKind, MemifConfig};
/// use std::time::Duration;
///
/// let context = Context::new("doc")?;
/// let slave = context.create_interface(MemifConfig::new("/nonexistent/memif.sock"))?;
/// assert!(!slave.wait_link_up(Some(Duration::ZERO))?);
/// assert_eq!(slave.last_failure().map(|f| f.kind), Some(ErrorKind::NotFound));
/// # Ok::<(), memif::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectFailure {
    /// What kind of failure.
    pub kind: ErrorKind,
    /// Whether the peer refused; otherwise nobody was there, or the connection failed.
    pub refused: bool,
    /// The reason in words. If the peer refused, these are its words.
    pub reason: String,
}

/// The state of an interface's link.
#[derive(Debug, Default)]
pub(super) struct Status {
    pub(super) up: bool,
    /// Why the last link ended.
    pub(super) last_disconnect: String,
    pub(super) failure: Option<ConnectFailure>,
    /// A refusal that has not been reported to a waiter yet.
    pub(super) refusal: Option<Error>,
}

//! The state of a link, and why there is none.

use crate::error::{Error, ErrorKind};

/// Why an attempt to connect failed.
///
/// ```
/// use memif::{Context, Error, ErrorKind, MemifConfig};
/// use std::time::Duration;
///
/// let context = Context::new("doc")?;
/// let slave = context.create_interface(MemifConfig::new("/nonexistent/memif.sock"))?;
/// let nobody = slave.wait_link_up(Some(Duration::ZERO));
/// assert_eq!(nobody, Err(Error::TimedOut));
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
    /// The last refusal, and how many there have been.
    refusal: Option<Error>,
    refusals: u64,
    /// How many of them a waiter has been told of, or came before a link.
    told: u64,
}

impl Status {
    pub(super) fn went_up(&mut self) {
        self.up = true;
        self.failure = None;
        self.refusal = None;
        self.told = self.refusals;
    }

    pub(super) fn refused(&mut self, error: Error) {
        self.refusal = Some(error);
        self.refusals += 1;
    }

    /// The number of the first refusal that ends a wait which begins now. One that has ended
    /// another wait does not, if there will be a new attempt.
    pub(super) fn first_refusal(&self, tries_again: bool) -> u64 {
        if tries_again {
            self.told + 1
        } else {
            self.refusals.max(1)
        }
    }

    /// The last refusal, if it has this number or a later one. Every wait that goes on is told.
    pub(super) fn tell_refusal(&mut self, first: u64) -> Option<Error> {
        if self.refusals < first {
            return None;
        }
        self.told = self.refusals;
        self.refusal.clone()
    }
}

//! Connections that wait to be accepted.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use smoltcp::time::Instant;
use tokio::sync::Notify;

/// The connections of a listener that nobody has accepted.
#[derive(Debug)]
pub(super) struct Backlog {
    /// As many may be there of each kind.
    pub(super) most: usize,
    pub(super) half_open: BTreeSet<(Instant, usize)>,
    pub(super) ready: VecDeque<usize>,
    pub(super) notify: Arc<Notify>,
}

/// A listener has no place for another connection.
#[derive(Debug)]
pub(super) struct Full;

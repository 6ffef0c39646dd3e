//! What a host has unless it is told otherwise.

use std::time::Duration;

/// The default size of each of the two buffers of a connection: the most that TCP announces to
/// peers that know no larger windows.
pub const DEFAULT_BUFFER: usize = 65_535;
/// The default number of connections that a listener keeps until they are accepted.
pub const DEFAULT_BACKLOG: usize = 1024;
/// The default time after which a peer that answers nothing is given up.
pub const DEFAULT_PATIENCE: Duration = Duration::from_secs(60);

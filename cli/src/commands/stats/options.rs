//! The options of `memif stats`.

use std::time::Duration;

use crate::metrics::MetricsArgs;

/// Show packets/s, Mbit/s, ring fill and drops of running captures, replays, bridges and responders
///
/// Finds all memif commands that this user runs. They publish counters on a socket in
/// $XDG_RUNTIME_DIR/memif or /tmp/memif-UID, which only this user can reach; `stats` exits when all
/// have exited.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only these processes
    #[arg(value_name = "PID")]
    pub(super) pids: Vec<u32>,
    /// Refresh interval in seconds
    #[arg(short, long, default_value = "1", value_name = "SECONDS", value_parser = crate::values::some_seconds)]
    pub(super) interval: Duration,
    /// Exit after N tables
    #[arg(short = 'n', long, value_name = "N")]
    pub(super) count: Option<u64>,
    /// Print one JSON object per process and refresh, one per line, with all counters since its
    /// start
    #[arg(long)]
    pub(super) json: bool,
    /// Every link of this host, between any processes, observed by its rings. Serves them with
    /// --metrics, and then prints only to a terminal
    #[arg(long, conflicts_with = "pids")]
    pub(super) all: bool,
    #[command(flatten)]
    pub(super) metrics: MetricsArgs,
}

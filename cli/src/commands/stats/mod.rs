//! `memif stats`: a live table of what the running commands do.

mod table;

use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::time::Duration;

use crate::events::Events;
use crate::failure::Failure;
use crate::metrics::local::{find, query};
use crate::metrics::snapshot::Snapshot;
use crate::output::print;

/// Show packets and bits a second, ring fill and drops of running captures, replays, bridges
///
/// Finds all commands of this user that run now. They tell their numbers on a socket in
/// $XDG_RUNTIME_DIR/memif, or /tmp/memif-UID, which only this user can reach. Ends when they do.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only these processes
    #[arg(value_name = "PID")]
    pids: Vec<u32>,
    /// Seconds between two looks
    #[arg(short, long, default_value = "1", value_name = "SECONDS", value_parser = crate::values::seconds)]
    interval: Duration,
    /// End after so many tables
    #[arg(short = 'n', long, value_name = "N")]
    count: Option<u64>,
    /// Print a JSON object a line for each process and look: all counters, since the process began
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let events = Events::start()?;
    let mut before = look(args);
    if before.is_empty() {
        let pids: Vec<_> = args.pids.iter().map(u32::to_string).collect();
        let these = match &pids[..] {
            [] => String::new(),
            pids => format!(" as process {}", pids.join(" or ")),
        };
        return Err(Failure::Failed(format!(
            "no capture, replay, bridge or respond of this user runs{these} (other users' are not seen)"
        )));
    }
    let interval = args.interval.max(Duration::from_millis(10));
    let mut left = args.count.unwrap_or(u64::MAX);
    if args.json {
        while !before.is_empty() && left > 0 && !events.is_stopped() {
            for snapshot in &before {
                let line = serde_json::to_string(snapshot)
                    .map_err(|e| Failure::Failed(format!("the numbers: {e}")))?;
                print(format!("{line}\n"))?;
            }
            left -= 1;
            if left > 0 {
                events.sleep(interval);
                before = look(args);
            }
        }
        return Ok(());
    }
    let terminal = io::stdout().is_terminal();
    while left > 0 {
        events.sleep(interval);
        let now = look(args);
        if now.is_empty() || events.is_stopped() {
            return Ok(());
        }
        // In place on a terminal, one below the other elsewhere.
        let clear = if terminal { "\x1b[H\x1b[2J" } else { "" };
        print(format!("{clear}{}", table::table(&before, &now)))?;
        before = now;
        left -= 1;
    }
    Ok(())
}

/// Those that end while they are asked are not there any more.
fn look(args: &Args) -> Vec<Snapshot> {
    let asked = |path: PathBuf| {
        query(&path)
            .inspect_err(|e| log::debug!("{}: {e}", path.display()))
            .ok()
    };
    let mut snapshots: Vec<_> = find().into_iter().filter_map(asked).collect();
    snapshots.retain(|s| args.pids.is_empty() || args.pids.contains(&s.pid));
    snapshots
}

//! `memif stats`: a live table of what the running commands do.

mod host;
mod options;
mod table;

use std::path::PathBuf;

use crate::events::Events;
use crate::failure::Failure;
use crate::metrics::local::{find, query};
use crate::metrics::snapshot::Snapshot;
use crate::output::{print, terminal_width};

pub(crate) use options::Args;

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let events = Events::start()?;
    if args.all {
        return host::run(args, &events);
    }
    if args.metrics.is_asked() {
        return Err(Failure::Usage("--metrics needs --all".into()));
    }
    let mut before = look(args);
    if before.is_empty() {
        let pids: Vec<_> = args.pids.iter().map(u32::to_string).collect();
        let these = match &pids[..] {
            [] => String::new(),
            pids => format!(" with process id {}", pids.join(" or ")),
        };
        return Err(Failure::Failed(format!(
            "no running memif commands found for this user{these}"
        )));
    }
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
                events.sleep(args.interval);
                before = look(args);
            }
        }
        return Ok(());
    }
    while left > 0 {
        events.sleep(args.interval);
        let now = look(args);
        if now.is_empty() || events.is_stopped() {
            return Ok(());
        }
        // In place on a terminal, one below the other elsewhere.
        let table = table::table(&before, &now);
        print(match terminal_width() {
            Some(width) => format!("\x1b[H\x1b[2J{}", table::cut(&table, width)),
            None => table,
        })?;
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

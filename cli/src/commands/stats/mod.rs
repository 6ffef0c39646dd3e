//! `memif stats`: a live table of what the running commands do.

mod host;
mod options;
mod table;

use std::path::PathBuf;

use crate::events::Events;
use crate::failure::Failure;
use crate::metrics::local::{find, query};
use crate::metrics::snapshot::Snapshot;
use crate::output::print;

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
    // Numbers are there at once, rates after a while.
    if args.json && left > 0 {
        print(records(&before)?)?;
        left -= 1;
    }
    for _ in 0..left {
        events.sleep(args.interval);
        let now = look(args);
        if now.is_empty() || events.is_stopped() {
            break;
        }
        match args.json {
            true => print(records(&now)?)?,
            false => table::show(&table::table(&before, &now))?,
        }
        before = now;
    }
    Ok(())
}

/// A line for each.
fn records(snapshots: &[Snapshot]) -> Result<String, Failure> {
    let lines = snapshots.iter().map(serde_json::to_string);
    let lines: Result<Vec<_>, _> = lines.collect();
    let lines = lines.map_err(|e| Failure::Failed(format!("the numbers: {e}")))?;
    Ok(lines.into_iter().map(|line| line + "\n").collect())
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

//! `memif list`: the links of this host, whoever has them.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use memif::observe::{Direction, Process, Ring};

use crate::events::Events;
use crate::failure::Failure;
use crate::metrics::observed::{Host, Observed, Passed, ends, socket, tell_hidden};
use crate::output::{print, terminal_width};
use crate::values::seconds;

/// List the memif links of this host, between any processes
///
/// Shows both ends, the socket, the queues and rings of each link and what passes through it.
/// Nothing is written to a link, and neither end notices. Links of other users need root or
/// CAP_SYS_PTRACE.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Print one JSON object per link, one per line
    #[arg(long)]
    json: bool,
    /// Go on, and list the links again after each sample
    #[arg(long)]
    watch: bool,
    /// Seconds during which packets are counted; 0 counts none [default: 0.2, with --watch 1]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    sample: Option<Duration>,
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let events = Events::start()?;
    let usual = if args.watch { 1000 } else { 200 };
    let sample = args.sample.unwrap_or(Duration::from_millis(usual));
    let mut host = Host::new()?;
    tell_hidden(&host.hidden);
    loop {
        let before = host.passed();
        let start = Instant::now();
        while start.elapsed() < sample && !events.is_stopped() {
            let pause = host.look()?;
            events.sleep(pause.min(sample.saturating_sub(start.elapsed())));
        }
        host.look()?;
        let time = start.elapsed().max(Duration::from_millis(1));
        let clear = args.watch && terminal_width().is_some();
        let mut text = String::from(if clear { "\x1b[H\x1b[2J" } else { "" });
        let mut rows = Vec::new();
        for (id, observed) in host.links.iter().filter(|(_, o)| o.up) {
            let earlier = before.get(id).map(|b| (&b[..], time));
            let earlier = earlier.filter(|_| !sample.is_zero());
            if args.json {
                text += &observed.record(earlier);
            } else {
                rows.push(row(observed, earlier));
            }
        }
        if !args.json {
            text += &table(&rows);
        }
        print(text)?;
        host.forget();
        if !args.watch || events.is_stopped() {
            return Ok(());
        }
        if sample.is_zero() {
            events.sleep(Duration::from_millis(100));
        }
    }
}

const TITLES: [&str; 8] = [
    "MASTER",
    "SLAVE",
    "SOCKET",
    "QUEUES",
    "SLOTS",
    "USED",
    "MEMORY",
    "PACKETS/S",
];

fn row(observed: &Observed, earlier: Option<(&[Passed], Duration)>) -> [String; 8] {
    let link = &observed.link;
    let rings = link.rings();
    let (master, slave) = ends(link);
    let known = link.processes().iter().any(|p| p.role.is_some());
    let name = |p: Option<&Process>| match p {
        Some(p) if known || link.processes().len() == 1 => format!("{} ({})", p.program, p.pid),
        // It may be the other way round.
        Some(p) => format!("{} ({})?", p.program, p.pid),
        None => "?".into(),
    };
    // To the master, to the slave.
    let each = |value: &dyn Fn(Direction) -> String| {
        let told = rings.iter().all(|r| r.direction.is_some());
        match told {
            true => format!(
                "{} {}",
                value(Direction::ToMaster),
                value(Direction::ToSlave)
            ),
            false => "?".into(),
        }
    };
    let of = |d: Direction| {
        rings
            .iter()
            .enumerate()
            .filter(move |(_, r)| r.direction == Some(d))
    };
    let percent = |r: &Ring| r.used() * 100 / r.size.max(1);
    let mut sizes: Vec<u32> = rings.iter().map(|r| r.size).collect();
    sizes.dedup();
    let sizes: Vec<String> = sizes.iter().map(u32::to_string).collect();
    let rate = |d: Direction| {
        let Some((before, time)) = earlier else {
            return "-".to_owned();
        };
        let passed = of(d).map(|(n, _)| observed.rings[n].slots - before[n].slots);
        let at_least = of(d).any(|(n, _)| observed.rings[n].at_least);
        let rate = passed.sum::<u64>() as f64 / time.as_secs_f64();
        format!("{}{rate:.0}", if at_least { ">" } else { "" })
    };
    let queues = match rings.iter().any(|r| r.direction.is_none()) {
        true => format!("{} rings", rings.len()),
        false => each(&|d| of(d).count().to_string()),
    };
    let problem = link.problem().map(str::to_owned);
    [
        name(master),
        name(slave),
        match socket(link) {
            none if none.is_empty() => "?".into(),
            some => some,
        },
        problem.unwrap_or(queues),
        sizes.join(" "),
        each(&|d| format!("{}%", of(d).map(|(_, r)| percent(r)).max().unwrap_or(0))),
        size(link.memory()),
        each(&rate),
    ]
}

/// To the nearest KiB or MiB.
fn size(bytes: u64) -> String {
    match bytes >> 20 {
        0 => format!("{:.0} KiB", bytes as f64 / 1024.0),
        _ => format!("{:.0} MiB", bytes as f64 / 1048576.0),
    }
}

fn table(rows: &[[String; 8]]) -> String {
    let titles = TITLES.map(str::to_owned);
    let mut widths = [0; 8];
    for row in rows.iter().chain([&titles]) {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    for row in [&titles].into_iter().chain(rows) {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(widths) {
            let _ = write!(line, "{cell:<width$}  ");
        }
        text += line.trim_end();
        text.push('\n');
    }
    text
}

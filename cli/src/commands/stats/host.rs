//! `memif stats --all`: every link of this host, by its rings alone.

use std::collections::HashMap;
use std::fmt::Write;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use memif::observe::LinkId;

use super::options::Args;
use super::table::show;
use crate::events::Events;
use crate::failure::Failure;
use crate::lock::lock;
use crate::metrics::observed::{Host, Observed, Passed, direction_name, ends, socket, tell_hidden};
use crate::output::{print, terminal_width};

pub(super) fn run(args: &Args, events: &Events) -> Result<(), Failure> {
    let host = Arc::new(Mutex::new(Host::new()?));
    tell_hidden(&lock(&host).hidden);
    args.metrics.serve_host(&host, events)?;
    let mut left = args.count.unwrap_or(u64::MAX);
    let (mut before, mut start) = (lock(&host).passed(), Instant::now());
    while left > 0 && !events.is_stopped() {
        let pause = lock(&host).look()?;
        if start.elapsed() < args.interval {
            events.sleep(pause.min(args.interval.saturating_sub(start.elapsed())));
            continue;
        }
        let mut now = lock(&host);
        let seconds = start.elapsed();
        let mut text = String::new();
        if args.json {
            for (id, observed) in &now.links {
                let earlier = before.get(id).map(|b| (&b[..], seconds));
                text += &observed.record(earlier);
            }
        } else {
            text = table(&now, &before, seconds.as_secs_f64());
        }
        if !args.metrics.is_asked() {
            now.forget();
        }
        (before, start) = (now.passed(), Instant::now());
        drop(now);
        // A service has nobody to read them.
        let served = args.metrics.is_asked() && args.count.is_none() && terminal_width().is_none();
        match args.json {
            true => print(text)?,
            false if served => {}
            false => show(&text)?,
        }
        left -= 1;
    }
    Ok(())
}

fn table(host: &Host, before: &HashMap<LinkId, Vec<Passed>>, seconds: f64) -> String {
    let mut text = format!(
        "{:<5} {:<12} {:>12} {:>6} {:>6} {:>14}\n",
        "LINK", "RING", "PACKETS/S", "SLOTS", "USED", "PACKETS"
    );
    for (id, observed) in &host.links {
        let _ = writeln!(text, "# {}", name(observed));
        let up = if observed.up { "up" } else { "down" };
        let rings = observed.link.rings();
        for (number, (ring, passed)) in rings.iter().zip(&observed.rings).enumerate() {
            let earlier = before.get(id).and_then(|b| b.get(number));
            let new = earlier.map_or(0, |e| passed.slots - e.slots);
            let way = direction_name(ring.direction).unwrap_or("ring");
            let _ = writeln!(
                text,
                "{up:<5} {:<12} {:>12.0} {:>6} {:>5}% {:>14}",
                format!("{way} {}", ring.queue),
                new as f64 / seconds,
                ring.size,
                ring.used() * 100 / ring.size.max(1),
                format!("{}{}", if passed.at_least { ">" } else { "" }, passed.slots),
            );
        }
    }
    text
}

fn name(observed: &Observed) -> String {
    let name = |p: Option<&memif::observe::Process>| {
        p.map_or_else(|| "?".into(), |p| format!("{} ({})", p.program, p.pid))
    };
    let (master, slave) = ends(&observed.link);
    let socket = socket(&observed.link);
    let on = if socket.is_empty() { "" } else { " on " };
    format!("master {}, slave {}{on}{socket}", name(master), name(slave))
}

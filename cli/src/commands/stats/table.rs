//! Two looks at the counters, as rates.

use std::fmt::Write;

use crate::failure::Failure;
use crate::metrics::snapshot::Snapshot;
use crate::output::{print, terminal_width};

/// What happened between the two, a line for each queue.
pub(super) fn table(before: &[Snapshot], now: &[Snapshot]) -> String {
    let mut text = format!(
        "{:<7} {:<8} {:<5} {:>5} {:>12} {:>10} {:>6} {:>10} {:>10} {:>14}\n",
        "PID",
        "COMMAND",
        "LINK",
        "QUEUE",
        "PACKETS/S",
        "MBIT/S",
        "RING",
        "FULL",
        "DROPPED",
        "PACKETS"
    );
    for s in now {
        let earlier = before.iter().find(|b| b.pid == s.pid);
        let seconds = earlier.map_or(0.0, |b| s.time - b.time);
        if let Some(load) = &s.buffer {
            let _ = writeln!(text, "# {} {load}", s.pid);
        }
        for (n, interface) in s.interfaces.iter().enumerate() {
            let _ = writeln!(
                text,
                "# {} id {} on {}{}{}, link {}",
                interface.role,
                interface.id,
                interface.socket,
                if interface.peer.is_empty() {
                    ""
                } else {
                    ", peer "
                },
                interface.peer,
                interface.links,
            );
            let link = if interface.link_up { "up" } else { "down" };
            for (m, q) in interface.queues.iter().enumerate() {
                let then = earlier.and_then(|b| b.interfaces.get(n)?.queues.get(m));
                let rate = |now: u64, then: Option<u64>| match then {
                    Some(then) if seconds > 0.0 => now.saturating_sub(then) as f64 / seconds,
                    _ => 0.0,
                };
                let fill = match q.ring_size {
                    0 => "-".into(),
                    size => format!("{}%", u64::from(q.ring_used) * 100 / u64::from(size)),
                };
                let _ = writeln!(
                    text,
                    "{:<7} {:<8} {:<5} {:>5} {:>12.0} {:>10.2} {:>6} {:>10} {:>10} {:>14}",
                    s.pid,
                    s.command,
                    link,
                    format!("{} {}", q.direction.name(), q.queue),
                    rate(q.packets, then.map(|t| t.packets)),
                    rate(q.bytes, then.map(|t| t.bytes)) * 8e-6,
                    fill,
                    q.ring_full,
                    q.dropped,
                    q.packets,
                );
            }
        }
    }
    text
}

/// In place on a terminal, one below the other elsewhere.
pub(super) fn show(table: &str) -> Result<(), Failure> {
    match terminal_width() {
        Some(width) => print(format!("\x1b[H\x1b[2J{}", cut(table, width))),
        None => print(table),
    }
}

/// Lines that do not break at the end of the terminal.
fn cut(table: &str, width: usize) -> String {
    let lines = table
        .lines()
        .map(|line| line.chars().take(width).chain(['\n']));
    lines.flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(time: f64, packets: u64) -> Snapshot {
        serde_json::from_str(&format!(
            r#"{{"pid": 7, "command": "capture", "time": {time}, "interfaces": [{{
                "socket": "/run/x", "id": 3, "role": "slave", "peer": "DPDK", "link_up": true,
                "links": 2, "queues": [{{"direction": "rx", "queue": 0, "packets": {packets},
                "bytes": {}, "dropped": 5, "ring_full": 0, "ring_used": 256, "ring_size": 1024}}]}}]}}"#,
            packets * 1000
        ))
        .unwrap()
    }

    #[test]
    fn rates_are_those_between_the_looks() {
        let text = table(&[snapshot(10.0, 1000)], &[snapshot(12.0, 5000)]);
        let lines: Vec<Vec<&str>> = text
            .lines()
            .map(|l| l.split_whitespace().collect())
            .collect();
        assert_eq!(
            lines[1].join(" "),
            "# slave id 3 on /run/x, peer DPDK, link 2"
        );
        assert_eq!(
            lines[2],
            [
                "7", "capture", "up", "rx", "0", "2000", "16.00", "25%", "0", "5", "5000"
            ]
        );
        assert!(cut(&text, 40).lines().all(|line| line.len() <= 40));
        // A process that was not there before has no rate yet.
        let first = table(&[], &[snapshot(12.0, 5000)]);
        assert!(
            first.lines().nth(2).unwrap().contains(" 0       0.00 "),
            "{first}"
        );
    }
}

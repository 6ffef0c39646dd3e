//! `memif info`: connects, tells what the two sides agreed on, and leaves.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant};

use memif::{Burst, Error, ErrorKind, MemifDetails, QueueDetails, Role};
use serde_json::json;

use crate::events::Events;
use crate::failure::Failure;
use crate::link::endpoint::Endpoint;
use crate::link::known::{self, Advice, Arrived};
use crate::link::refusal::refused;
use crate::link::session::Session;
use crate::output::print;

/// Connect, and print both sides' names, queues, rings and memory, or why the peer refuses
///
/// `info` occupies the interface's only link while it runs, and packets that the peer sends
/// meanwhile are lost. As a slave it fails at once if nobody listens or access is denied; as a
/// master it waits for a slave.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    endpoint: Endpoint,
    /// Wait up to N seconds for the peer to answer
    #[arg(long, default_value = "10", value_name = "SECONDS", value_parser = crate::values::seconds)]
    timeout: Duration,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// Also tell what is known about this peer and these settings, and what to do about it; reads
    /// and discards packets for half a second
    #[arg(long)]
    check: bool,
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let session = args.endpoint.open(&Events::start()?, true)?;
    let linked = link(&session, args.timeout);
    if let (Err(_), true) = (&linked, args.check) {
        let text = advised(&check_socket(&session.memif.details()?));
        print(text)?;
    }
    linked?;
    let details = settled(&session)?;
    let advice = match args.check {
        true => Some(check(&session, &details)?),
        false => None,
    };
    let text = if args.json {
        let mut json = as_json(&details);
        if let Some(advice) = &advice {
            let one = |a: &Advice| json!({"known": a.what, "to_do": a.to_do});
            json["check"] = advice.iter().map(one).collect();
        }
        format!("{json:#}\n")
    } else {
        let mut text = as_text(&details);
        match advice.as_deref() {
            Some([]) => {
                text.push_str("check        nothing is known against this peer and settings\n")
            }
            Some(advice) => text.push_str(&advised(advice)),
            None => {}
        }
        text
    };
    session.memif.close();
    print(text)
}

/// The details, once the peer has offered its buffers: some do so a moment after the link is up.
fn settled(session: &Session) -> Result<MemifDetails, Failure> {
    const STEP: Duration = Duration::from_millis(20);
    const MOST: Duration = Duration::from_secs(1);
    let start = Instant::now();
    let mut before = session.memif.details()?;
    loop {
        let offered = before.tx_queues.iter().all(|q| q.buffer_size > 0);
        if before.role == Role::Slave || start.elapsed() >= MOST || session.events.is_stopped() {
            return Ok(before);
        }
        session.events.sleep(STEP);
        let now = session.memif.details()?;
        let rests = now.tx_queues == before.tx_queues;
        before = now;
        if offered && rests {
            return Ok(before);
        }
    }
}

fn check(session: &Session, details: &MemifDetails) -> Result<Vec<Advice>, Failure> {
    let mut advice = known::of_link(details, arrived(session)?);
    advice.extend(check_socket(details));
    Ok(advice)
}

fn check_socket(details: &MemifDetails) -> Vec<Advice> {
    let mode = fs::metadata(&details.socket).map_or(0o777, |m| m.mode() & 0o777);
    known::of_socket(details, mode)
}

/// Reads for a moment, as a capture would.
fn arrived(session: &Session) -> Result<Arrived, Failure> {
    const TIME: Duration = Duration::from_millis(500);
    let memif = &session.memif;
    let queues = (0..memif.rx_queues()).map(|queue| memif.rx_queue(queue));
    let mut queues = queues.collect::<Result<Vec<_>, Error>>()?;
    let sizes = memif.details()?.rx_queues;
    let mut slots = vec![0; queues.len()];
    let mut burst = Burst::new(256);
    let start = Instant::now();
    while start.elapsed() < TIME && !session.events.is_stopped() {
        let mut none = true;
        for (at, queue) in queues.iter_mut().enumerate() {
            let size = sizes.get(at).map_or(1, |q| q.buffer_size.max(1));
            // The link may go meanwhile; what was seen until then counts.
            if queue.rx_burst(&mut burst).is_ok_and(|packets| packets > 0) {
                let of = |p: memif::Packet<'_>| p.len().div_ceil(size.into()) as u64;
                slots[at] += burst.iter().map(of).sum::<u64>();
                none = false;
            }
        }
        if none {
            session.events.sleep(Duration::from_millis(1));
        }
    }
    Ok(Arrived {
        slots: slots.into_iter().max().unwrap_or(0),
        time: start.elapsed(),
    })
}

fn advised(advice: &[Advice]) -> String {
    let lines = advice.iter().map(|advice| {
        let Advice { what, to_do } = advice;
        format!("{:<12} {what}\n{:<12} {to_do}\n", "known", "  to do")
    });
    lines.collect()
}

/// Waits for the link; the first reason against it, unless time may mend it.
fn link(session: &Session, timeout: Duration) -> Result<(), Failure> {
    const STEP: Duration = Duration::from_millis(20);
    let memif = &session.memif;
    let start = Instant::now();
    loop {
        match memif.wait_link_up(Some(STEP)) {
            Ok(()) => return Ok(()),
            Err(Error::TimedOut) if session.events.is_stopped() => {
                return Err(Failure::Failed(format!(
                    "{memif}: interrupted; no peer connected"
                )));
            }
            Err(Error::TimedOut) => {}
            Err(e) => return Err(refused(&e)),
        }
        let hopeless = memif.last_failure().is_some_and(|f| {
            use ErrorKind::{ConnectionRefused, NotFound, PermissionDenied};
            let lasting = matches!(f.kind, NotFound | ConnectionRefused | PermissionDenied);
            memif.role() == Role::Master || lasting
        });
        if hopeless || start.elapsed() >= timeout {
            return Err(Failure::Failed(session.waiting_for()));
        }
    }
}

fn as_text(d: &MemifDetails) -> String {
    let mut text = String::new();
    let mut row = |name: &str, this: &str, peer: &str| {
        let line = format!("{name:<12} {this:<24} {peer}");
        text.push_str(line.trim_end());
        text.push('\n');
    };
    row("socket", &d.socket.display().to_string(), "");
    row("id", &d.id.to_string(), "");
    row("mode", &d.mode.to_string(), "");
    row("protocol", "memif 2.0", "");
    row("", "this side", "peer");
    row("role", &d.role.to_string(), &other(d.role).to_string());
    row("program", &d.program_name, &d.remote_name);
    row("interface", &d.interface_name, &d.remote_interface_name);
    let process = d.remote_process.map_or_else(String::new, |p| {
        format!("{} (user {}, group {})", p.pid, p.uid, p.gid)
    });
    row("process", &std::process::id().to_string(), &process);
    for (what, queues) in [("receive", &d.rx_queues), ("transmit", &d.tx_queues)] {
        for q in queues {
            let wakes = if q.polling { "polling" } else { "interrupts" };
            let _ = writeln!(
                text,
                "{:<12} ring of {} slots, {} used; {}; {wakes}",
                format!("{what} {}", q.id),
                q.ring_size,
                q.used,
                match q.buffer_size {
                    0 => "buffers as they are sent".into(), // VPP's slave without copies
                    size => format!("buffers of {size} bytes"),
                },
            );
        }
    }
    for region in &d.regions {
        let _ = writeln!(
            text,
            "{:<12} {} bytes",
            format!("region {}", region.index),
            region.size
        );
    }
    text
}

fn as_json(d: &MemifDetails) -> serde_json::Value {
    let queues = |queues: &[QueueDetails]| -> Vec<_> {
        let one = |q: &QueueDetails| {
            json!({"id": q.id, "ring_size": q.ring_size, "used": q.used,
                   "buffer_size": q.buffer_size, "polling": q.polling})
        };
        queues.iter().map(one).collect()
    };
    let process = d
        .remote_process
        .map(|p| json!({"pid": p.pid, "uid": p.uid, "gid": p.gid}));
    let regions = d.regions.iter();
    let regions = regions.map(|r| json!({"index": r.index, "bytes": r.size}));
    json!({
        "socket": d.socket, "id": d.id, "mode": d.mode.to_string(), "protocol": "2.0",
        "this": {"role": d.role.to_string(), "program": d.program_name, "interface": d.interface_name},
        "peer": {"role": other(d.role).to_string(), "program": d.remote_name,
                 "interface": d.remote_interface_name, "process": process},
        "receive_queues": queues(&d.rx_queues), "transmit_queues": queues(&d.tx_queues),
        "regions": regions.collect::<Vec<_>>(),
    })
}

fn other(role: Role) -> Role {
    match role {
        Role::Master => Role::Slave,
        _ => Role::Master,
    }
}

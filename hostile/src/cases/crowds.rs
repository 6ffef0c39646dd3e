//! One process that takes more of a master than its share.

use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::case::{Case, Kind, Rule};
use crate::peer::*;

/// A slow peer beside needs a part of it for its handshake.
const LONG_ENOUGH: Duration = Duration::from_millis(200);

/// As many threads as this connect, over and over.
fn crowd(socket: &str, threads: usize, then: impl Fn(Wire) + Sync) {
    let end = Instant::now() + LONG_ENOUGH;
    let connected = AtomicU32::new(0);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while Instant::now() < end {
                    if let Ok(wire) = Wire::try_connect(socket) {
                        connected.fetch_add(1, Ordering::Relaxed);
                        then(wire);
                    }
                }
            });
        }
    });
    assert!(connected.into_inner() > 0, "nobody got in");
}

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for kind in [Kind::Plain, Kind::Few] {
        let few = if kind == Kind::Few { ", of eight" } else { "" };
        let all = [
            Case::new(
                Rule::Limits,
                format!("connects in a loop, and stays{few}"),
                "too many unfinished",
                |target| {
                    let held = std::sync::Mutex::new(Vec::new());
                    crowd(&target.socket, 1, |wire| {
                        let mut held = held.lock().unwrap();
                        held.push(wire);
                        // Only descriptors of our own limit us.
                        if held.len() == 500 {
                            held.clear();
                        }
                    });
                },
            ),
            Case::new(
                Rule::Limits,
                format!("four threads connect and close{few}"),
                "",
                |target| crowd(&target.socket, 4, drop),
            ),
            Case::new(
                Rule::Limits,
                format!("four threads connect and are refused{few}"),
                "",
                |target| {
                    crowd(&target.socket, 4, |wire| {
                        let _ = wire.send_bytes(&Message::new(9).0, &[]);
                        wire.wait_hang_up();
                    });
                },
            ),
        ];
        cases.extend(all.map(|case| case.on(kind)));
    }
    cases.push(
        Case::new(
            Rule::Limits,
            "each step just before its time is over",
            "not finished in time",
            |target| {
                let wire = Wire::connect(&target.socket);
                wire.expect(HELLO);
                for step in &target.plan().steps {
                    thread::sleep(Duration::from_millis(20));
                    if step.send(&wire).is_err() {
                        break;
                    }
                }
                wire.wait_hang_up();
            },
        )
        .on(Kind::Hasty),
    );
    cases
}

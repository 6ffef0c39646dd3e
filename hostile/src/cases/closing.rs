//! Messages that bring what is slow to close: whoever closes it must not be one whom others need.

use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;

use super::slow::Slow;
use crate::case::{Case, Rule};
use crate::peer::*;
use crate::target::{Role, Target};

/// For as long nothing is answered that a close waits for: others ask meanwhile.
const HELD: Duration = Duration::from_millis(30);

/// A channel to the victim, at the start of its handshake.
fn channel(target: &Target) -> Arc<Wire> {
    Arc::new(match target.role {
        // Without a look at HELLO: all is there when the victim looks.
        Role::Master => Wire::connect(&target.socket),
        Role::Slave => target.go(Stage::Accepted).wire,
    })
}

/// A message that is an offence.
fn bad() -> Message {
    Message::new(9)
}

/// Again, until it was the victim that closed last.
fn until_left(mut attack: impl FnMut() -> Slow) {
    for _ in 0..20 {
        if attack().is_left() {
            break;
        }
    }
}

type Brings = fn(&Wire, &[Fd]);

const BRINGS: [(&str, Brings); 6] = [
    ("a bad message", |wire, fds| {
        let _ = wire.send_bytes(&bad().0, fds);
    }),
    ("a message of 0 bytes", |wire, fds| {
        let _ = wire.send_bytes(&[], fds);
    }),
    ("a bad message, behind it one of 0 bytes", |wire, fds| {
        let _ = wire.send_bytes(&bad().0, &[]);
        let _ = wire.send_bytes(&[], fds);
    }),
    ("a message of 0 bytes, behind it a bad one", |wire, fds| {
        let _ = wire.send_bytes(&[], &[]);
        let _ = wire.send_bytes(&bad().0, fds);
    }),
    ("a message of 4096 bytes", |wire, fds| {
        let _ = wire.send_bytes(&[0; 4096], fds);
    }),
    ("messages of one each", |wire, fds| {
        for fd in fds {
            let _ = wire.send_bytes(&bad().0, std::slice::from_ref(fd));
        }
    }),
];

/// A socket with others in its queue, which are closed with it.
fn queue(fds: &[Fd]) -> Fd {
    let (kept, sent) = Wire::pair();
    for fd in fds {
        kept.send_bytes(&[0], std::slice::from_ref(fd)).unwrap();
    }
    Arc::new(sent.0)
}

pub(crate) fn cases() -> Vec<Case> {
    type Kind = (&'static str, fn(&Target, usize) -> Slow);
    const KINDS: [Kind; 2] = [
        ("lingering sockets", Slow::sockets),
        ("files without a daemon", Slow::files),
    ];
    let mut cases = Vec::new();
    for (kind, slow) in KINDS {
        for (name, brings) in BRINGS {
            let name = format!("{kind} by {name}");
            cases.push(Case::new(Rule::Closing, name, "", move |target| {
                until_left(|| {
                    let mut slow = slow(target, 3);
                    let wire = channel(target);
                    let to = Arc::clone(&wire);
                    slow.send(move |fds| brings(&to, fds));
                    sleep(HELD);
                    drop(wire);
                    sleep(HELD);
                    slow
                });
            }));
        }
        let name = format!("{kind} in the queue of a socket");
        cases.push(Case::new(Rule::Closing, name, "", move |target| {
            until_left(|| {
                let mut slow = slow(target, 3);
                let wire = channel(target);
                slow.fds = vec![queue(&std::mem::take(&mut slow.fds))];
                slow.send(move |fds| {
                    let _ = wire.send_bytes(&bad().0, fds);
                });
                sleep(HELD);
                slow
            });
        }));
    }
    cases.push(Case::new(
        Rule::Closing,
        "16 lingering sockets, behind them 30 messages of 253 sockets",
        "",
        |target| {
            let slow = (0..16).map(|_| {
                let (mut slow, wire) = (Slow::sockets(target, 1), channel(target));
                slow.send(move |fds| {
                    let _ = wire.send_bytes(&bad().0, fds);
                });
                slow
            });
            let slow: Vec<_> = slow.collect();
            let socket = Arc::new(Wire::unconnected().0);
            let message = vec![socket; 253];
            for _ in 0..30 {
                let wire = channel(target);
                let _ = wire.send_bytes(&bad().0, &message);
            }
            sleep(HELD);
            drop(slow);
        },
    ));
    cases
}

pub(crate) fn on_master() -> Vec<Case> {
    type Step = (&'static str, usize);
    const STEPS: [Step; 2] = [("memory", P_REGION0), ("an eventfd", P_S2M)];
    let mut cases = cases();
    for (what, step) in STEPS {
        let name = format!("a file without a daemon as {what}");
        cases.push(Case::new(Rule::Closing, name, "", move |target| {
            let mut slow = Slow::files(target, 1);
            let mut plan = target.plan();
            plan.steps[step].fds = std::mem::take(&mut slow.fds);
            let wire = channel(target);
            slow.send(move |_| {
                for step in &plan.steps[..=step] {
                    let _ = step.send(&wire);
                }
            });
            sleep(HELD);
        }));
    }
    cases
}

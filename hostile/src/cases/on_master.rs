//! Attacks of a slave on a master, but for bent handshakes.

use std::sync::Arc;

use nix::errno::Errno;

use crate::case::{Case, Kind, Rule};
use crate::cases::killed::killed_at;
use crate::cases::on_master_bends;
use crate::cases::{closing, crowds, rings};
use crate::held::Held;
use crate::peer::*;
use crate::target::{Target, until};

pub(crate) fn cases() -> Vec<Case> {
    let mut cases: Vec<_> = on_master_bends::cases().collect();
    cases.extend(sizes());
    cases.extend(turns());
    cases.extend(ends());
    cases.extend(silence());
    cases.extend(secrets());
    cases.extend(floods());
    cases.extend(crowds::cases());
    cases.extend(closing::on_master());
    cases.extend(rings::on_master());
    cases
}

const STEP_NAMES: [&str; 6] = [
    "INIT", "region 0", "region 1", "ring s2m", "ring m2s", "CONNECT",
];

/// A channel on which so many steps of the default plan are done.
fn up_to(target: &Target, steps: usize) -> Wire {
    let wire = Wire::connect(&target.socket);
    wire.expect(HELLO);
    for step in &target.plan().steps[..steps] {
        step.send(&wire).unwrap();
        wire.receive().unwrap();
    }
    wire
}

fn sizes() -> impl Iterator<Item = Case> {
    const LENGTHS: [usize; 6] = [1, 2, 127, 129, 256, 4096];
    let each = move |step: usize| {
        LENGTHS.into_iter().map(move |length| {
            let name = format!("{} of {length} bytes", STEP_NAMES[step]);
            Case::new(Rule::Turn, name, "128 bytes", move |target| {
                let mut plan = target.plan();
                plan.steps[step].length = length;
                plan.refused(&target.socket).says("128 bytes");
            })
        })
    };
    let empty = |step: usize| {
        let name = format!("{} of 0 bytes", STEP_NAMES[step]);
        // Not to be told from the channel's end.
        Case::new(
            Rule::Turn,
            name,
            "closed its control socket",
            move |target| {
                let mut plan = target.plan();
                plan.steps[step].length = 0;
                plan.steps[step].fds.clear();
                assert!(matches!(plan.run(&target.socket), Outcome::Dropped));
            },
        )
    };
    let short = |step: usize| {
        let name = format!("{} cut short, with 250 descriptors", STEP_NAMES[step]);
        Case::new(
            Rule::Turn,
            name,
            "more than one descriptor",
            move |target| {
                let mut plan = target.plan();
                plan.steps[step].length = 64;
                plan.steps[step].fds = vec![eventfd(); 250];
                plan.refused(&target.socket);
            },
        )
    };
    let steps = P_INIT..=P_CONNECT;
    let all = steps.clone().flat_map(each);
    all.chain(steps.clone().map(empty)).chain(steps.map(short))
}

/// A message of every type, the unknown ones too; each legal in itself.
pub(crate) fn any_message(kind: u16) -> Message {
    match kind {
        HELLO => Message::hello(),
        INIT => Message::init(0),
        ADD_REGION => Message::add_region(0, 4096),
        ADD_RING => Message::add_ring(true, 0, 0, 0, LOG2),
        CONNECT => Message::connect(),
        CONNECTED => Message::connected(),
        kind => Message::new(kind),
    }
}

pub(crate) const KINDS: [u16; 11] = [
    0, ACK, HELLO, INIT, ADD_REGION, ADD_RING, CONNECT, CONNECTED, 9, 255, 65535,
];

fn turns() -> Vec<Case> {
    // How many steps of the plan are done, and what is legal then.
    let states: [(usize, &[u16]); 5] = [
        (0, &[INIT]),
        (1, &[ADD_REGION]),
        (2, &[ADD_REGION, ADD_RING]),
        (4, &[ADD_REGION, ADD_RING, CONNECT]),
        (6, &[]),
    ];
    let mut cases = Vec::new();
    for (done, legal) in states {
        for kind in KINDS.into_iter().filter(|kind| !legal.contains(kind)) {
            for with_fd in [false, true] {
                let more = if with_fd { ", with a descriptor" } else { "" };
                let name = format!("message {kind} after {done} steps{more}");
                // CONNECT is legal after the first step, and too early.
                let says = if kind == CONNECT && done > 0 && done < 6 && !with_fd {
                    "CONNECT before any ring"
                } else if kind == ADD_RING && done == 1 {
                    "ring 0"
                } else if with_fd && kind == CONNECT && done > 0 && done < 6 {
                    "unexpected descriptor"
                } else {
                    "unexpected message"
                };
                cases.push(Case::new(Rule::Turn, name, says, move |target| {
                    let wire = up_to(target, done);
                    let fds = if with_fd { vec![eventfd()] } else { vec![] };
                    wire.send_with(&any_message(kind), &fds);
                    assert_ne!(wire.expect_refusal().code, 0);
                }));
            }
        }
    }
    cases
}

fn ends() -> Vec<Case> {
    let mut cases = Vec::new();
    for steps in 0..=STEP_NAMES.len() {
        let name = format!("closes after {steps} steps");
        cases.push(Case::new(
            Rule::Limits,
            name,
            "closed its control socket",
            move |target| {
                drop(up_to(target, steps));
                // Without a pause: the next may come before the end of the last was seen.
                drop(Wire::connect(&target.socket));
            },
        ));
        let name = format!("is killed after {steps} steps");
        cases.push(Case::new(
            Rule::Limits,
            name,
            "closed its control socket",
            move |target| {
                killed_at(target, steps);
            },
        ));
        let name = format!("says DISCONNECT after {steps} steps");
        cases.push(Case::new(
            Rule::Turn,
            name,
            "had enough?[2J",
            move |target| {
                let wire = up_to(target, steps);
                let words = Message::disconnect(u32::MAX, "had enough\x1b[2J");
                wire.send_with(&words, &[eventfd()]);
                assert!(wire.receive().is_none());
            },
        ));
    }
    cases.push(Case::new(
        Rule::Turn,
        "names that do not end",
        "yyyyyyyy",
        |target| {
            let mut plan = target.plan();
            let init = &mut plan.steps[P_INIT];
            init.message = init.message.put(at::INIT_NAME, &[b'x'; 32]);
            let connect = &mut plan.steps[P_CONNECT];
            connect.message = Message::new(CONNECT).put(at::CONNECT_NAME, &[b'\n'; 32]);
            let link = plan.up(&target.socket);
            let words = Message::new(DISCONNECT).put(at::DISCONNECT_REASON, &[b'y'; 96]);
            link.wire.send(&words);
            assert!(link.wire.receive().is_none());
        },
    ));
    cases
}

fn silence() -> impl Iterator<Item = Case> {
    (0..STEP_NAMES.len()).map(|steps| {
        let name = format!("silent after {steps} steps");
        let attack = move |target: &Target| {
            let wire = Wire::connect(&target.socket);
            for step in &target.plan().steps[..steps] {
                // On a slow machine it may be refused before it is silent.
                if step.send(&wire).is_err() {
                    break;
                }
            }
            while let Some(got) = wire.receive() {
                if got.message.kind() == DISCONNECT {
                    assert!(got.message.reason().contains("in time"));
                }
            }
        };
        Case::new(Rule::Limits, name, "not finished in time", attack).on(Kind::Hasty)
    })
}

fn secrets() -> Vec<Case> {
    /// The right one, made wrong.
    type Spoil = fn(&[u8]) -> Vec<u8>;
    const WRONG: [(&str, Spoil); 4] = [
        ("the last byte differs", |right| {
            [&right[..right.len() - 1], b"\x01"].concat()
        }),
        ("a byte less", |right| right[..right.len() - 1].to_vec()),
        ("a byte more", |right| [right, b"!"].concat()),
        ("a NUL within", |right| {
            [&right[..2], b"\0", &right[3..]].concat()
        }),
    ];
    let wrong = WRONG.into_iter().map(|(name, spoil)| {
        Case::new(Rule::Secret, name, "incorrect secret", move |target| {
            let right = target.secret.clone().unwrap_or_default();
            let plan = target.plan_with(&spoil(right.as_bytes()));
            plan.refused(&target.socket).says("incorrect secret");
        })
    });
    let none = |target: &Target| {
        let refusal = target.plan_with(b"").refused(&target.socket);
        refusal.says("secret required");
    };
    let rule = Rule::Secret;
    let mut cases = vec![
        Case::new(rule, "none", "secret required", none),
        Case::new(rule, "behind a NUL", "secret required", |target| {
            let right = target.secret.clone().unwrap_or_default();
            let plan = target.plan_with(&[b"\0", &right.as_bytes()[1..]].concat());
            plan.refused(&target.socket).says("secret required");
        }),
        Case::new(
            rule,
            "none, while another link is up",
            "secret required",
            move |target| {
                let link = target.link();
                // Whether it is connected is nobody's business.
                none(target);
                drop(link);
            },
        ),
    ];
    cases.extend(wrong);
    let mut cases: Vec<_> = cases.into_iter().map(|c| c.on(Kind::Secret)).collect();
    cases.push(Case::new(
        rule,
        "one where none is asked for",
        "",
        |target| {
            drop(target.plan_with(b"hush").up(&target.socket));
        },
    ));
    cases
}

fn floods() -> Vec<Case> {
    let open = |target: &Target, count: usize| -> Vec<Wire> {
        (0..count)
            .map(|_| {
                let mut wire = None;
                until("a place in the queue", || {
                    wire = Wire::try_connect(&target.socket).ok();
                    wire.is_some()
                });
                wire.unwrap()
            })
            .collect()
    };
    vec![
        Case::new(
            Rule::Limits,
            "1000 connections, half open",
            "too many unfinished",
            move |target| {
                let wires = open(target, 1000);
                wires[0].expect(HELLO);
                let refused = |wire: &Wire| {
                    wire.receive()
                        .is_some_and(|got| got.message.kind() == DISCONNECT)
                };
                // Of what each hears first: later all are hung up on, as their time is over.
                assert!(wires[1..].iter().any(refused));
            },
        ),
        Case::new(
            Rule::Limits,
            "1000 connections do not drive out one that has sent its INIT",
            "too many",
            move |target| {
                let plan = target.plan();
                let wire = Wire::connect(&target.socket);
                wire.expect(HELLO);
                plan.steps[P_INIT].send(&wire).unwrap();
                wire.expect(ACK);
                let wires = open(target, 1000);
                wires[900].receive().unwrap(); // HELLO, or too many
                for step in &plan.steps[P_REGION0..] {
                    step.send(&wire).unwrap();
                    assert_ne!(wire.receive().unwrap().message.kind(), DISCONNECT);
                }
            },
        )
        .on(Kind::Few),
        Case::new(
            Rule::Limits,
            "1000 times connecting and closing",
            "",
            move |target| {
                (0..1000).for_each(|_| drop(open(target, 1)));
            },
        ),
        Case::new(
            Rule::Limits,
            "200 links, each closed at once",
            "closed its control socket",
            |target| {
                for _ in 0..200 {
                    drop(target.plan().run(&target.socket));
                }
            },
        ),
        Case::new(
            Rule::Turn,
            "the whole handshake at once, answers unread",
            "connected: the peer",
            |target| {
                let wire = Wire::connect(&target.socket);
                for step in &target.plan().steps {
                    step.send(&wire).unwrap();
                }
            },
        ),
        // So many that the answers fill the socket.
        Case::new(
            Rule::Turn,
            "256 regions and 510 rings, answers unread",
            "does not take our messages",
            |target| {
                let wire = Wire::connect(&target.socket);
                let mut plan = target.plan();
                plan.steps.truncate(1);
                let memory = Memory::new(1 << 17);
                for i in 0..256 {
                    let region = Message::add_region(i, memory.len() as u64);
                    plan.steps.push(Step::new(region, &[&memory.fd]));
                }
                let efd = eventfd();
                for i in 0..510u16 {
                    let ring = Message::add_ring(i < 255, i % 255, 0, u32::from(i) * 192, 1);
                    plan.steps.push(Step::new(ring, &[&efd]));
                }
                for step in &plan.steps {
                    if step.send(&wire) == Err(Errno::EPIPE) {
                        return;
                    }
                }
                // It may still be reading what is there.
                wire.wait_hang_up();
            },
        )
        .on(Kind::Queues),
        Case::new(
            Rule::Turn,
            "20000 messages without an answer",
            "unexpected message",
            |target| {
                let wire = Wire::connect(&target.socket);
                let message = Step::new(Message::new(ACK), &[]);
                for _ in 0..20_000 {
                    if message.send(&wire).is_err() {
                        break;
                    }
                }
            },
        ),
        Case::new(
            Rule::Region,
            "256 regions and the largest number of rings are a link",
            "connected to",
            |target| {
                let before = Held::here().descriptors;
                let mut plan = target.plan();
                plan.steps.truncate(1);
                let memory = Memory::new(1 << 17);
                for i in 0..256 {
                    let region = Message::add_region(i, memory.len() as u64);
                    plan.steps.push(Step::new(region, &[&memory.fd]));
                }
                for i in 0..510u32 {
                    memory.store32(i as usize * 192, COOKIE);
                    let ring = Message::add_ring(i < 255, (i % 255) as u16, 255, i * 192, 1);
                    plan.steps.push(Step::new(ring, &[&eventfd()]));
                }
                plan.steps.push(Step::new(Message::connect(), &[]));
                let link = plan.up(&target.socket);
                target.wait_up();
                // The victim's are the eventfds, and few more; the rest is closed once it is
                // mapped.
                let held = Held::here().descriptors - before;
                assert!(held < 510 + 20, "{held} more descriptors");
                drop(link);
            },
        )
        .on(Kind::Queues)
        .looking_inside(),
        Case::new(
            Rule::Region,
            "shrinks a region after all",
            "had enough",
            |target| {
                let mut plan = target.plan();
                let len = plan.regions[1].len();
                plan.regions[1] = Memory::map(Memory::file(len), len);
                plan.steps[P_REGION1].fds = vec![Arc::clone(&plan.regions[1].fd)];
                let link = plan.up(&target.socket);
                let shrunk = nix::unistd::ftruncate(&*link.regions[1].fd, 4096);
                assert_eq!(shrunk, Err(Errno::EPERM), "it can't be taken away");
                link.wire.send(&Message::disconnect(0, "had enough"));
                assert!(link.wire.receive().is_none());
            },
        ),
    ]
}

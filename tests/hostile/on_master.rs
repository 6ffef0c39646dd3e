//! Attacks of a slave on a master, but for bent handshakes.

use std::sync::Arc;

use nix::errno::Errno;

use crate::common::*;
use crate::killed::killed_at;
use crate::on_master_bends;
use crate::rings;
use crate::scene::{Held, Kind, SECRET, Scene};
use crate::{Case, Rule};
use memif_hostile::peer::*;

pub(crate) fn cases() -> Vec<Case> {
    let mut cases: Vec<_> = on_master_bends::cases().collect();
    cases.extend(sizes());
    cases.extend(turns());
    cases.extend(ends());
    cases.extend(silence());
    cases.extend(secrets());
    cases.extend(floods());
    cases.extend(rings::on_master());
    cases
}

const STEP_NAMES: [&str; 6] = [
    "INIT", "region 0", "region 1", "ring s2m", "ring m2s", "CONNECT",
];

/// A channel on which so many steps of the default plan are done.
fn up_to(scene: &Scene, steps: usize) -> Wire {
    let wire = Wire::connect(&scene.socket);
    wire.expect(HELLO);
    for step in &scene.plan().steps[..steps] {
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
            Case::new(Rule::Turn, name, "128 bytes", move |scene| {
                let mut plan = scene.plan();
                plan.steps[step].length = length;
                plan.refused(&scene.socket).says("128 bytes");
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
            move |scene| {
                let mut plan = scene.plan();
                plan.steps[step].length = 0;
                plan.steps[step].fds.clear();
                assert!(matches!(plan.run(&scene.socket), Outcome::Dropped));
            },
        )
    };
    let short = |step: usize| {
        let name = format!("{} cut short, with 250 descriptors", STEP_NAMES[step]);
        Case::new(Rule::Turn, name, "more than one descriptor", move |scene| {
            let mut plan = scene.plan();
            plan.steps[step].length = 64;
            plan.steps[step].fds = vec![eventfd(); 250];
            plan.refused(&scene.socket);
        })
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
                cases.push(Case::new(Rule::Turn, name, says, move |scene| {
                    let wire = up_to(scene, done);
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
            move |scene| {
                drop(up_to(scene, steps));
                // Without a pause: the next may come before the end of the last was seen.
                drop(Wire::connect(&scene.socket));
            },
        ));
        let name = format!("is killed after {steps} steps");
        cases.push(Case::new(
            Rule::Limits,
            name,
            "closed its control socket",
            move |scene| {
                killed_at("slave", &scene.socket, steps);
            },
        ));
        let name = format!("says DISCONNECT after {steps} steps");
        cases.push(Case::new(
            Rule::Turn,
            name,
            "had enough?[2J",
            move |scene| {
                let wire = up_to(scene, steps);
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
        |scene| {
            let mut plan = scene.plan();
            let init = &mut plan.steps[P_INIT];
            init.message = init.message.put(at::INIT_NAME, &[b'x'; 32]);
            let connect = &mut plan.steps[P_CONNECT];
            connect.message = Message::new(CONNECT).put(at::CONNECT_NAME, &[b'\n'; 32]);
            let link = plan.up(&scene.socket);
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
        let attack = move |scene: &Scene| {
            let wire = Wire::connect(&scene.socket);
            for step in &scene.plan().steps[..steps] {
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
    let with = |bytes: Vec<u8>, words: &'static str| {
        move |scene: &Scene| {
            let mut plan = Plan::new(0);
            let init = &mut plan.steps[P_INIT];
            init.message = init.message.put(at::INIT_SECRET, &bytes);
            plan.refused(&scene.socket).says(words);
        }
    };
    let wrong = |name: &'static str, bytes: Vec<u8>| {
        let attack = with(bytes, "incorrect secret");
        Case::new(Rule::Secret, name, "incorrect secret", attack).on(Kind::Secret)
    };
    let right = SECRET.as_bytes();
    let last = |c| [&right[..right.len() - 1], c].concat();
    vec![
        Case::new(
            Rule::Secret,
            "none",
            "secret required",
            with(vec![], "secret required"),
        )
        .on(Kind::Secret),
        Case::new(
            Rule::Secret,
            "none, while another link is up",
            "secret required",
            |scene| {
                let link = scene.link();
                // Whether it is connected is nobody's business.
                Plan::new(0).refused(&scene.socket).says("secret required");
                drop(link);
            },
        )
        .on(Kind::Secret),
        wrong("the last byte differs", last(b"X")),
        wrong("a byte less", last(b"")),
        wrong("a byte more", [right, b"!"].concat()),
        wrong("the first byte is NUL", [b"\0", &right[1..]].concat()),
        wrong("the end is not NUL", [right, &[0; 9], b"x"].concat()),
        Case::new(Rule::Secret, "one where none is asked for", "", |scene| {
            let mut plan = Plan::new(0);
            let init = &mut plan.steps[P_INIT];
            init.message = init.message.put(at::INIT_SECRET, SECRET.as_bytes());
            drop(plan.up(&scene.socket));
        }),
    ]
}

fn floods() -> Vec<Case> {
    let open = |scene: &Scene, count: usize| -> Vec<Wire> {
        (0..count)
            .map(|_| {
                let mut wire = None;
                until("a place in the queue", || {
                    wire = Wire::try_connect(&scene.socket).ok();
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
            move |scene| {
                let wires = open(scene, 1000);
                wires[0].expect(HELLO);
                wires[0].expect_refusal().says("too many");
            },
        ),
        Case::new(
            Rule::Limits,
            "1000 connections do not drive out one that has sent its INIT",
            "too many",
            move |scene| {
                let plan = scene.plan();
                let wire = Wire::connect(&scene.socket);
                wire.expect(HELLO);
                plan.steps[P_INIT].send(&wire).unwrap();
                wire.expect(ACK);
                let wires = open(scene, 1000);
                wires[900].expect(HELLO);
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
            move |scene| {
                (0..1000).for_each(|_| drop(open(scene, 1)));
            },
        ),
        Case::new(
            Rule::Limits,
            "200 links, each closed at once",
            "closed its control socket",
            |scene| {
                for _ in 0..200 {
                    drop(scene.plan().run(&scene.socket));
                }
            },
        ),
        Case::new(
            Rule::Turn,
            "the whole handshake at once, answers unread",
            "connected: the peer",
            |scene| {
                let wire = Wire::connect(&scene.socket);
                for step in &scene.plan().steps {
                    step.send(&wire).unwrap();
                }
            },
        ),
        // So many that the answers fill the socket.
        Case::new(
            Rule::Turn,
            "256 regions and 510 rings, answers unread",
            "does not take our messages",
            |scene| {
                let wire = Wire::connect(&scene.socket);
                let mut plan = scene.plan();
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
            |scene| {
                let wire = Wire::connect(&scene.socket);
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
            |scene| {
                let before = Held::now().descriptors;
                let mut plan = scene.plan();
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
                let link = plan.up(&scene.socket);
                up(&scene.memif);
                // The victim's are the eventfds, and few more; the rest is closed once it is mapped.
                let held = Held::now().descriptors - before;
                assert!(held < 510 + 20, "{held} more descriptors");
                drop(link);
            },
        )
        .on(Kind::Queues),
        Case::new(
            Rule::Region,
            "shrinks a region after all",
            "had enough",
            |scene| {
                let mut plan = scene.plan();
                let len = plan.regions[1].len();
                plan.regions[1] = Memory::map(Memory::file(len), len);
                plan.steps[P_REGION1].fds = vec![Arc::clone(&plan.regions[1].fd)];
                let link = plan.up(&scene.socket);
                let shrunk = nix::unistd::ftruncate(&*link.regions[1].fd, 4096);
                assert_eq!(shrunk, Err(Errno::EPERM), "it can't be taken away");
                link.wire.send(&Message::disconnect(0, "had enough"));
                assert!(link.wire.receive().is_none());
            },
        ),
    ]
}

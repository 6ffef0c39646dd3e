//! Attacks of a master on a slave.

use crate::case::{Case, Kind, Rule};
use crate::cases::killed::{STAGES, killed_at};
use crate::cases::on_master::{KINDS, any_message};
use crate::cases::{closing, rings};
use crate::peer::*;
use crate::target::Target;

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = hellos();
    cases.extend(sizes());
    cases.extend(turns());
    cases.extend(ends());
    cases.extend(floods());
    cases.extend(closing::cases());
    cases.extend(rings::on_slave());
    cases
}

/// What a slave is waiting for at each stage.
fn legal(stage: Stage) -> Message {
    match stage {
        Stage::Accepted => Message::hello(),
        Stage::Init | Stage::Region | Stage::Ring => Message::new(ACK),
        Stage::Connect => Message::connected(),
        Stage::Up => Message::disconnect(0, ""),
    }
}

fn hellos() -> Vec<Case> {
    type Bend = fn(Message) -> Message;
    const BENDS: [(&str, &str, Bend); 5] = [
        ("HELLO without any ring size", "usable size", |m| {
            m.put8(at::HELLO_MAX_LOG2, 0)
        }),
        ("HELLO with one region", "HELLO allows 1 regions", |m| {
            m.put16(at::HELLO_MAX_REGION, 0)
        }),
        ("HELLO of later versions", "incompatible version", |m| {
            m.put16(at::HELLO_MIN_VERSION, 0x0201)
        }),
        ("HELLO of earlier versions", "incompatible version", |m| {
            m.put16(at::HELLO_MAX_VERSION, 0x01ff)
        }),
        ("HELLO full of ones", "incompatible version", |_| {
            Message([0xff; 128]).put16(0, HELLO)
        }),
    ];
    let refused = BENDS.into_iter().map(|(name, words, bend)| {
        Case::new(Rule::Turn, name, words, move |target| {
            let link = target.go(Stage::Accepted);
            link.wire.refused(&bend(Message::hello())).says(words);
        })
    });
    let most = Case::new(
        Rule::Turn,
        "HELLO with the largest numbers",
        "closed its control",
        |target| {
            let link = target.go(Stage::Accepted);
            let hello = Message::hello()
                .put16(at::HELLO_MIN_VERSION, 0)
                .put16(at::HELLO_MAX_VERSION, 0xffff)
                .put16(at::HELLO_MAX_REGION, 0xffff)
                .put16(at::HELLO_MAX_S2M, 0xffff)
                .put16(at::HELLO_MAX_M2S, 0xffff)
                .put8(at::HELLO_MAX_LOG2, 0xff)
                .put(at::HELLO_NAME, &[b'\n'; 32]);
            link.wire.send(&hello);
            link.wire.expect(INIT);
        },
    );
    refused.chain([most]).collect()
}

fn sizes() -> Vec<Case> {
    let mut cases = Vec::new();
    for stage in STAGES {
        for length in [1, 2, 127, 129, 256, 4096] {
            let name = format!("{length} bytes, {stage:?}");
            cases.push(Case::new(Rule::Turn, name, "128 bytes", move |target| {
                let link = target.go(stage);
                let mut step = Step::new(legal(stage), &[]);
                step.length = length;
                step.send(&link.wire).unwrap();
                link.wire.expect_refusal().says("128 bytes");
            }));
        }
        for fds in [2, 253] {
            let name = format!("{fds} descriptors, {stage:?}");
            let says = "more than one descriptor";
            cases.push(Case::new(Rule::Turn, name, says, move |target| {
                let link = target.go(stage);
                link.wire.send_with(&legal(stage), &vec![eventfd(); fds]);
                link.wire.expect_refusal().says(says);
            }));
        }
        if stage < Stage::Up {
            let name = format!("a legal message with a descriptor, {stage:?}");
            let says = "unexpected descriptor";
            cases.push(Case::new(Rule::Turn, name, says, move |target| {
                let link = target.go(stage);
                link.wire.send_with(&legal(stage), &[eventfd()]);
                link.wire.expect_refusal().says(says);
            }));
        }
    }
    cases
}

fn turns() -> Vec<Case> {
    let mut cases = Vec::new();
    for stage in STAGES {
        for kind in KINDS
            .into_iter()
            .filter(|kind| *kind != legal(stage).kind())
        {
            for with_fd in [false, true] {
                let more = if with_fd { ", with a descriptor" } else { "" };
                let name = format!("message {kind}, {stage:?}{more}");
                let says = "unexpected message";
                cases.push(Case::new(Rule::Turn, name, says, move |target| {
                    let link = target.go(stage);
                    let fds = if with_fd { vec![eventfd()] } else { vec![] };
                    link.wire.send_with(&any_message(kind), &fds);
                    assert_ne!(link.wire.expect_refusal().code, 0);
                }));
            }
        }
    }
    cases
}

fn ends() -> Vec<Case> {
    let mut cases = Vec::new();
    for (number, stage) in STAGES.into_iter().enumerate() {
        let name = format!("closes, {stage:?}");
        cases.push(Case::new(
            Rule::Limits,
            name,
            "closed its control socket",
            move |target| {
                drop(target.go(stage));
            },
        ));
        let name = format!("is killed, {stage:?}");
        cases.push(Case::new(
            Rule::Limits,
            name,
            "closed its control socket",
            move |target| {
                // The killed process listens in our place.
                drop(target.raw.take());
                killed_at(target, number);
                target.raw.replace(Some(Master::listen(&target.socket)));
            },
        ));
        let name = format!("says DISCONNECT, {stage:?}");
        cases.push(Case::new(
            Rule::Turn,
            name,
            "had enough?[2J",
            move |target| {
                let link = target.go(stage);
                let words = Message::disconnect(u32::MAX, "had enough\x1b[2J");
                link.wire.send_with(&words, &[eventfd()]);
                while link.wire.receive().is_some() {}
            },
        ));
        if stage < Stage::Up {
            let name = format!("silent, {stage:?}");
            let silent = move |target: &Target| {
                let link = target.go(stage);
                while let Some(got) = link.wire.receive() {
                    if got.message.kind() == DISCONNECT {
                        assert!(got.message.reason().contains("in time"));
                    }
                }
            };
            let silent = Case::new(Rule::Limits, name, "not finished in time", silent);
            cases.push(silent.on(Kind::Hasty));
        }
    }
    cases
}

fn floods() -> Vec<Case> {
    let mut cases = Vec::new();
    for stage in STAGES {
        let name = format!("a flood of ACKs, {stage:?}");
        cases.push(Case::new(
            Rule::Turn,
            name,
            "unexpected message of type 1",
            move |target| {
                let link = target.go(stage);
                let ack = Step::new(Message::new(ACK), &[]);
                for _ in 0..2000 {
                    if ack.send(&link.wire).is_err() {
                        break;
                    }
                }
                while let Some(got) = link.wire.receive() {
                    if got.message.kind() == DISCONNECT {
                        return;
                    }
                }
            },
        ));
    }
    cases.push(Case::new(
        Rule::Limits,
        "200 connections accepted and closed",
        "closed its control",
        |target| {
            (0..200).for_each(|_| drop(target.go(Stage::Accepted)));
        },
    ));
    cases.push(Case::new(
        Rule::Limits,
        "100 links, each closed at once",
        "closed its control",
        |target| {
            (0..100).for_each(|_| drop(target.go(Stage::Up)));
        },
    ));
    let secret = Case::new(
        Rule::Secret,
        "a master that knows the secret by INIT",
        "incorrect secret",
        |target| {
            let link = target.go(Stage::Init);
            let words = Message::disconnect(29, "incorrect secret");
            link.wire.send(&words);
            link.wire.wait_hang_up();
            let secret = target.secret.as_deref().unwrap();
            assert!(!target.shows(secret));
        },
    );
    cases.push(secret.on(Kind::Secret));
    cases
}

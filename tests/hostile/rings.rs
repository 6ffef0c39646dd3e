//! What is in the shared memory, in both directions and roles.

use std::sync::atomic::{AtomicBool, Ordering};

use memif::{Eof, Error, ErrorKind, PacketHandle, Role, Wait};
use nix::fcntl::{FcntlArg, OFlag, fcntl};

use crate::common::*;
use crate::peer::*;
use crate::scene::Scene;
use crate::{Case, Rule};

/// Reads what came before, then the violation, once, then the link's end.
#[track_caller]
fn violated(handle: &mut PacketHandle, before: &[&[u8]]) {
    for wanted in before {
        assert_eq!(read(handle), *wanted);
    }
    let error = handle.read_packet_timeout(Some(LONG)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::MalformedMessage, "{error}");
    assert_eq!(handle.wait(Some(LONG)).unwrap(), Wait::LinkDown);
    assert_eq!(eof(handle.read_packet()), Eof::LinkDown);
}

/// Writes until the violation is told.
fn refused_to_write(handle: &mut PacketHandle) {
    let error = loop {
        match handle.write_packet(b"x") {
            Ok(()) | Err(Error::Eof(Eof::Full)) => std::thread::yield_now(),
            Err(e) => break e,
        }
    };
    assert_eq!(error.kind(), ErrorKind::MalformedMessage, "{error}");
}

type Attack = fn(&Link);

/// The same change of each slot from `from` on.
fn bend(ring: &RingView<'_>, from: u16, change: impl Fn(u16, &mut Desc)) {
    for slot in from..ring.size {
        let mut desc = ring.desc(slot);
        desc.length = 64;
        change(slot, &mut desc);
        ring.set_desc(slot, desc);
    }
}

/// As slave: two good packets are in slots 0 and 1, what follows is published.
fn publish(link: &Link, head: u16, change: impl Fn(u16, &mut Desc)) {
    let ring = link.s2m();
    bend(&ring, 2, change);
    ring.set_head(head);
    ring.wake();
}

const SLAVE_SENDS: &[(Rule, &str, &str, Attack)] = &[
    (Rule::Descriptor, "region 2 of 2", "region 2", |l| {
        publish(l, 3, |_, d| d.region = 2)
    }),
    (Rule::Descriptor, "region 65535", "region 65535", |l| {
        publish(l, 3, |_, d| d.region = 65535)
    }),
    (
        Rule::Descriptor,
        "the largest offset",
        "offset 4294967295",
        |l| publish(l, 3, |_, d| d.offset = u32::MAX),
    ),
    (
        Rule::Descriptor,
        "the largest length",
        "length 4294967295",
        |l| publish(l, 3, |_, d| d.length = u32::MAX),
    ),
    (
        Rule::Descriptor,
        "offset and length that wrap",
        "out of the memory",
        |l| publish(l, 3, |_, d| (d.offset, d.length) = (u32::MAX, u32::MAX)),
    ),
    (
        Rule::Descriptor,
        "a byte over the region's end",
        "out of the memory",
        |l| {
            let end = l.regions[1].len() as u32;
            publish(l, 3, |_, d| (d.offset, d.length) = (end - 63, 64));
        },
    ),
    (
        Rule::Descriptor,
        "a byte at the region's end",
        "out of the memory",
        |l| {
            let end = l.regions[1].len() as u32;
            publish(l, 3, |_, d| (d.offset, d.length) = (end, 1));
        },
    ),
    (
        Rule::Descriptor,
        "in the middle of a chain",
        "slot 4",
        |l| {
            publish(l, 6, |slot, d| {
                d.flags = u16::from(slot < 5);
                d.region = if slot == 4 { 9 } else { d.region };
            })
        },
    ),
    (
        Rule::Counters,
        "a chain of one without an end",
        "beyond what is published",
        |l| publish(l, 3, |_, d| d.flags = NEXT),
    ),
    (
        Rule::Counters,
        "a ring full of a chain without an end",
        "beyond what is published",
        |l| publish(l, 16, |_, d| d.flags = NEXT),
    ),
    (
        Rule::Counters,
        "all flags set",
        "beyond what is published",
        |l| publish(l, 16, |_, d| d.flags = u16::MAX),
    ),
    (
        Rule::Counters,
        "head one too far",
        "slots are published",
        |l| publish(l, 17, |_, d| d.length = 1),
    ),
    (
        Rule::Counters,
        "head half the numbers away",
        "slots are published",
        |l| publish(l, 0x8000, |_, _| {}),
    ),
    (
        Rule::Counters,
        "head before all",
        "slots are published",
        |l| publish(l, 0xffff, |_, _| {}),
    ),
];

/// As slave: offers one buffer.
fn offer(link: &Link, change: impl Fn(&mut Desc)) {
    let ring = link.m2s();
    let mut desc = ring.desc(0);
    change(&mut desc);
    ring.set_desc(0, desc);
    ring.set_head(1);
}

const SLAVE_OFFERS: &[(Rule, &str, &str, Attack)] = &[
    (
        Rule::Counters,
        "one too many",
        "slots are outstanding",
        |l| l.m2s().set_head(17),
    ),
    (
        Rule::Counters,
        "the largest number",
        "slots are outstanding",
        |l| l.m2s().set_head(0xffff),
    ),
    (Rule::Descriptor, "region 2 of 2", "unusable", |l| {
        offer(l, |d| d.region = 2)
    }),
    (Rule::Descriptor, "the largest offset", "unusable", |l| {
        offer(l, |d| d.offset = u32::MAX)
    }),
    (Rule::Descriptor, "length 0", "unusable", |l| {
        offer(l, |d| d.length = 0)
    }),
    (Rule::Descriptor, "the largest length", "unusable", |l| {
        offer(l, |d| d.length = u32::MAX)
    }),
    (
        Rule::Descriptor,
        "a byte over the region's end",
        "unusable",
        |l| {
            let end = l.regions[1].len() as u32;
            offer(l, |d| (d.offset, d.length) = (end - 63, 64));
        },
    ),
];

/// As master: slot 0 has a good packet, slot 1 is published with a change.
fn fill(link: &Link, change: impl Fn(&mut Desc)) {
    let ring = link.m2s();
    let mut desc = ring.desc(1);
    desc.length = 64;
    change(&mut desc);
    ring.set_desc(1, desc);
    ring.set_tail(2);
    ring.wake();
}

const MASTER_SENDS: &[(Rule, &str, &str, Attack)] = &[
    (Rule::OwnDescriptors, "the next slot's buffer", "", |l| {
        fill(l, |d| d.offset += BUFFER as u32)
    }),
    (Rule::OwnDescriptors, "a byte before its buffer", "", |l| {
        fill(l, |d| d.offset -= 1)
    }),
    (Rule::OwnDescriptors, "the ring itself", "", |l| {
        fill(l, |d| (d.region, d.offset) = (0, 0))
    }),
    (Rule::OwnDescriptors, "region 7", "region 7", |l| {
        fill(l, |d| d.region = 7)
    }),
    (
        Rule::OwnDescriptors,
        "the largest offset",
        "offset 4294967295",
        |l| fill(l, |d| d.offset = u32::MAX),
    ),
    (
        Rule::Descriptor,
        "a byte more than was offered",
        "length 2049",
        |l| fill(l, |d| d.length = BUFFER as u32 + 1),
    ),
    (
        Rule::Descriptor,
        "the largest length",
        "length 4294967295",
        |l| fill(l, |d| d.length = u32::MAX),
    ),
    (Rule::Descriptor, "a whole buffer, a byte in", "", |l| {
        fill(l, |d| (d.offset, d.length) = (d.offset + 1, BUFFER as u32))
    }),
    (
        Rule::Counters,
        "a chain without an end",
        "beyond what is published",
        |l| fill(l, |d| d.flags = NEXT),
    ),
    (
        Rule::Counters,
        "tail one too far",
        "slots are published",
        |l| {
            l.m2s().set_tail(18);
            l.m2s().wake();
        },
    ),
    (
        Rule::Counters,
        "tail half the numbers away",
        "slots are published",
        |l| {
            l.m2s().set_tail(0x8000);
            l.m2s().wake();
        },
    ),
];

fn receiving(
    role: Role,
    table: &'static [(Rule, &'static str, &'static str, Attack)],
    good: &'static [&'static [u8]],
) -> impl Iterator<Item = Case> {
    table.iter().map(move |(rule, name, says, attack)| {
        Case::new(
            role,
            *rule,
            format!("receiving: {name}"),
            says,
            move |scene| {
                let link = scene.link();
                let mut handle = scene.handle();
                for packet in good {
                    match role {
                        Role::Master => link.slave_sends(packet),
                        Role::Slave => link.master_sends(packet),
                    }
                }
                attack(&link);
                // A jump of the counter hides how many are good.
                let jump = says.contains("slots are published");
                violated(&mut handle, if jump { &[] } else { good });
                link.wire.expect_refusal();
            },
        )
    })
}

pub(crate) fn on_master() -> Vec<Case> {
    let case = |rule, name: &str, says, attack: fn(&Scene)| {
        Case::new(Role::Master, rule, name, says, attack)
    };
    let mut cases: Vec<_> = receiving(Role::Master, SLAVE_SENDS, &[b"one", b"two"]).collect();
    cases.extend(SLAVE_OFFERS.iter().map(|(rule, name, says, attack)| {
        Case::new(
            Role::Master,
            *rule,
            format!("sending: {name}"),
            says,
            move |scene| {
                let link = scene.link();
                let mut handle = scene.handle();
                assert_eq!(
                    eof(handle.write_packet(b"x")),
                    Eof::Full,
                    "nothing is offered"
                );
                attack(&link);
                refused_to_write(&mut handle);
                link.wire.expect_refusal();
                down(&scene.memif);
                assert_eq!(eof(handle.write_packet(b"x")), Eof::LinkDown);
            },
        )
    }));
    cases.extend([
        case(
            Rule::Counters,
            "receiving: head goes back",
            "slots are published",
            |scene| {
                let link = scene.link();
                let mut handle = scene.handle();
                link.slave_sends(b"one");
                link.slave_sends(b"two");
                assert_eq!(read(&mut handle), b"one");
                assert_eq!(read(&mut handle), b"two");
                assert_eq!(eof(handle.read_packet()), Eof::Empty);
                link.s2m().set_head(1);
                link.s2m().wake();
                violated(&mut handle, &[]);
                link.wire.expect_refusal();
            },
        ),
        case(
            Rule::Descriptor,
            "sending: the offered buffers are the rings",
            "",
            |scene| {
                let link = scene.link();
                let mut handle = scene.handle();
                let ring = link.m2s();
                for slot in 0..16 {
                    let mut desc = ring.desc(slot);
                    (desc.region, desc.offset, desc.length) = (0, u32::from(slot) * 8, 600);
                    ring.set_desc(slot, desc);
                }
                ring.set_head(16);
                // Each writes over the counters: what is found then is one offence or another.
                for n in 0..2000u64 {
                    let _ = handle.write_packet(&pattern(n, 600));
                    let _ = handle.read_packet();
                }
            },
        ),
        case(Rule::Ring, "both rings are one", "", |scene| {
            let mut plan = scene.plan();
            let at_s2m = plan.s2m[0].offset as u32;
            plan.steps[P_M2S].put32(at::RING_OFFSET, at_s2m);
            let link = plan.up(&scene.socket);
            up(&scene.memif);
            let mut handle = scene.handle();
            for n in 0..2000u16 {
                link.s2m().set_head(n / 3);
                let _ = handle.write_packet(b"a packet");
                let _ = handle.read_packet();
            }
        }),
        case(Rule::Ring, "the ring lies in the buffers", "", |scene| {
            let mut plan = Plan::single_region(0);
            let end = (plan.regions[0].len() - ring_bytes(LOG2)) as u32;
            plan.regions[0].store32(end as usize, COOKIE);
            plan.steps[P_M2S - 1].put32(at::RING_OFFSET, end);
            let link = plan.up(&scene.socket);
            up(&scene.memif);
            let mut handle = scene.handle();
            link.offer();
            for n in 0..2000u64 {
                let _ = handle.write_packet(&pattern(n, 2000));
                let _ = handle.read_packet();
            }
        }),
    ]);
    cases.extend(flickers(Role::Master));
    cases.extend(eventfds(Role::Master));
    cases
}

pub(crate) fn on_slave() -> Vec<Case> {
    let case = |rule, name: &str, says, attack: fn(&Scene)| {
        Case::new(Role::Slave, rule, name, says, attack)
    };
    let mut cases: Vec<_> = receiving(Role::Slave, MASTER_SENDS, &[b"good"]).collect();
    for tail in [17, 0x8000, 0xffff] {
        let name = format!("sending: tail at {tail}, one slot was sent");
        let says = "slots are outstanding";
        cases.push(Case::new(
            Role::Slave,
            Rule::Counters,
            name,
            says,
            move |scene| {
                let link = scene.link();
                let mut handle = scene.handle();
                handle.write_packet(b"x").unwrap();
                link.s2m().set_tail(tail);
                refused_to_write(&mut handle);
                link.wire.expect_refusal();
            },
        ));
    }
    cases.extend([
        case(
            Rule::OwnDescriptors,
            "sending: the slots point elsewhere",
            "had enough",
            |scene| {
                let link = scene.link();
                let mut handle = scene.handle();
                let ring = link.s2m();
                let rings = link.regions[0].read(0, link.regions[0].len());
                for slot in 0..16 {
                    let at_the_ring = Desc {
                        flags: NEXT,
                        length: u32::MAX,
                        offset: 128,
                        ..Desc::default()
                    };
                    ring.set_desc(slot, at_the_ring);
                }
                for slot in 0..16u16 {
                    let packet = pattern(u64::from(slot), 100);
                    handle.write_packet(&packet).unwrap();
                    let desc = ring.desc(slot);
                    assert_eq!((desc.flags, desc.region, desc.length), (0, 1, 100));
                    assert_same(&link.data(desc), &packet, slot);
                }
                // What lies behind that ring is as it was.
                let now = link.regions[0].read(0, rings.len());
                assert_eq!(now[ring_bytes(LOG2)..], rings[ring_bytes(LOG2)..]);
                ring.set_tail(16);
                link.wire.send(&Message::disconnect(0, "had enough"));
                assert!(link.wire.receive().is_none());
            },
        ),
        case(
            Rule::OwnDescriptors,
            "all of the rings' memory is overwritten",
            "",
            |scene| {
                let link = scene.link();
                let mut handle = scene.handle();
                for n in 0..300u64 {
                    let garbage = pattern(n, link.regions[0].len());
                    link.regions[0].write(0, &garbage);
                    let _ = handle.write_packet(b"a packet");
                    let _ = handle.read_packet();
                    let _ = scene.memif.details();
                }
            },
        ),
        case(
            Rule::Region,
            "shrinks the slave's regions",
            "had enough",
            |scene| {
                let link = scene.link();
                for region in &link.regions {
                    let shrunk = nix::unistd::ftruncate(&*region.fd, 0);
                    assert_eq!(shrunk, Err(nix::errno::Errno::EPERM));
                }
                link.wire.send(&Message::disconnect(0, "had enough"));
                assert!(link.wire.receive().is_none());
            },
        ),
    ]);
    cases.extend(flickers(Role::Slave));
    cases.extend(eventfds(Role::Slave));
    cases
}

/// Another thread changes words of the memory while the victim works on it. How it ends differs.
fn flickers(role: Role) -> impl Iterator<Item = Case> {
    type Flicker = fn(&Link, u64);
    const FLICKERS: [(&str, Flicker); 4] = [
        ("flags of the rings flicker", |link, n| {
            for ring in [link.s2m(), link.m2s()] {
                ring.set_flags(n as u16);
                ring.wake();
            }
        }),
        ("descriptors flicker", |link, n| {
            for ring in [link.s2m(), link.m2s()] {
                let word = ring.base + 128 + (n as usize % 64) * 4;
                let was = ring.memory.load32(word);
                ring.memory.store32(word, (n * 0x9e37_79b9) as u32);
                ring.memory.store32(word, was);
            }
        }),
        ("head and tail flicker", |link, n| {
            for ring in [link.s2m(), link.m2s()] {
                let (head, tail) = (ring.head(), ring.tail());
                ring.set_head(head.wrapping_add(n as u16));
                ring.set_tail(tail.wrapping_sub(n as u16));
                ring.set_head(head);
                ring.set_tail(tail);
            }
        }),
        ("cookies flicker", |link, n| {
            for ring in [link.s2m(), link.m2s()] {
                ring.set_cookie(n as u32);
            }
        }),
    ];
    FLICKERS.into_iter().map(move |(name, flicker)| {
        Case::new(role, Rule::ReadOnce, name, "", move |scene| {
            let link = scene.link();
            let mut handle = scene.handle();
            if role == Role::Master {
                link.offer();
            }
            let done = AtomicBool::new(false);
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    let mut n = 0;
                    while !done.load(Ordering::Relaxed) {
                        n += 1;
                        flicker(&link, n);
                    }
                });
                for n in 0..5000u64 {
                    // By the book beside the flicker, as far as it lets us.
                    let (to_victim, from_victim) = match role {
                        Role::Master => (link.s2m(), link.m2s()),
                        Role::Slave => (link.m2s(), link.s2m()),
                    };
                    if role == Role::Master {
                        to_victim.set_head(to_victim.head().wrapping_add(1));
                    } else {
                        to_victim.set_tail(to_victim.tail().wrapping_add(1));
                        from_victim.set_tail(from_victim.head());
                    }
                    let _ = handle.write_packets(&[pattern(n, 40), pattern(n, 3000)]);
                    while handle.read_packet().is_ok() {}
                }
                done.store(true, Ordering::Relaxed);
            });
        })
    })
}

/// The eventfds are the peer's as much as ours.
fn eventfds(role: Role) -> impl Iterator<Item = Case> {
    type Spoil = fn(&Fd);
    const SPOILS: [(&str, Spoil); 4] = [
        ("the eventfds are full", |efd| {
            nix::unistd::write(&**efd, &(u64::MAX - 1).to_ne_bytes()).unwrap();
        }),
        ("the eventfds are blocking", |efd| {
            fcntl(&**efd, FcntlArg::F_SETFL(OFlag::empty())).unwrap();
        }),
        ("the eventfds are blocking and full", |efd| {
            nix::unistd::write(&**efd, &(u64::MAX - 1).to_ne_bytes()).unwrap();
            fcntl(&**efd, FcntlArg::F_SETFL(OFlag::empty())).unwrap();
        }),
        ("the eventfds are written without packets", |efd| {
            for _ in 0..1000 {
                nix::unistd::write(&**efd, &1u64.to_ne_bytes()).unwrap();
            }
        }),
    ];
    SPOILS.into_iter().map(move |(name, spoil)| {
        Case::new(role, Rule::Ring, name, "had enough", move |scene| {
            let link = scene.link();
            let mut handle = scene.handle();
            spoil(&link.s2m().efd);
            spoil(&link.m2s().efd);
            for i in 0..8u8 {
                // None of these may block.
                match role {
                    Role::Master => {
                        link.offer();
                        let ring = link.s2m();
                        let mut desc = ring.desc(ring.head());
                        link.regions[1].write(desc.offset as usize, &[i]);
                        desc.length = 1;
                        ring.set_desc(ring.head(), desc);
                        ring.set_head(ring.head() + 1);
                    }
                    Role::Slave => {
                        let ring = link.m2s();
                        let mut desc = ring.desc(ring.tail());
                        link.regions[1].write(desc.offset as usize, &[i]);
                        desc.length = 1;
                        ring.set_desc(ring.tail(), desc);
                        ring.set_tail(ring.tail() + 1);
                    }
                }
                assert_eq!(read(&mut handle), [i]);
                assert_eq!(eof(handle.read_packet()), Eof::Empty);
                handle.write_packet(&[i]).unwrap();
            }
            if role == Role::Slave {
                link.s2m().set_tail(8);
            }
            link.wire.send(&Message::disconnect(0, "had enough"));
            assert!(link.wire.receive().is_none());
        })
    })
}

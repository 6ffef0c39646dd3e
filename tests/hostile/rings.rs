//! What is in the shared memory, in both directions and roles.

use memif::{Eof, Error, ErrorKind, PacketHandle, Role, Wait};

use crate::common::*;
use crate::meanwhile::{eventfds, flickers};
use crate::scene::Scene;
use crate::{Case, Rule};
use memif_hostile::peer::*;

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
        Case::new(*rule, format!("receiving: {name}"), says, move |scene| {
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
        })
    })
}

/// A link whose slave offers all slots of a ring of this size, each of a byte.
fn offers_bytes(scene: &Scene, log2: u8) -> Link {
    let mut plan = Plan::new(0);
    let memory = Memory::new(4096 + ring_bytes(log2));
    plan.steps[P_REGION0] = Step::new(Message::add_region(0, memory.len() as u64), &[&memory.fd]);
    plan.regions[0] = memory;
    plan.m2s[0].offset = 4096;
    plan.m2s[0].log2 = log2;
    plan.steps[P_M2S].put32(at::RING_OFFSET, 4096);
    plan.steps[P_M2S].put8(at::RING_LOG2, log2);
    for offset in [0, 4096] {
        plan.regions[0].store32(offset, COOKIE);
    }
    let link = plan.up(&scene.socket);
    up(&scene.memif);
    let ring = link.m2s();
    for slot in 0..ring.size {
        let desc = Desc {
            region: 1,
            length: 1,
            ..Desc::default()
        };
        ring.set_desc(slot, desc);
    }
    ring.set_head(ring.size);
    link
}

pub(crate) fn on_master() -> Vec<Case> {
    let mut cases: Vec<_> = receiving(Role::Master, SLAVE_SENDS, &[b"one", b"two"]).collect();
    cases.extend(SLAVE_OFFERS.iter().map(|(rule, name, says, attack)| {
        Case::new(*rule, format!("sending: {name}"), says, move |scene| {
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
        })
    }));
    cases.extend([
        Case::new(
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
        Case::new(
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
        Case::new(
            Rule::Descriptor,
            "sending: 16384 buffers of a byte",
            "too small: 1500 of them for 1500 bytes",
            |scene| {
                let link = offers_bytes(scene, 14);
                let mut handle = scene.handle();
                handle.write_packet(&pattern(1, 100)).unwrap();
                let error = handle.write_packet(&pattern(2, 1500)).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::MalformedMessage, "{error}");
                link.wire.expect_refusal();
            },
        ),
        Case::new(
            Rule::Descriptor,
            "sending: 16 buffers of a byte",
            "had enough",
            |scene| {
                let link = offers_bytes(scene, LOG2);
                let mut handle = scene.handle();
                // As with a small ring of a peer that means no harm.
                let error = handle.write_packet(&pattern(1, 1500)).unwrap_err();
                assert_eq!(
                    error.to_string(),
                    "packet: it has 1500 bytes, and the peer offers 16 buffers of at most 1 byte"
                );
                handle.write_packet(&pattern(2, 16)).unwrap();
                link.wire.send(&Message::disconnect(0, "had enough"));
                assert!(link.wire.receive().is_none());
            },
        ),
        Case::new(Rule::Ring, "both rings are one", "", |scene| {
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
        Case::new(Rule::Ring, "the ring lies in the buffers", "", |scene| {
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
    let mut cases: Vec<_> = receiving(Role::Slave, MASTER_SENDS, &[b"good"]).collect();
    for tail in [17, 0x8000, 0xffff] {
        let name = format!("sending: tail at {tail}, one slot was sent");
        let says = "slots are outstanding";
        cases.push(Case::new(Rule::Counters, name, says, move |scene| {
            let link = scene.link();
            let mut handle = scene.handle();
            handle.write_packet(b"x").unwrap();
            link.s2m().set_tail(tail);
            refused_to_write(&mut handle);
            link.wire.expect_refusal();
        }));
    }
    cases.extend([
        Case::new(
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
        Case::new(
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
        Case::new(
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

//! What is in the shared memory, in both directions and roles.

use crate::case::{Case, Rule};
use crate::cases::meanwhile::{emptied_eventfds, eventfds, flickers, without_fences};
use crate::inside::No;
use crate::peer::*;
use crate::target::{Role, Target, noise};

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
];

fn receiving(
    role: Role,
    table: &'static [(Rule, &'static str, &'static str, Attack)],
    good: &'static [&'static [u8]],
) -> impl Iterator<Item = Case> {
    table.iter().map(move |(rule, name, says, attack)| {
        Case::new(*rule, format!("receiving: {name}"), says, move |target| {
            let link = target.link();
            let mut handle = target.handle();
            for packet in good {
                match role {
                    Role::Master => link.slave_sends(packet),
                    Role::Slave => link.master_sends(packet),
                }
            }
            attack(&link);
            handle.violated(good);
            link.wire.expect_refusal();
        })
    })
}

/// A link whose slave offers all slots of a ring of this size, each of a byte.
fn offers_bytes(target: &Target, log2: u8) -> Link {
    let mut plan = target.plan();
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
    let link = plan.up(&target.socket);
    target.wait_up();
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
        Case::new(*rule, format!("sending: {name}"), says, move |target| {
            let link = target.link();
            let mut handle = target.handle();
            // Nothing is offered.
            handle.cannot_write(b"x", No::Nothing);
            attack(&link);
            handle.refused_to_write();
            link.wire.expect_refusal();
            target.wait_down();
            handle.cannot_write(b"x", No::LinkDown);
        })
    }));
    cases.extend([
        Case::new(
            Rule::Descriptor,
            "sending: the offered buffers are the rings",
            "",
            |target| {
                let link = target.link();
                let mut handle = target.handle();
                let ring = link.m2s();
                for slot in 0..16 {
                    let mut desc = ring.desc(slot);
                    (desc.region, desc.offset, desc.length) = (0, u32::from(slot) * 8, 600);
                    ring.set_desc(slot, desc);
                }
                ring.set_head(16);
                // Each writes over the counters: what is found then is one offence or another.
                for n in 0..2000u64 {
                    handle.tries(&noise(n, 600));
                }
            },
        ),
        Case::new(
            Rule::Descriptor,
            "sending: 16384 buffers of a byte",
            "too small: 1500 of them for 1500 bytes",
            |target| {
                let link = offers_bytes(target, 14);
                let mut handle = target.handle();
                handle.writes(&noise(1, 100));
                handle.cannot_write(&noise(2, 1500), No::Violation);
                link.wire.expect_refusal();
            },
        ),
        Case::new(
            Rule::Descriptor,
            "sending: 16 buffers of a byte",
            "had enough",
            |target| {
                let link = offers_bytes(target, LOG2);
                let mut handle = target.handle();
                // As with a small ring of a peer that means no harm.
                let why =
                    "a packet of 1500 bytes does not fit: the peer offers 16 buffers of at most 1 byte";
                handle.cannot_write(&noise(1, 1500), No::Other(why.into()));
                handle.writes(&noise(2, 16));
                link.wire.send(&Message::disconnect(0, "had enough"));
                assert!(link.wire.receive().is_none());
            },
        ),
        Case::new(Rule::Ring, "both rings are one", "", |target| {
            let mut plan = target.plan();
            let at_s2m = plan.s2m[0].offset as u32;
            plan.steps[P_M2S].put32(at::RING_OFFSET, at_s2m);
            let link = plan.up(&target.socket);
            target.wait_up();
            let mut handle = target.handle();
            for n in 0..2000u16 {
                link.s2m().set_head(n / 3);
                handle.tries(b"a packet");
            }
        }),
        Case::new(Rule::Ring, "the ring lies in the buffers", "", |target| {
            let mut plan = Plan::single_region(0);
            let end = (plan.regions[0].len() - ring_bytes(LOG2)) as u32;
            plan.regions[0].store32(end as usize, COOKIE);
            plan.steps[P_M2S - 1].put32(at::RING_OFFSET, end);
            let link = plan.up(&target.socket);
            target.wait_up();
            let mut handle = target.handle();
            link.offer();
            for n in 0..2000u64 {
                handle.tries(&noise(n, 2000));
            }
        }),
    ]);
    cases.extend(flickers(Role::Master));
    cases.extend(eventfds(Role::Master));
    cases.push(emptied_eventfds(Role::Master));
    cases.push(without_fences(Role::Master));
    cases
}

pub(crate) fn on_slave() -> Vec<Case> {
    let mut cases: Vec<_> = receiving(Role::Slave, MASTER_SENDS, &[b"good"]).collect();
    for tail in [17, 0x8000, 0xffff] {
        let name = format!("sending: tail at {tail}, one slot was sent");
        let says = "slots are outstanding";
        cases.push(Case::new(Rule::Counters, name, says, move |target| {
            let link = target.link();
            let mut handle = target.handle();
            handle.writes(b"x");
            link.s2m().set_tail(tail);
            handle.refused_to_write();
            link.wire.expect_refusal();
        }));
    }
    cases.extend([
        Case::new(
            Rule::OwnDescriptors,
            "sending: the slots point elsewhere",
            "had enough",
            |target| {
                let link = target.link();
                let mut handle = target.handle();
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
                    let packet = noise(u64::from(slot), 100);
                    handle.writes(&packet);
                    let desc = ring.desc(slot);
                    assert_eq!((desc.flags, desc.region, desc.length), (0, 1, 100));
                    assert!(link.data(desc) == packet, "slot {slot}");
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
            |target| {
                let link = target.link();
                let mut handle = target.handle();
                for n in 0..300u64 {
                    let garbage = noise(n, link.regions[0].len());
                    link.regions[0].write(0, &garbage);
                    handle.tries(b"a packet");
                    let _ = target.shows("");
                }
            },
        ),
        Case::new(
            Rule::Region,
            "shrinks the slave's regions",
            "had enough",
            |target| {
                let link = target.link();
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
    cases.push(emptied_eventfds(Role::Slave));
    cases.push(without_fences(Role::Slave));
    cases
}

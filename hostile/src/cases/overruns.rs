//! More is published than there can be, and chains that do not end: what some peers do by mistake,
//! and are not refused for. What comes after is read as if nothing had been.

use crate::case::{Case, Rule};
use crate::inside::No;
use crate::peer::*;
use crate::target::{Role, Target};

const SIZE: u16 = 1 << LOG2;

/// The ring that the victim reads, and its counter of what is published.
fn publish(role: Role, link: &Link, counter: impl Fn(u16) -> u16) {
    match role {
        Role::Master => {
            let ring = link.s2m();
            ring.set_head(counter(ring.head()));
            ring.wake();
        }
        Role::Slave => {
            let ring = link.m2s();
            ring.set_tail(counter(ring.tail()));
            ring.wake();
        }
    }
}

fn send(role: Role, link: &Link, packet: &[u8]) {
    match role {
        Role::Master => link.slave_sends(packet),
        Role::Slave => link.master_sends(packet),
    }
}

/// All slots are links of a chain, with these flags.
fn chain(role: Role, link: &Link, flags: u16) {
    let ring = match role {
        Role::Master => link.s2m(),
        Role::Slave => link.m2s(),
    };
    for slot in 0..SIZE {
        let desc = ring.desc(slot);
        ring.set_desc(
            slot,
            Desc {
                flags,
                length: 64,
                ..desc
            },
        );
    }
}

fn left(link: &Link) {
    link.wire.send(&Message::disconnect(0, "had enough"));
    assert!(link.wire.receive().is_none());
}

/// Two packets are read, the counter jumps; then one is read that is sent after that.
fn jump(role: Role, name: &str, by: u16) -> Case {
    let name = format!("receiving: the counter {name}");
    let says = "the peer overruns the ring";
    let case = Case::new(Rule::Counters, name, says, move |target: &Target| {
        let link = target.link();
        let mut handle = target.handle();
        send(role, &link, b"one");
        send(role, &link, b"two");
        handle.reads(b"one").reads(b"two");
        handle.has_nothing_to_read(No::Nothing);
        publish(role, &link, |counter| counter.wrapping_add(by));
        let read = handle.reads_all();
        assert!(read <= usize::from(SIZE), "{read} packets in {SIZE} slots");
        send(role, &link, b"three");
        handle.reads(b"three");
        left(&link);
    });
    case.in_role(role)
}

/// A chain that has no end yet, and gets it.
fn unfinished(role: Role) -> Case {
    let name = "receiving: a chain of one, whose end comes later";
    let case = Case::new(
        Rule::Counters,
        name,
        "had enough",
        move |target: &Target| {
            let link = target.link();
            let mut handle = target.handle();
            send(role, &link, b"one");
            handle.reads(b"one");
            chain(role, &link, NEXT);
            publish(role, &link, |counter| counter + 2);
            handle.has_nothing_to_read(No::Nothing);
            chain(role, &link, 0);
            publish(role, &link, |counter| counter + 1);
            handle.reads_any(64).reads_any(64).reads_any(64);
            left(&link);
        },
    );
    case.in_role(role)
}

/// A whole ring of a chain.
fn endless(role: Role, name: &str, flags: u16) -> Case {
    let name = format!("receiving: a ring full of a chain without an end, {name}");
    let says = "no end in the whole ring";
    let case = Case::new(Rule::Counters, name, says, move |target: &Target| {
        let link = target.link();
        let mut handle = target.handle();
        send(role, &link, b"one");
        handle.reads(b"one");
        chain(role, &link, flags);
        publish(role, &link, |counter| counter + SIZE);
        handle.violated(&[]);
        link.wire.expect_refusal();
    });
    case.in_role(role)
}

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for role in [Role::Master, Role::Slave] {
        cases.extend([
            jump(role, "is one too far", SIZE + 1),
            jump(role, "is a ring too far", 2 * SIZE),
            jump(role, "is half the numbers away", 0x8000),
            jump(role, "goes back by one", 0xffff),
            jump(role, "goes back by two rings", 0u16.wrapping_sub(2 * SIZE)),
            unfinished(role),
            endless(role, "as it should be", NEXT),
            endless(role, "all flags set", u16::MAX),
        ]);
    }
    cases
}

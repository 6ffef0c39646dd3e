//! The protocol of a ring as a model, of which every state is visited: two counters that wrap, the
//! flag, the event, a sender with a fence and without, and the order in which a receiver goes to
//! sleep. Where something is missing the model has to show what is lost, and how.
//!
//! What a core of ours does in these few accesses is run, in every order, by
//! `vendor/libmemif/tests/orders.c`; this adds what its peers do, and time.

mod model;

use model::{LateLook, Memory, Protocol};
use stateright::{Checker, HasDiscoveries, Model};

const WHOLE: &str = "what is read is what was sent";
const WOKEN: &str = "nobody sleeps on packets";

/// Visits every state. Returns how it comes to what must not be: of the two, what and by which steps.
fn broken(protocol: Protocol) -> Option<(&'static str, Vec<String>)> {
    let checker = protocol
        .checker()
        .finish_when(HasDiscoveries::AnyFailures)
        .spawn_bfs()
        .join();
    let found = [WHOLE, WOKEN]
        .into_iter()
        .find_map(|name| Some((name, checker.discovery(name)?)));
    println!(
        "{} states, {} steps deep",
        checker.unique_state_count(),
        checker.max_depth()
    );
    let Some((name, path)) = found else {
        checker.assert_properties();
        return None;
    };
    let steps: Vec<_> = path
        .into_actions()
        .iter()
        .map(|action| format!("{action:?}"))
        .collect();
    println!("not true: {name}\n    {}", steps.join("\n    "));
    Some((name, steps))
}

/// Both directions, both kinds of memory, and rings of a half and of a quarter of what counters reach.
fn all(change: Protocol) -> impl Iterator<Item = Protocol> {
    let memories = [Memory::Strong, Memory::Weak].into_iter();
    memories.flat_map(move |memory| {
        [(2, false), (2, true), (3, false)].map(|(bits, to_slave)| Protocol {
            bits,
            to_slave,
            memory,
            ..change
        })
    })
}

#[track_caller]
fn holds(protocol: Protocol) {
    for protocol in all(protocol) {
        assert_eq!(broken(protocol), None, "{protocol:?}");
    }
}

#[track_caller]
fn breaks(protocol: Protocol, what: &str) {
    for protocol in all(protocol) {
        let found = broken(protocol).map(|(what, _)| what);
        assert_eq!(found, Some(what), "{protocol:?}");
    }
}

const RIGHT: Protocol = Protocol::RIGHT;

/// As libmemif and VPP send.
const FENCELESS: Protocol = Protocol {
    sender_fence: false,
    ..RIGHT
};

#[test]
fn the_protocol_holds() {
    holds(RIGHT);
}

#[test]
fn a_larger_ring_is_the_same() {
    let protocol = Protocol {
        bits: 3,
        log2_size: 2,
        memory: Memory::Strong,
        ..RIGHT
    };
    assert_eq!(broken(protocol), None);
}

#[test]
fn with_two_fences_no_late_look_is_needed() {
    holds(Protocol {
        late_look: LateLook::Never,
        ..RIGHT
    });
}

#[test]
fn a_sender_without_a_fence_loses_a_wake_up() {
    breaks(
        Protocol {
            late_look: LateLook::Never,
            ..FENCELESS
        },
        WOKEN,
    );
}

#[test]
fn a_late_look_finds_the_packet_of_a_sender_without_a_fence() {
    holds(FENCELESS);
}

#[test]
fn a_look_before_the_stores_arrive_is_no_late_look() {
    breaks(
        Protocol {
            late_look: LateLook::Early,
            ..FENCELESS
        },
        WOKEN,
    );
}

/// Without the late look, which would find it.
const ONCE: Protocol = Protocol {
    late_look: LateLook::Never,
    ..RIGHT
};

#[test]
fn a_receiver_without_a_fence_loses_a_wake_up() {
    breaks(
        Protocol {
            receiver_fence: false,
            ..ONCE
        },
        WOKEN,
    );
}

#[test]
fn a_receiver_that_does_not_look_again_loses_a_wake_up() {
    breaks(
        Protocol {
            second_look: false,
            ..ONCE
        },
        WOKEN,
    );
}

#[test]
fn a_receiver_that_clears_the_event_last_loses_a_wake_up() {
    breaks(
        Protocol {
            clears_first: false,
            ..ONCE
        },
        WOKEN,
    );
}

#[test]
fn without_release_the_counter_comes_before_the_packet() {
    let protocol = Protocol {
        release: false,
        ..RIGHT
    };
    assert_eq!(broken(protocol).unwrap().0, WHOLE);
    // On x86 the order of stores is kept.
    let strong = Protocol {
        memory: Memory::Strong,
        ..protocol
    };
    assert_eq!(broken(strong), None);
}

#[test]
fn a_ring_as_large_as_its_counters_reach_is_taken_for_empty() {
    // 2^16 slots of counters of 16 bits; 2^15 is the most.
    let protocol = Protocol {
        bits: 2,
        log2_size: 2,
        ..RIGHT
    };
    assert_eq!(broken(protocol).unwrap().0, WHOLE);
    // To a slave nothing is ever sent: all slots offered are none.
    let to_slave = Protocol {
        to_slave: true,
        ..protocol
    };
    let checker = to_slave.checker().spawn_bfs().join();
    assert!(checker.discovery("the ring is full").is_none());
}

//! Nothing is left behind by links that come and go. One test, alone in its process: it counts
//! the process's descriptors and mappings.

mod common;

use std::fs;

use common::*;
use memif::{Memif, MemifConfig, Role};
use memif_hostile::peer::*;

fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

/// The mappings of shared memory.
fn mappings() -> usize {
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    maps.lines().filter(|line| line.contains("memfd:")).count()
}

/// A link between ours, a packet each way, some left unread; closed by either side.
fn ours(round: usize) {
    let pair = Pair::with(|c| c.queues(2, 2));
    for role in ROLES {
        let (mut to, mut from) = pair.handles(role, 1);
        to.write_packet(b"a packet").unwrap();
        assert_eq!(read(&mut from), b"a packet");
    }
    if round.is_multiple_of(2) {
        pair.master.close();
        down(&pair.slave);
    }
}

/// The same interface, with one peer after the other, whose packets are never read.
fn peers(master: &Memif) {
    let link = Plan::new(0).up(master.socket());
    up(master);
    link.offer();
    let mut handle = master.packet_handle(0).unwrap().with_burst(1);
    link.slave_sends(b"x");
    link.slave_sends(b"y");
    assert_eq!(read(&mut handle), b"x");
    drop(link);
    down(master);
    drain(&mut handle);
}

/// Peers that are refused, or go, with descriptors in every message.
fn broken(master: &Memif) {
    for step in P_INIT..=P_CONNECT {
        for extra in [1, 2, 3, 100] {
            let mut plan = Plan::new(0);
            plan.steps[step].fds.extend((0..extra).map(|_| eventfd()));
            plan.refused(master.socket());
        }
        let mut short = Plan::new(0);
        short.steps[step].fds = vec![eventfd()];
        short.steps[step].length = 64;
        short.refused(master.socket());
        let wire = Wire::connect(master.socket());
        wire.expect(HELLO);
        for step in &Plan::new(0).steps[..step] {
            step.send(&wire).unwrap();
            wire.expect(ACK);
        }
        drop(wire);
        // The next one would be refused until the end is seen.
        until("the end of it", || {
            let mut plan = Plan::new(0);
            plan.steps[P_INIT].put8(at::INIT_MODE, 9);
            let Outcome::Refused(refusal) = plan.run(master.socket()) else {
                panic!("not refused")
            };
            refusal.reason.contains("mode mismatch")
        });
    }
}

#[test]
fn descriptors_and_mappings_do_not_grow() {
    let context = context();
    let config = MemifConfig::new(socket()).role(Role::Master);
    let master = context.create_interface(config).unwrap();
    let cycle = |round| {
        ours(round);
        peers(&master);
    };
    // Once for what is made at first use.
    cycle(0);
    broken(&master);
    let before = (descriptors(), mappings());
    for round in 0..100 {
        cycle(round);
        if round % 20 == 0 {
            broken(&master);
        }
    }
    // Closed by the control thread, a moment later than the other side sees it.
    until("as many descriptors as before", || {
        descriptors() <= before.0
    });
    until("as many mappings as before", || mappings() <= before.1);
}

//! Slaves that offer their buffers late, or in lots.

use std::time::{Duration, Instant};

use memif::{Eof, Error};

use crate::*;

/// Of rings of 64 slots, from which VPP takes 32 at a time.
fn lots(name: &str, socket: impl AsRef<std::path::Path>) -> Link {
    let mut plan = Plan::new(0);
    let memory = Memory::new(2 * ring_bytes(6));
    plan.steps[P_INIT].message = plan.steps[P_INIT]
        .message
        .put(at::INIT_NAME, name.as_bytes());
    plan.steps[P_REGION0] = Step::new(Message::add_region(0, memory.len() as u64), &[&memory.fd]);
    plan.regions[0] = memory;
    for (step, ring, offset) in [
        (P_S2M, &mut plan.s2m[0], 0),
        (P_M2S, &mut plan.m2s[0], ring_bytes(6)),
    ] {
        ring.offset = offset;
        ring.log2 = 6;
        plan.steps[step].put32(at::RING_OFFSET, offset as u32);
        plan.steps[step].put8(at::RING_LOG2, 6);
        plan.regions[0].store32(offset, COOKIE);
    }
    let link = plan.up(socket);
    let ring = link.m2s();
    for slot in 0..64u16 {
        let desc = Desc {
            region: 1,
            length: 64,
            offset: 64 * u32::from(slot),
            ..Desc::default()
        };
        ring.set_desc(slot, desc);
    }
    link
}

/// Takes what was sent, and offers slots again where there are 32 of them: all there are, but for
/// the last four.
fn takes(link: &Link) {
    let ring = link.m2s();
    let taken = 64 - ring.head().wrapping_sub(ring.tail());
    if taken >= 32 {
        ring.set_head(ring.head().wrapping_add(taken & !3));
    }
}

#[test]
fn what_is_less_than_a_lot_and_rests_is_held_to_be_taken() {
    let context = context();
    for (name, sent) in [
        ("VPP 26.10", 1),
        ("VPP 26.10", 31),
        ("other", 33),
        ("other", 100),
    ] {
        let master = ours(&context, Role::Master);
        let link = lots(name, master.socket());
        up(&master);
        link.m2s().set_head(64);
        let mut queue = master.tx_queue(0).unwrap();
        for _ in 0..sent {
            while queue.tx_burst(&[b"packet"]).unwrap() == 0 {
                takes(&link);
            }
        }
        takes(&link);
        let start = Instant::now();
        queue.flush(LONG).unwrap();
        assert!(start.elapsed() < Duration::from_secs(5));
        let left = queue.pending_slots().unwrap();
        assert!(left < 32, "{left} of {sent}");
        drop(queue);
        let start = Instant::now();
        master.close();
        assert!(
            start.elapsed() < Duration::from_millis(900),
            "closing does not wait a second"
        );
    }
}

/// Others than VPP, whose lots are not known, and peers that stand still.
#[test]
fn what_a_peer_that_stands_still_has_not_taken_is_told() {
    let context = context();
    for (name, sent) in [("other", 1), ("VPP 26.10", 33)] {
        let master = ours(&context, Role::Master);
        let link = lots(name, master.socket());
        up(&master);
        link.m2s().set_head(64);
        let mut queue = master.tx_queue(0).unwrap();
        for _ in 0..sent {
            assert_eq!(queue.tx_burst(&[b"packet"]).unwrap(), 1);
        }
        assert_eq!(
            queue.flush(Duration::from_millis(300)),
            Err(Error::TimedOut)
        );
        drop(link);
        down(&master);
        let error = queue.flush(LONG).unwrap_err();
        assert!(matches!(error, Error::Eof(Eof::LinkDown)), "{error}");
    }
}

/// A slave of VPP's with several queues is up a moment before it offers anything.
#[test]
fn offers_may_come_late_and_bit_by_bit() {
    let context = context();
    let master = ours(&context, Role::Master);
    let link = lots("VPP 26.10", master.socket());
    up(&master);
    let mut handle = master.packet_handle(0).unwrap().with_burst(8);
    assert_eq!(handle.write_packet(b"x"), Err(Error::Full));
    let ring = link.m2s();
    ring.set_head(32);
    let sizes = || master.details().unwrap().tx_queues[0].buffer_size;
    assert_eq!(sizes(), 64, "what is offered late is known");
    for _ in 0..10 {
        handle.write_packet(b"x").unwrap();
    }
    ring.set_head(64);
    // It has taken none; that it now has more on offer than ever is no sign that it has.
    let start = Instant::now();
    handle.flush(LONG).unwrap();
    assert!(start.elapsed() >= Duration::from_millis(90));
}

/// A link is up a moment before its first buffers are there.
#[test]
fn waiting_for_a_link_waits_for_its_first_offers() {
    let context = context();
    let master = ours(&context, Role::Master);
    let link = lots("other", master.socket());
    until("the link", || master.is_link_up());
    // They do not come; a lower bound holds on the slowest machine.
    let start = Instant::now();
    master.wait_link_up(Some(LONG)).unwrap();
    let waited = start.elapsed();
    assert!(
        (Duration::from_millis(20)..LONG).contains(&waited),
        "{waited:?}"
    );
    // Not longer than the caller wants.
    let mut handle = master.packet_handle(0).unwrap();
    master.wait_link_up(Some(Duration::ZERO)).unwrap();
    assert_eq!(handle.write_packet(b"x"), Err(Error::Full));
    link.m2s().set_head(64);
    master.wait_link_up(Some(LONG)).unwrap();
    handle.write_packet(b"x").unwrap();
}

//! What is in the shared memory, strange or wrong. What ends a link is in tests/hostile.

use crate::*;

#[test]
fn a_full_ring_of_empty_and_whole_region_packets_is_read() {
    // Strange, but inside the memory.
    let context = context();
    let master = side(&context, Role::Master);
    let link = Plan::new(0).up(master.socket());
    up(&master);
    let mut handle = master.packet_handle(0).unwrap().with_burst(32);
    let size = link.regions[1].len() as u32;
    let ring = link.s2m();
    for slot in 0..16 {
        let length = if slot % 2 == 0 { 0 } else { size };
        let whole = Desc {
            region: 1,
            length,
            ..Desc::default()
        };
        ring.set_desc(slot, whole);
    }
    ring.set_head(16);
    ring.wake();
    for slot in 0..16 {
        let length = if slot % 2 == 0 { 0 } else { size as usize };
        let packet = handle.read_packet_timeout(Some(LONG)).unwrap();
        assert_eq!(packet.len(), length);
    }
    assert_eq!(ring.tail(), 16);
}

#[test]
fn a_violation_is_told_to_whoever_looks_first_and_to_nobody_after() {
    let (_context, raw, slave) = attacked();
    let link = raw.go(Stage::Up);
    up(&slave);
    let mut handle = slave.packet_handle(0).unwrap().with_burst(8);
    handle.write_packet(b"x").unwrap();
    link.s2m().set_tail(2);
    let error = handle.flush(LONG).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::MalformedMessage, "{error}");
    let next = handle.write_packet(b"x").unwrap_err();
    assert!(
        next == Error::Full || next == Eof::LinkDown.into(),
        "{next}"
    );
    link.wire.expect_refusal().says("slots are outstanding");
    assert_eq!(handle.wait(Some(LONG)).unwrap(), Wait::LinkDown);
    drop(handle);
    works_as_master(&raw.go(Stage::Up), &slave);
}

#[test]
fn a_slave_offers_its_own_buffers_whatever_the_ring_says() {
    let (_context, raw, slave) = attacked();
    let link = raw.go(Stage::Up);
    up(&slave);
    until("offered buffers", || link.m2s().head() == 16);
    let mut handle = slave.packet_handle(0).unwrap().with_burst(8);
    let ring = link.m2s();
    for round in 0..40u16 {
        let made = ring.desc(round);
        let packet = pattern(u64::from(round), 100);
        link.master_sends(&packet);
        assert_same(&read(&mut handle), &packet, round);
        // It was offered again, as it was, though its length and flags were changed.
        until("an offer", || ring.head() == round.wrapping_add(17));
        // The metadata is ours to fill: it tells observers what the slot held.
        let metadata = made.metadata;
        let again = ring.desc(round);
        assert_eq!(Desc { metadata, ..again }, made);
    }
}

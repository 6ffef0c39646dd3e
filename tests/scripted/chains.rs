//! Packets of several slots, and of one that is long.

use memif::{Eof, Error};

use crate::*;

/// As libmemif's `test_app` does when its ring is full.
#[test]
fn a_chain_that_is_published_in_two_bursts_is_one_packet() {
    let context = context();
    let master = ours(&context, Role::Master);
    let link = slave_named("libmemif", master.socket());
    up(&master);
    let mut handle = master.packet_handle(0).unwrap().with_burst(8);
    for mode in [memif::RxMode::Polling, memif::RxMode::Interrupt] {
        master.set_rx_mode(0, mode).unwrap();
        let packet = pattern(1, 5 * BUFFER);
        let ring = link.s2m();
        let begin = ring.head();
        let end = put_chain(&link, begin, &packet, true);
        for published in begin.wrapping_add(1)..end {
            ring.set_head(published);
            ring.wake();
            assert_eq!(eof(handle.read_packet()), Eof::Empty);
            // It does not turn in circles either.
            let soon = Some(std::time::Duration::from_millis(1));
            assert_eq!(handle.wait(soon), Err(Error::TimedOut));
        }
        ring.set_head(end);
        ring.wake();
        assert_same(&read(&mut handle), &packet, "the chain");
        assert_eq!(ring.tail(), end, "all of its slots are given back");
        link.slave_sends(b"after it");
        assert_eq!(read(&mut handle), b"after it");
    }
}

/// What is in front of it does not wait.
#[test]
fn packets_before_an_unfinished_chain_are_read_at_once() {
    let context = context();
    let master = ours(&context, Role::Master);
    let link = slave_named("libmemif", master.socket());
    up(&master);
    let mut handle = master.packet_handle(0).unwrap().with_burst(8);
    let ring = link.s2m();
    let chain = put_chain(&link, 0, b"before", true);
    let end = put_chain(&link, chain, &pattern(2, 3 * BUFFER), true);
    ring.set_head(chain + 1);
    ring.wake();
    assert_eq!(read(&mut handle), b"before");
    assert_eq!(eof(handle.read_packet()), Eof::Empty);
    assert_eq!(ring.tail(), chain);
    ring.set_head(end);
    ring.wake();
    assert_same(&read(&mut handle), &pattern(2, 3 * BUFFER), "the chain");
}

/// The link ends before the rest is there.
#[test]
fn an_unfinished_chain_ends_with_its_link() {
    let context = context();
    let master = ours(&context, Role::Master);
    let link = slave_named("libmemif", master.socket());
    up(&master);
    let mut handle = master.packet_handle(0).unwrap().with_burst(8);
    let chain = put_chain(&link, 0, b"before", true);
    put_chain(&link, chain, &pattern(2, 3 * BUFFER), true);
    link.s2m().set_head(chain + 2);
    drop(link);
    down(&master);
    assert_eq!(read(&mut handle), b"before");
    assert_eq!(eof(handle.read_packet()), Eof::LinkDown);
    let link = slave_named("libmemif", master.socket());
    up(&master);
    link.slave_sends(b"next");
    assert_eq!(read(&mut handle), b"next");
}

/// A zero-copy slave of VPP's sends a frame of 2050 bytes in one slot.
#[test]
fn one_slot_may_hold_more_than_a_buffer_of_ours() {
    let context = context();
    let master = ours(&context, Role::Master);
    let link = slave_named("VPP 26.10", master.socket());
    up(&master);
    let mut handle = master.packet_handle(0).unwrap().with_burst(8);
    let packet = pattern(3, BUFFER + 2);
    let ring = link.s2m();
    let mut desc = ring.desc(0);
    link.regions[usize::from(desc.region)].write(desc.offset as usize, &packet);
    (desc.length, desc.flags) = (packet.len() as u32, 0);
    ring.set_desc(0, desc);
    ring.set_head(1);
    ring.wake();
    assert_same(&read(&mut handle), &packet, "one descriptor");
}

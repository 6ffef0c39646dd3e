//! VPP before 26.06 writes more into a ring than it holds, once a chain fills it.

use std::sync::atomic::{AtomicBool, Ordering};

use memif::Context;

use crate::*;

const SIZE: u16 = 1 << LOG2;

/// Chains of three slots, each of packets with one number.
fn packet(number: u64) -> Vec<u8> {
    pattern(number, 2 * BUFFER + 100)
}

/// Writes packets one after the other, over those that were not read.
fn write(link: &Link, numbers: std::ops::Range<u64>) -> u16 {
    let mut at = link.s2m().head();
    for number in numbers {
        at = put_chain(link, at, &packet(number), true);
    }
    at
}

fn slots_lost(master: &Memif) -> u64 {
    master.stats().rx_queues[0].overrun_slots
}

/// The newest are read, what they have overwritten is counted, and all goes on.
#[test]
fn what_an_overrun_has_left_is_read_and_the_rest_counted() {
    let context = context();
    let master = ours(&context, Role::Master);
    let link = slave_named("VPP 26.02", master.socket());
    up(&master);
    let mut handle = master.packet_handle(0).unwrap().with_burst(1);
    let ring = link.s2m();
    link.slave_sends(b"one");
    link.slave_sends(b"two");
    assert_eq!(read(&mut handle), b"one");
    assert_eq!(read(&mut handle), b"two");
    // 30 slots into a ring of 16: the last five packets are whole.
    ring.set_head(write(&link, 2..12));
    ring.wake();
    for number in 7..12 {
        assert_same(&read(&mut handle), &packet(number), number);
        let free = SIZE - ring.head().wrapping_sub(ring.tail());
        let all_read = number == 11;
        let expected = if all_read { SIZE } else { 0 };
        assert_eq!(free, expected, "the peer is stopped while it is read");
    }
    assert_eq!(slots_lost(&master), 15, "five packets of three slots");
    // From now on it is stopped each time, and loses nothing that fits.
    for number in 12..40 {
        ring.set_head(write(&link, number..number + 1));
        ring.wake();
        assert_same(&read(&mut handle), &packet(number), number);
        assert_eq!(ring.tail(), ring.head());
    }
    assert_eq!(slots_lost(&master), 15);
    assert_eq!(master.stats().links, 1, "the link stays");
}

/// Chains that were read have been marked as free, perhaps after they were written again: of the
/// first overrun nothing is read then.
#[test]
fn what_we_may_have_written_to_ourselves_is_not_delivered() {
    let context = context();
    let master = ours(&context, Role::Master);
    let link = slave_named("VPP 26.02", master.socket());
    up(&master);
    let mut handle = master.packet_handle(0).unwrap().with_burst(8);
    let ring = link.s2m();
    for (numbers, lost) in [(0..2, 0), (2..12, 30), (12..22, 45)] {
        ring.set_head(write(&link, numbers.clone()));
        ring.wake();
        let whole = match lost {
            0 => numbers,
            30 => 12..12,
            _ => 17..22,
        };
        for number in whole {
            assert_same(&read(&mut handle), &packet(number), number);
        }
        assert_eq!(eof(handle.read_packet()), memif::Eof::Empty);
        assert_eq!(slots_lost(&master), lost);
        assert_eq!(ring.tail(), ring.head());
    }
}

/// What is published meanwhile, in spite of the full ring, may have been written over what was
/// read: that is not delivered.
#[test]
fn what_may_be_torn_is_not_delivered() {
    let context = context();
    let master = ours(&context, Role::Master);
    let link = slave_named("VPP 26.02", master.socket());
    up(&master);
    let mut handle = master.packet_handle(0).unwrap().with_burst(1);
    let ring = link.s2m();
    ring.set_head(write(&link, 0..10));
    ring.wake();
    assert_same(&read(&mut handle), &packet(5), "the first whole one");
    // The peer does not stop.
    ring.set_head(write(&link, 10..20));
    ring.wake();
    for number in 15..20 {
        assert_same(&read(&mut handle), &packet(number), number);
    }
    assert_eq!(slots_lost(&master), 15 + 12 + 15);
}

/// As master, it writes into slots that were not offered.
#[test]
fn a_master_that_overruns_a_ring_is_read_on_too() {
    let context = context();
    let socket = socket();
    let raw = Master::listen(&socket);
    let slave = MemifConfig::new(&socket)
        .log2_ring_size(LOG2)
        .buffer_size(BUFFER as u16);
    let slave = context.create_interface(slave).unwrap();
    let link = raw.go(Stage::Up);
    up(&slave);
    let mut handle = slave.packet_handle(0).unwrap().with_burst(8);
    let ring = link.m2s();
    until("offered buffers", || ring.head() == SIZE);
    for number in 0..u64::from(SIZE) + 5 {
        let slot = ring.tail().wrapping_add(number as u16);
        let mut desc = ring.desc(slot);
        link.regions[usize::from(desc.region)].write(desc.offset as usize, &pattern(number, 50));
        (desc.length, desc.flags) = (50, 0);
        ring.set_desc(slot, desc);
    }
    ring.set_tail(SIZE + 5);
    ring.wake();
    // What it wrote may have been made ready for it again meanwhile.
    assert_eq!(eof(handle.read_packet()), memif::Eof::Empty);
    assert_eq!(slots_lost(&slave), u64::from(SIZE) + 5);
    assert_eq!(
        ring.head(),
        ring.tail() + SIZE,
        "all buffers are offered again"
    );
    for slot in 0..SIZE {
        assert_eq!(
            ring.desc(slot).length,
            BUFFER as u32,
            "each with all of its room"
        );
    }
    link.master_sends(b"after it");
    assert_eq!(read(&mut handle), b"after it");

    // In the middle of a frame, it got no processor: we have offered the slots again, over the
    // descriptors that it had written. What it publishes now is no packet.
    let before = slots_lost(&slave);
    until("offered buffers", || ring.head() == ring.tail() + SIZE);
    ring.set_tail(ring.tail() + 3);
    ring.wake();
    until("lost slots", || {
        assert_eq!(eof(handle.read_packet()), memif::Eof::Empty);
        slots_lost(&slave) == before + 3
    });
    link.master_sends(b"and this");
    assert_eq!(read(&mut handle), b"and this");
}

/// Our slave, and a master that has overrun it once and goes on as it should.
fn overrun_once(context: &Context) -> (Memif, Master, Link) {
    let socket = socket();
    let raw = Master::listen(&socket);
    let slave = MemifConfig::new(&socket)
        .log2_ring_size(LOG2)
        .buffer_size(BUFFER as u16);
    let slave = context.create_interface(slave).unwrap();
    let link = raw.go(Stage::Up);
    up(&slave);
    let ring = link.m2s();
    until("offered buffers", || ring.head() == SIZE);
    ring.set_tail(SIZE + 5);
    ring.wake();
    let mut handle = slave.packet_handle(0).unwrap();
    until("lost slots", || {
        assert_eq!(eof(handle.read_packet()), memif::Eof::Empty);
        slots_lost(&slave) > 0
    });
    until("offered buffers", || ring.head() == ring.tail() + SIZE);
    (slave, raw, link)
}

/// A packet of 50 bytes into a slot behind the counter, which is not published yet.
fn write_at(link: &Link, offset: u16, number: u64, flags: impl Fn(u16) -> u16) {
    let ring = link.m2s();
    let slot = ring.tail().wrapping_add(offset);
    let mut desc = ring.desc(slot);
    link.regions[usize::from(desc.region)].write(desc.offset as usize, &pattern(number, 50));
    (desc.length, desc.flags) = (50, flags(desc.flags));
    ring.set_desc(slot, desc);
}

fn publish(link: &Link, slots: u16) {
    let ring = link.m2s();
    ring.set_tail(ring.tail().wrapping_add(slots));
    ring.wake();
}

/// DPDK's master keeps the flags of a packet's first slot as they were offered.
#[test]
fn a_master_that_keeps_flags_is_read_on_too() {
    let context = context();
    let (slave, _raw, link) = overrun_once(&context);
    let lost = slots_lost(&slave);
    let mut handle = slave.packet_handle(0).unwrap();
    for number in 0..5 {
        write_at(&link, 0, number, |flags| flags);
        publish(&link, 1);
        assert_same(&read(&mut handle), &pattern(number, 50), number);
    }
    assert_eq!(slots_lost(&slave), lost);
}

/// VPP gives up a chain for which there is no room, and leaves its flags behind.
#[test]
fn a_chain_that_was_given_up_takes_nothing_with_it() {
    let context = context();
    let (slave, _raw, link) = overrun_once(&context);
    let lost = slots_lost(&slave);
    let mut handle = slave.packet_handle(0).unwrap().with_burst(8);
    for number in 0..SIZE {
        let given_up = number == SIZE - 1;
        write_at(&link, number, number.into(), |_| given_up.into());
    }
    publish(&link, SIZE - 1);
    for number in 0..u64::from(SIZE - 1) {
        assert_same(&read(&mut handle), &pattern(number, 50), number);
    }
    assert_eq!(slots_lost(&slave), lost);
}

/// A peer that does not stop at a full ring is not VPP: no reader waits for it again and again.
#[test]
fn who_goes_on_publishing_into_a_full_ring_loses_its_link() {
    let context = context();
    let (slave, _raw, link) = overrun_once(&context);
    let mut handle = slave.packet_handle(0).unwrap();
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let ring = link.m2s();
            while !ended.load(Ordering::Relaxed) {
                ring.set_tail(ring.tail().wrapping_add(40));
                std::thread::yield_now();
            }
        });
        until("the link's end", || match handle.read_packet() {
            Err(memif::Error::Eof(memif::Eof::LinkDown)) => true,
            _ => !slave.is_link_up(),
        });
        ended.store(true, Ordering::Relaxed);
    });
    let error = slave.details().unwrap().error;
    assert!(error.contains("full ring"), "{error}");
}

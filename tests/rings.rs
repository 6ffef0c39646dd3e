//! The rings: counters that wrap, chains, sizes of buffers and rings, in both directions.

mod common;

use std::collections::VecDeque;

use common::*;
use memif::{Eof, Error, PacketHandle, Role, Wait};
use proptest::collection::vec;
use proptest::prelude::*;

/// Sends these packets and reads them, by turns, in bursts as the ring has room.
fn through(to: &mut PacketHandle, from: &mut PacketHandle, packets: &[Vec<u8>]) {
    let (mut sent, mut got) = (0, 0);
    while got < packets.len() {
        while sent < packets.len() {
            match to.write_packets(&packets[sent..packets.len().min(sent + 40)]) {
                Ok(n) => sent += n,
                Err(e) => {
                    assert_eq!(e, Error::Full);
                    break;
                }
            }
        }
        loop {
            match from.read_packet() {
                Ok(packet) => {
                    assert_eq!(packet.info().length, packet.len());
                    assert_same(&packet, &packets[got], got);
                    got += 1;
                }
                Err(e) => {
                    assert_eq!(e.eof(), Some(Eof::Empty), "{e}");
                    break;
                }
            }
        }
        // A full ring was read, or there was room: each round has taken some.
        assert!(got > 0 || sent > 0);
    }
    to.flush(LONG).unwrap();
    assert_eq!(eof(from.read_packet()), Eof::Empty);
}

#[test]
fn counters_wrap_in_rings_of_every_size() {
    for log2 in (1..=14).step_by(if is_long() { 1 } else { 4 }) {
        for reader in ROLES {
            let pair = Pair::small(log2, 64);
            let (mut to, mut from) = pair.handles(reader, 64);
            // Past 65,536 slots everywhere, a bit more in the largest rings.
            let total = 70_000 + (1 << log2);
            let mut number = 0u64;
            while number < total {
                let count = (total - number).min(1 << log2);
                let packets: Vec<_> = (number..number + count)
                    .map(|i| {
                        let length = 8 + (i % 5) as usize * 10;
                        let mut packet = vec![i as u8; length];
                        packet[..8].copy_from_slice(&i.to_ne_bytes());
                        packet
                    })
                    .collect();
                through(&mut to, &mut from, &packets);
                number += count;
            }
            let queue = pair.side(reader).details().unwrap().rx_queues[0];
            assert_eq!(queue.ring_size, 1 << log2);
            let counted = if reader == Role::Master {
                queue.head
            } else {
                queue.tail
            };
            assert_eq!(counted, total as u16, "the counter has wrapped");
        }
    }
}

#[test]
fn packets_of_every_size_around_a_buffer_s() {
    for buffer in [64, 1000, 2048, 65_535] {
        for reader in ROLES {
            let pair = Pair::small(if buffer == 64 { 11 } else { 7 }, buffer);
            let (mut to, mut from) = pair.handles(reader, 16);
            let buffer = usize::from(buffer);
            let mut sizes = vec![1, 2, 63, 64, 65, 1500, 9000, 65_535, 65_536];
            sizes.extend([
                buffer - 1,
                buffer,
                buffer + 1,
                2 * buffer - 1,
                2 * buffer,
                2 * buffer + 1,
            ]);
            let packets: Vec<_> = (0..3 * sizes.len())
                .map(|i| pattern(i as u64, sizes[i % sizes.len()]))
                .collect();
            through(&mut to, &mut from, &packets);
        }
    }
}

#[test]
fn a_packet_may_fill_the_whole_ring() {
    for (log2, buffer) in [(1, 64), (3, 1000), (4, 2048), (2, 65_535)] {
        for reader in ROLES {
            let pair = Pair::small(log2, buffer);
            let (mut to, mut from) = pair.handles(reader, 4);
            from = from.with_snaplen(1 << 20);
            let whole = usize::from(buffer) << log2;
            // From every slot on, so that it straddles the ring's end everywhere.
            for offset in 0..=1u64 << log2 {
                let packet = pattern(offset, whole);
                to.write_packet(&packet).unwrap();
                assert_eq!(to.write_packet(b"x"), Err(Error::Full));
                assert_same(&read(&mut from), &packet, offset);
                to.write_packet(b"one slot on").unwrap();
                assert_eq!(read(&mut from), b"one slot on");
            }
            assert!(
                to.write_packet(&vec![0; whole + 1])
                    .unwrap_err()
                    .eof()
                    .is_none()
            );
        }
    }
}

#[test]
fn chains_of_every_length_at_every_slot() {
    // Also those that end exactly at the ring's end, and those that straddle it.
    const SLOTS: usize = 8;
    for reader in ROLES {
        let pair = Pair::small(3, 64);
        let (mut to, mut from) = pair.handles(reader, 4);
        let mut slot = 0;
        let mut number = 0;
        let mut send = |to: &mut PacketHandle, from: &mut PacketHandle, length: usize| {
            let packet = pattern(number, length);
            number += 1;
            to.write_packet(&packet).unwrap();
            assert_same(
                &read(from),
                &packet,
                format!("packet {number}, {length} bytes"),
            );
        };
        for start in 0..SLOTS {
            for slots in 1..=SLOTS {
                while slot % SLOTS != start {
                    send(&mut to, &mut from, 1);
                    slot += 1;
                }
                for length in [slots * 64 - 63, slots * 64 - 1, slots * 64] {
                    while slot % SLOTS != start {
                        send(&mut to, &mut from, 1);
                        slot += 1;
                    }
                    send(&mut to, &mut from, length);
                    slot += slots;
                }
            }
        }
    }
}

#[test]
fn chains_straddle_the_counter_s_wrap() {
    for reader in ROLES {
        let pair = Pair::small(4, 64);
        let (mut to, mut from) = pair.handles(reader, 4);
        // 65,530 slots on, in chains of five.
        for i in 0..13_106 {
            to.write_packet(&[i as u8; 5 * 64]).unwrap();
            assert_eq!(from.read_packet().unwrap()[..], [i as u8; 5 * 64]);
        }
        let packet = pattern(1, 13 * 64 + 1);
        to.write_packet(&packet).unwrap();
        assert_same(&read(&mut from), &packet, "the wrap");
        let queue = pair.side(reader).details().unwrap().rx_queues[0];
        let counted = if reader == Role::Master {
            queue.head
        } else {
            queue.tail
        };
        assert_eq!(counted, 65_544u32 as u16);
    }
}

#[test]
fn both_directions_at_once_do_not_touch() {
    let pair = Pair::small(3, 100);
    let mut master = pair.master.packet_handle(0).unwrap().with_burst(4);
    let mut slave = pair.slave.packet_handle(0).unwrap().with_burst(4);
    for i in 0..2000u64 {
        let (a, b) = (
            pattern(i, 1 + i as usize % 800),
            pattern(!i, 1 + i as usize * 7 % 800),
        );
        master.write_packet(&a).unwrap();
        slave.write_packet(&b).unwrap();
        assert_same(&read(&mut slave), &a, i);
        assert_same(&read(&mut master), &b, i);
    }
}

#[test]
fn one_direction_at_a_time() {
    for reader in ROLES {
        let pair = Pair::small(4, 256);
        let mut tx = pair.side(other(reader)).tx_queue(0).unwrap();
        let mut rx = pair.side(reader).rx_queue(0).unwrap();
        let mut burst = memif::Burst::new(8);
        for round in 0..5000u64 {
            let packets: Vec<_> = (0..1 + round % 16)
                .map(|i| pattern(round << 8 | i, 200))
                .collect();
            assert_eq!(tx.tx_burst(&packets).unwrap(), packets.len());
            assert_eq!(tx.free_slots().unwrap(), 16 - packets.len());
            assert_eq!(tx.pending_slots().unwrap(), packets.len());
            let mut got = 0;
            while rx.rx_burst(&mut burst).unwrap() > 0 {
                for packet in &burst {
                    assert_same(&packet, &packets[got], round);
                    got += 1;
                }
            }
            assert_eq!(got, packets.len());
            assert_eq!(tx.pending_slots().unwrap(), 0);
        }
    }
}

#[test]
fn a_ring_full_of_small_packets_is_full_and_not_too_small() {
    // A master finds the lengths of its own packets in slots that are not offered again.
    for reader in ROLES {
        let pair = Pair::small(1, 1000);
        let (mut to, mut from) = pair.handles(reader, 1);
        to.write_packets(&[b"a", b"b"]).unwrap();
        assert_eq!(to.write_packet(&[0; 2000]), Err(Error::Full));
        assert!(to.write_packet(&[0; 2001]).unwrap_err().eof().is_none());
        assert_eq!(read(&mut from), b"a");
        assert_eq!(read(&mut from), b"b");
        to.write_packet(&pattern(1, 2000)).unwrap();
        assert_same(&read(&mut from), &pattern(1, 2000), "whole");
    }
}

/// What a user may do.
#[derive(Clone, Debug)]
enum Op {
    /// Sends packets of these lengths as one burst.
    Write(Vec<usize>),
    /// Reads up to so many.
    Read(usize),
    /// Asks whether something is there.
    Wait,
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let length = prop_oneof![4 => 1..100usize, 2 => 100..1000usize, 1 => 1000..5000usize];
    let op = prop_oneof![
        4 => vec(length, 1..30).prop_map(Op::Write),
        4 => (1..60usize).prop_map(Op::Read),
        1 => Just(Op::Wait),
    ];
    vec(op, 1..60)
}

/// How many of these packets fit beside those that are not read yet.
fn fitting(unread: &VecDeque<Vec<u8>>, new: &[Vec<u8>], buffer: usize, slots: usize) -> usize {
    let needs = |packet: &Vec<u8>| packet.len().div_ceil(buffer);
    let mut taken: usize = unread.iter().map(needs).sum();
    new.iter()
        .take_while(|packet| {
            taken += needs(packet);
            taken <= slots
        })
        .count()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, max_shrink_iters: 100, ..ProptestConfig::default() })]

    #[test]
    fn any_sequence_of_reads_and_writes_is_that_of_a_queue(
        log2 in 1..8u8,
        buffer in prop_oneof![Just(64u16), Just(100), Just(1000), Just(2048), 1..300u16],
        rx_count in prop_oneof![Just(1u16), 2..20u16],
        master_reads: bool,
        ops in ops(),
    ) {
        let reader = if master_reads { Role::Master } else { Role::Slave };
        let pair = Pair::small(log2, buffer);
        let (mut to, mut from) = pair.handles(reader, rx_count);
        let (buffer, slots) = (usize::from(buffer), 1 << log2);
        let mut unread = VecDeque::new();
        let mut number = 0;
        for op in ops {
            match op {
                Op::Write(lengths) => {
                    let packets: Vec<_> = lengths.iter().map(|length| {
                        number += 1;
                        pattern(number, *length)
                    }).collect();
                    let fit = fitting(&unread, &packets, buffer, slots);
                    let sent = match to.write_packets(&packets) {
                        Ok(sent) => sent,
                        Err(e) => {
                            prop_assert_eq!(e == Error::Full, packets[0].len() <= buffer * slots, "{}", e);
                            0
                        }
                    };
                    // Packets in the reader's cache have given their slots back already.
                    prop_assert!(sent == fit || (sent > fit && rx_count > 1), "{} {}", sent, fit);
                    unread.extend(packets.into_iter().take(sent));
                }
                Op::Read(count) => {
                    for _ in 0..count {
                        match unread.pop_front() {
                            Some(wanted) => {
                                let got = from.read_packet().unwrap();
                                assert_same(&got, &wanted, "in order");
                            }
                            None => prop_assert_eq!(eof(from.read_packet()), Eof::Empty),
                        }
                    }
                }
                Op::Wait => {
                    let wanted = if unread.is_empty() { Err(Error::TimedOut) } else { Ok(Wait::Ready) };
                    prop_assert_eq!(from.wait(Some(std::time::Duration::ZERO)), wanted);
                }
            }
        }
        let (rest, reason) = drain(&mut from);
        prop_assert_eq!(reason, Eof::Empty);
        prop_assert_eq!(rest.len(), unread.len());
        for (got, wanted) in rest.iter().zip(&unread) {
            assert_same(got, wanted, "what was left");
        }
    }
}

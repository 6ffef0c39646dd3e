//! Receive modes: none loses a wake-up.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use memif::{Error, Role, RxMode};

use crate::common::*;
use crate::support::*;

/// Sends packets in small bursts of random size both ways at once, each burst when the one
/// before was read and the reader is, after a random time, about to sleep or asleep. A wake-up
/// that is lost hangs both for good: nothing else is sent that would wake the reader.
fn no_wake_up_is_lost(master_mode: RxMode, slave_mode: RxMode, seed: u64) {
    // Who polls has no wake-up to lose, and on a busy machine spins through its slice of time.
    let polls = [master_mode, slave_mode].contains(&RxMode::Polling);
    let packets = if is_long() { 10_000 } else { 4_000 } / if polls { 10 } else { 1 };
    let pair = Pair::small(6, 128);
    let mut threads = Vec::new();
    let handle = |role, mode| {
        let mut handle = pair.side(role).packet_handle(0).unwrap().with_burst(16);
        handle.set_rx_mode(mode).unwrap();
        handle.split()
    };
    let (master_reader, master_writer) = handle(Role::Master, master_mode);
    let (slave_reader, slave_writer) = handle(Role::Slave, slave_mode);
    for (mut reader, mut writer, seed) in [
        (master_reader, slave_writer, seed),
        (slave_reader, master_writer, !seed),
    ] {
        let read = Arc::new(AtomicU64::new(0));
        let were_read = Arc::clone(&read);
        let closer = reader.closer();
        threads.push(thread::spawn(move || {
            for i in 0..packets {
                let packet = reader.read_packet_timeout(None).expect("a packet");
                assert_same(&packet, &pattern(i, 16), i);
                read.store(i + 1, Ordering::Release);
            }
        }));
        threads.push(thread::spawn(move || {
            let mut random = seed;
            let mut sent = 0;
            while sent < packets {
                random = random
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                let count = (1 + (random >> 33) % 7).min(packets - sent);
                let burst: Vec<_> = (sent..sent + count).map(|i| pattern(i, 16)).collect();
                assert_eq!(writer.write_packets(&burst).unwrap() as u64, count);
                sent += count;
                let start = Instant::now();
                while were_read.load(Ordering::Acquire) < sent {
                    // A reader that times out would find its packet: it must not be let off so.
                    if start.elapsed() > LONG {
                        closer.close();
                        panic!("the reader sleeps, and {count} packets are there");
                    }
                    thread::yield_now();
                }
                for _ in 0..(random >> 40) % 256 {
                    std::hint::spin_loop();
                }
            }
        }));
    }
    for thread in threads {
        thread.join().unwrap();
    }
}

#[test]
fn interrupt_mode_loses_no_wake_up() {
    for (i, mode) in MODES.into_iter().enumerate() {
        no_wake_up_is_lost(RxMode::Interrupt, mode, i as u64);
    }
}

#[test]
fn polling_mode_loses_no_packet() {
    for (i, mode) in MODES.into_iter().enumerate() {
        no_wake_up_is_lost(RxMode::Polling, mode, 10 + i as u64);
    }
}

#[test]
fn adaptive_mode_loses_no_wake_up() {
    for (i, mode) in MODES.into_iter().enumerate() {
        no_wake_up_is_lost(MODES[2], mode, 20 + i as u64);
    }
}

#[test]
fn adaptive_mode_without_spinning_loses_no_wake_up() {
    for (i, mode) in MODES.into_iter().enumerate() {
        no_wake_up_is_lost(MODES[3], mode, 30 + i as u64);
    }
}

/// How often this thread has gone to sleep.
fn sleeps() -> u64 {
    let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
    let mut lines = status.lines();
    let count = lines.find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
    count.unwrap().trim().parse().unwrap()
}

#[test]
fn who_polls_does_not_sleep() {
    let pair = Pair::small(4, 64);
    let mut queue = pair.master.rx_queue(0).unwrap();
    let mut waits = |mode, time| {
        queue.set_rx_mode(mode).unwrap();
        let before = sleeps();
        assert_eq!(queue.wait(Some(time)), Err(Error::TimedOut));
        sleeps() - before
    };
    let (short, long) = (Duration::from_millis(1), Duration::from_secs(3600));
    // It may sleep for another reason, once.
    for mode in [RxMode::Polling, RxMode::Adaptive { spin: long }] {
        assert!((0..10).any(|_| waits(mode, short) == 0), "{mode:?}");
    }
    for mode in [MODES[0], MODES[3]] {
        assert!(waits(mode, short) > 0, "{mode:?}");
    }
}

#[test]
fn changing_the_mode_under_way_loses_no_packet() {
    for reader in ROLES {
        let pair = Pair::small(4, 64);
        let (mut to, mut from) = pair.handles(reader, 2);
        let writing = thread::spawn(move || {
            for i in 0..2000 {
                to.write_packet_timeout(&pattern(i, 32), Some(LONG))
                    .unwrap();
            }
        });
        for i in 0..2000 {
            from.set_rx_mode(MODES[i as usize % 4]).unwrap();
            assert_same(&read(&mut from), &pattern(i, 32), i);
        }
        writing.join().unwrap();
    }
}

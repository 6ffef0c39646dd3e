//! `PacketHandle`: every row of its end-of-file table, waiting, closing, bursts, receive modes.

mod common;
mod peer;

use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use common::*;
use memif::{Eof, Error, ErrorKind, MemifConfig, PacketHandle, PacketReader, Role, RxMode, Wait};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use peer::{Desc, Plan};

/// Fills the ring; the packets that were accepted.
fn fill(handle: &mut PacketHandle, length: usize) -> Vec<Vec<u8>> {
    let mut sent = Vec::new();
    loop {
        let packet = pattern(sent.len() as u64, length);
        match handle.write_packet(&packet) {
            Ok(()) => sent.push(packet),
            Err(e) => {
                assert_eq!(e.eof(), Some(Eof::Full), "{e}");
                return sent;
            }
        }
    }
}

/// Reads until the link is down, and expects these packets.
#[track_caller]
fn expect_then(handle: &mut PacketHandle, wanted: &[Vec<u8>], last: Eof) {
    let (packets, reason) = drain(handle);
    assert_eq!(packets.len(), wanted.len());
    for (i, (got, wanted)) in packets.iter().zip(wanted).enumerate() {
        assert_same(got, wanted, format!("packet {i}"));
    }
    assert_eq!(reason, last);
    for _ in 0..3 {
        assert_eq!(eof(handle.read_packet()), last, "it stays so");
    }
}

// The table, row by row.

#[test]
fn packets_in_the_cache_and_on_the_ring_come_in_order() {
    for reader in ROLES {
        let pair = Pair::new();
        let (mut to, mut from) = pair.handles(reader, 4);
        for i in 0..10 {
            to.write_packet(&pattern(i, 60)).unwrap();
        }
        // Four go to the cache, six are on the ring; more arrive while the cache is read.
        for i in 0..14 {
            assert_same(&from.read_packet().unwrap(), &pattern(i, 60), i);
            if i < 4 {
                to.write_packet(&pattern(10 + i, 60)).unwrap();
            }
        }
        assert_eq!(eof(from.read_packet()), Eof::Empty);
    }
}

#[test]
fn an_idle_link_is_empty_and_goes_on() {
    for reader in ROLES {
        let pair = Pair::new();
        let (mut to, mut from) = pair.handles(reader, 8);
        for i in 0..3 {
            assert_eq!(eof(from.read_packet()), Eof::Empty);
            to.write_packet(&[i; 60]).unwrap();
            assert_eq!(from.read_packet().unwrap().data(), [i; 60]);
        }
    }
}

#[test]
fn a_full_ring_takes_nothing() {
    for reader in ROLES {
        let pair = Pair::small(3, 64);
        let (mut to, mut from) = pair.handles(reader, 64);
        let sent = fill(&mut to, 60);
        assert_eq!(sent.len(), 8);
        assert_eq!(eof(to.write_packet(&[1; 200])), Eof::Full);
        assert_eq!(eof(to.write_packets(&[[2; 60], [3; 60]])), Eof::Full);
        expect_then(&mut from, &sent, Eof::Empty);
        to.write_packet(b"again").unwrap();
        assert_eq!(from.read_packet().unwrap().data(), b"again");
    }
}

#[test]
fn a_chain_that_does_not_fit_sends_nothing() {
    for reader in ROLES {
        let pair = Pair::small(3, 64);
        let (mut to, mut from) = pair.handles(reader, 64);
        to.write_packet(&pattern(0, 6 * 64)).unwrap();
        assert_eq!(eof(to.write_packet(&pattern(1, 2 * 64 + 1))), Eof::Full);
        to.write_packet(&pattern(2, 2 * 64)).unwrap();
        let wanted = [pattern(0, 6 * 64), pattern(2, 2 * 64)];
        expect_then(&mut from, &wanted, Eof::Empty);
    }
}

#[test]
fn what_a_closed_peer_had_sent_is_read_before_link_down() {
    for reader in ROLES {
        let pair = Pair::new();
        let (mut to, mut from) = pair.handles(reader, 4);
        let sent: Vec<_> = (0..100).map(|i| pattern(i, 60)).collect();
        assert_eq!(to.write_packets(&sent).unwrap(), 100);
        assert_same(&read(&mut from), &sent[0], "the first");
        let peer = pair.side(other(reader)).clone();
        // Waits for us to take the packets, which we don't.
        thread::spawn(move || peer.close());
        down(pair.side(reader));
        assert_eq!(eof(from.write_packet(b"x")), Eof::LinkDown);
        expect_then(&mut from, &sent[1..], Eof::LinkDown);
        assert_eq!(eof(from.write_packet(b"x")), Eof::LinkDown);
    }
}

#[test]
fn what_the_peer_of_a_dropped_context_had_sent_is_read_before_link_down() {
    for reader in ROLES {
        let Pair {
            socket: _socket,
            master,
            slave,
            master_context,
            slave_context,
        } = Pair::new();
        let (reading, writing, context, _kept) = match reader {
            Role::Master => (master, slave, slave_context, master_context),
            Role::Slave => (slave, master, master_context, slave_context),
        };
        let mut from = reading.packet_handle(0, 4).unwrap();
        let mut to = writing.packet_handle(0, 4).unwrap();
        let sent: Vec<_> = (0..50).map(|i| pattern(i, 3000)).collect();
        assert_eq!(to.write_packets(&sent).unwrap(), 50);
        drop((to, writing, context));
        down(&reading);
        expect_then(&mut from, &sent, Eof::LinkDown);
    }
}

#[test]
fn writing_without_a_link_is_link_down() {
    let context = context();
    for role in ROLES {
        let config = MemifConfig::new(socket()).role(role);
        let memif = context.create_interface(config).unwrap();
        let mut handle = memif.packet_handle(0, 1).unwrap();
        assert_eq!(eof(handle.write_packet(b"x")), Eof::LinkDown);
        assert_eq!(eof(handle.write_packets(&[b"x", b"y"])), Eof::LinkDown);
        let timed = handle.write_packet_timeout(b"x", Some(LONG));
        assert_eq!(eof(timed), Eof::LinkDown);
        assert_eq!(handle.wait_writable(Some(LONG)).unwrap(), Wait::LinkDown);
        assert_eq!(eof(handle.read_packet()), Eof::LinkDown);
        assert_eq!(eof(handle.read_packet_timeout(Some(LONG))), Eof::LinkDown);
        assert!(!handle.is_link_up());
    }
}

#[test]
fn a_closed_handle_gives_its_cache_and_then_closed_for_ever() {
    for reader in ROLES {
        let pair = Pair::new();
        let (mut to, mut from) = pair.handles(reader, 4);
        let sent: Vec<_> = (0..10).map(|i| pattern(i, 60)).collect();
        to.write_packets(&sent).unwrap();
        assert_same(&read(&mut from), &sent[0], "the first");
        from.closer().close();
        // Three are left in the cache; the six on the ring are the interface's.
        expect_then(&mut from, &sent[1..4], Eof::Closed);
        assert_eq!(eof(from.write_packet(b"x")), Eof::Closed);
        assert_eq!(eof(from.write_packets(&[b"x"])), Eof::Closed);
        let timed = from.write_packet_timeout(b"x", Some(LONG));
        assert_eq!(eof(timed), Eof::Closed);
        assert_eq!(eof(from.read_packet_timeout(Some(LONG))), Eof::Closed);
        assert_eq!(from.wait(Some(LONG)).unwrap(), Wait::Closed);
        assert_eq!(from.wait_writable(Some(LONG)).unwrap(), Wait::Closed);
        assert!(from.is_link_up(), "the link is not the handle's");
        // The next owner of the queue has them.
        drop(from);
        let mut next = pair.side(reader).packet_handle(0, 64).unwrap();
        expect_then(&mut next, &sent[4..], Eof::Empty);
    }
}

#[test]
fn a_closed_interface_gives_what_had_arrived_and_then_closed_for_ever() {
    for reader in ROLES {
        let pair = Pair::new();
        let (mut to, mut from) = pair.handles(reader, 4);
        let sent: Vec<_> = (0..10).map(|i| pattern(i, 60)).collect();
        to.write_packets(&sent).unwrap();
        pair.side(reader).close();
        assert_eq!(eof(from.write_packet(b"x")), Eof::Closed);
        expect_then(&mut from, &sent, Eof::Closed);
        assert_eq!(from.wait(Some(LONG)).unwrap(), Wait::Closed);
        assert_eq!(from.wait_writable(Some(LONG)).unwrap(), Wait::Closed);
    }
}

#[test]
fn a_closed_context_closes_its_handles() {
    for reader in ROLES {
        let pair = Pair::new();
        let (mut to, mut from) = pair.handles(reader, 4);
        to.write_packet(b"last").unwrap();
        match reader {
            Role::Master => pair.master_context.close(),
            Role::Slave => pair.slave_context.close(),
        }
        assert_eq!(read(&mut from), b"last");
        assert_eq!(eof(from.read_packet()), Eof::Closed);
        assert_eq!(eof(from.write_packet(b"x")), Eof::Closed);
    }
}

#[test]
fn an_unknown_queue_is_that_error() {
    let pair = Pair::new();
    for role in ROLES {
        let error = pair.side(role).packet_handle(1, 4).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnknownQueue);
        assert!(error.to_string().contains("queue 1"), "{error}");
    }
}

#[test]
fn a_handle_of_one_direction_has_no_queue_in_the_other() {
    let context = context();
    let config = MemifConfig::new(socket()).role(Role::Master).queues(2, 1);
    let memif = context.create_interface(config).unwrap();
    let mut handle = memif.packet_handle(1, 4).unwrap();
    assert_eq!(eof(handle.read_packet()), Eof::LinkDown);
    let error = handle.write_packet(b"x").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnknownQueue);
    assert!(error.to_string().contains("transmit queue 1"), "{error}");
    assert!(handle.wait_writable(Some(LONG)).is_err());

    let config = MemifConfig::new(socket()).role(Role::Master).queues(1, 2);
    let memif = context.create_interface(config).unwrap();
    let mut handle = memif.packet_handle(1, 4).unwrap();
    let error = handle.read_packet().unwrap_err();
    assert!(error.to_string().contains("receive queue 1"), "{error}");
    assert!(handle.set_rx_mode(RxMode::Polling).is_err());
    // What polls it is not told of anything.
    let mut polled = [PollFd::new(handle.as_fd(), PollFlags::POLLIN)];
    assert_eq!(poll(&mut polled, PollTimeout::ZERO), Ok(0));
}

/// The control thread hears of the violation at once, or (`busy`) not before the test is over.
fn violation(busy: bool) {
    let socket = socket();
    let context = context();
    let config = MemifConfig::new(&socket).role(Role::Master);
    let master = context.create_interface(config).unwrap();
    let link = Plan::new(0).up(&socket);
    up(&master);
    let mut handle = master.packet_handle(0, 64).unwrap();

    let (release, released) = mpsc::channel::<()>();
    let mut blocked = None;
    if busy {
        let released = std::sync::Mutex::new(released);
        let entered = Arc::new(AtomicBool::new(false));
        let on_thread = Arc::clone(&entered);
        let config = MemifConfig::new(common::socket()).role(Role::Master);
        let config = config.on_connect(move |_| {
            on_thread.store(true, Ordering::Release);
            let _ = released.lock().unwrap().recv();
        });
        let busy = context.create_interface(config).unwrap();
        let socket = busy.socket().to_owned();
        let slave = thread::spawn(move || Plan::new(0).up(&socket));
        until("the callback", || entered.load(Ordering::Acquire));
        slave.join().unwrap();
        blocked = Some(busy);
    }

    link.slave_sends(b"one");
    link.slave_sends(b"two");
    let ring = link.s2m();
    let bad = Desc {
        region: 7,
        ..ring.desc(2)
    };
    ring.set_desc(2, bad);
    // The bad one, and two more after it that count no longer.
    ring.set_head(5);
    ring.wake();

    assert_eq!(read(&mut handle), b"one");
    assert_eq!(read(&mut handle), b"two");
    let error = handle.read_packet().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::MalformedMessage, "{error}");
    if busy {
        for _ in 0..100 {
            assert_eq!(
                eof(handle.read_packet()),
                Eof::Empty,
                "the error comes once"
            );
        }
        release.send(()).unwrap();
    }
    assert_eq!(handle.wait(Some(LONG)).unwrap(), Wait::LinkDown);
    for _ in 0..3 {
        assert_eq!(eof(handle.read_packet()), Eof::LinkDown);
    }
    let refusal = link.wire.expect_refusal();
    refusal.says("slot 2");
    down(&master);
    assert!(master.details().unwrap().error.contains("slot 2"));
    drop(blocked);
}

#[test]
fn a_violation_is_told_once_after_the_packets_before_it() {
    violation(false);
}

#[test]
fn a_violation_is_told_once_also_while_the_control_thread_is_busy() {
    violation(true);
}

// Waiting.

#[test]
fn wait_tells_ready_timed_out_and_link_down() {
    for reader in ROLES {
        let pair = Pair::new();
        let (mut to, mut from) = pair.handles(reader, 2);
        assert_eq!(from.wait(Some(Duration::ZERO)).unwrap(), Wait::TimedOut);
        let timeout = Some(Duration::from_millis(3));
        assert_eq!(from.wait(timeout).unwrap(), Wait::TimedOut);
        assert_eq!(eof(from.read_packet_timeout(timeout)), Eof::Empty);
        to.write_packets(&[b"1", b"2", b"3"]).unwrap();
        for wanted in [b"1", b"2", b"3"] {
            // From the ring, then from the cache.
            assert_eq!(from.wait(None).unwrap(), Wait::Ready);
            assert_eq!(from.read_packet().unwrap().data(), wanted);
        }
        to.write_packet(b"last").unwrap();
        let peer = pair.side(other(reader)).clone();
        thread::spawn(move || peer.close());
        down(pair.side(reader));
        assert_eq!(from.wait(None).unwrap(), Wait::Ready);
        assert_eq!(read(&mut from), b"last");
        assert_eq!(from.wait(None).unwrap(), Wait::LinkDown);
        assert_eq!(from.wait(Some(Duration::ZERO)).unwrap(), Wait::LinkDown);
    }
}

const MODES: [RxMode; 4] = [
    RxMode::Interrupt,
    RxMode::Polling,
    RxMode::Adaptive {
        spin: Duration::from_micros(20),
    },
    RxMode::Adaptive {
        spin: Duration::ZERO,
    },
];

/// Runs `wake` while a reader waits, and tells what the wait was.
fn woken(mut handle: PacketHandle, wake: impl FnOnce()) -> Wait {
    let (about_to, waits) = mpsc::channel();
    let waiting = thread::spawn(move || {
        about_to.send(()).unwrap();
        handle.wait(None).unwrap()
    });
    waits.recv().unwrap();
    wake();
    waiting.join().unwrap()
}

#[test]
fn a_waiting_reader_is_woken_by_whatever_happens() {
    for reader in ROLES {
        for mode in MODES {
            let pair = Pair::new();
            let handles = || {
                let (to, mut from) = pair.handles(reader, 2);
                from.set_rx_mode(mode).unwrap();
                (to, from)
            };
            let (to, from) = handles();
            let closer = from.closer();
            drop(to);
            assert_eq!(woken(from, || closer.close()), Wait::Closed, "{mode:?}");
            let (mut to, from) = handles();
            let write = || to.write_packet(b"x").unwrap();
            assert_eq!(woken(from, write), Wait::Ready, "{mode:?}");
            drop(to);
            let (_, mut from) = handles();
            assert_eq!(read(&mut from), b"x");
            let peer = pair.side(other(reader));
            assert_eq!(woken(from, || peer.close()), Wait::LinkDown, "{mode:?}");
        }
        let pair = Pair::new();
        let (_, from) = pair.handles(reader, 2);
        let own = pair.side(reader);
        assert_eq!(woken(from, || own.close()), Wait::Closed);
    }
}

#[test]
fn a_waiting_reader_sees_the_link_come_up_when_it_follows() {
    for reader in ROLES {
        let socket = socket();
        let context = context();
        let reading = MemifConfig::new(&socket).role(reader);
        let reading = context.create_interface(reading).unwrap();
        let (mut reader_half, _) = reading.packet_handle(0, 2).unwrap().split();
        let waiting = thread::spawn(move || {
            let first = reader_half.packets().follow(true).next();
            first.map(|packet| packet.unwrap().into_data())
        });
        let writing = MemifConfig::new(&socket).role(other(reader));
        let writing = context.create_interface(writing).unwrap();
        up(&writing);
        let mut to = writing.packet_handle(0, 1).unwrap();
        to.write_packet_timeout(b"x", Some(LONG)).unwrap();
        assert_eq!(waiting.join().unwrap().as_deref(), Some(&b"x"[..]));
    }
}

#[test]
fn a_closer_ends_a_waiting_writer() {
    for reader in ROLES {
        let pair = Pair::small(1, 64);
        let (mut to, _from) = pair.handles(reader, 2);
        fill(&mut to, 60);
        let closer = to.closer();
        let (about_to, waits) = mpsc::channel();
        let waiting = thread::spawn(move || {
            about_to.send(()).unwrap();
            eof(to.write_packet_timeout(b"x", None))
        });
        waits.recv().unwrap();
        closer.close();
        assert!(closer.is_closed());
        assert_eq!(waiting.join().unwrap(), Eof::Closed);
    }
}

// Halves and iterators.

fn count_in_order(mut reader: PacketReader, packets: u64, length: usize) {
    for i in 0..packets {
        let packet = reader.read_packet_timeout(Some(LONG)).expect("a packet");
        assert_same(&packet, &pattern(i, length), i);
    }
}

#[test]
fn halves_work_on_two_threads() {
    const PACKETS: u64 = 5000;
    let pair = Pair::small(4, 128);
    let mut threads = Vec::new();
    for role in ROLES {
        let (reader, mut writer) = pair.side(role).packet_handle(0, 16).unwrap().split();
        threads.push(thread::spawn(move || count_in_order(reader, PACKETS, 200)));
        threads.push(thread::spawn(move || {
            for i in 0..PACKETS {
                let packet = pattern(i, 200);
                writer.write_packet_timeout(&packet, Some(LONG)).unwrap();
            }
        }));
    }
    for thread in threads {
        thread.join().unwrap();
    }
}

#[test]
fn closing_one_half_closes_both() {
    let pair = Pair::new();
    let (mut reader, mut writer) = pair.master.packet_handle(0, 1).unwrap().split();
    reader.closer().close();
    assert_eq!(eof(writer.write_packet(b"x")), Eof::Closed);
    assert_eq!(eof(reader.read_packet()), Eof::Closed);
    assert!(writer.closer().is_closed());
}

#[test]
fn packets_ends_when_the_link_is_down_and_drained() {
    for reader in ROLES {
        let pair = Pair::new();
        let (mut to, mut from) = pair.handles(reader, 4);
        let peer = pair.side(other(reader)).clone();
        let writing = thread::spawn(move || {
            for i in 0..20 {
                to.write_packet(&pattern(i, 60)).unwrap();
            }
            peer.close();
        });
        let mut packets = from.packets();
        for i in 0..20 {
            let packet = packets.next().expect("a packet").unwrap();
            assert_same(&packet, &pattern(i, 60), i);
        }
        assert!(packets.next().is_none());
        assert!(packets.next().is_none(), "it stays ended");
        writing.join().unwrap();
    }
}

#[test]
fn following_goes_on_over_reconnects() {
    for reader in ROLES {
        let socket = socket();
        let reading_context = context();
        let writing_context = context();
        let reading = MemifConfig::new(&socket).role(reader);
        let reading = reading_context.create_interface(reading).unwrap();
        let (mut half, _writer) = reading.packet_handle(0, 4).unwrap().split();
        let closer = half.closer();
        let (packets, received) = mpsc::channel();
        let following = thread::spawn(move || {
            for packet in half.packets().follow(true) {
                packets.send(packet.unwrap().into_data()).unwrap();
            }
        });
        for round in 0..5 {
            let writing = MemifConfig::new(&socket).role(other(reader));
            let writing = writing_context.create_interface(writing).unwrap();
            up(&writing);
            let mut to = writing.packet_handle(0, 1).unwrap();
            for i in 0..10 {
                let packet = pattern(round * 10 + i, 60);
                to.write_packet_timeout(&packet, Some(LONG)).unwrap();
            }
            writing.close();
        }
        for i in 0..50 {
            let packet = received.recv_timeout(LONG).expect("a packet");
            assert_same(&packet, &pattern(i, 60), i);
        }
        closer.close();
        following.join().unwrap();
        assert!(received.try_recv().is_err(), "nothing else came");
    }
}

// Packets.

#[test]
fn an_empty_packet_is_an_error_and_nothing_is_sent() {
    for reader in ROLES {
        let pair = Pair::new();
        let (mut to, mut from) = pair.handles(reader, 8);
        let error = to.write_packet(b"").unwrap_err();
        assert!(matches!(error, Error::Config { .. }), "{error:?}");
        assert_eq!(error.code(), 11);
        assert!(to.write_packet_timeout(b"", None).is_err());
        // Further on it ends the burst before it.
        assert_eq!(to.write_packets(&[&b"a"[..], b"", b"b"]).unwrap(), 1);
        assert_eq!(to.write_packets::<&[u8]>(&[]).unwrap(), 0);
        expect_then(&mut from, &[b"a".to_vec()], Eof::Empty);
    }
}

#[test]
fn a_packet_larger_than_the_ring_is_an_error_and_nothing_is_sent() {
    for reader in ROLES {
        let pair = Pair::small(2, 64);
        let (mut to, mut from) = pair.handles(reader, 8);
        let error = to.write_packet(&[1; 4 * 64 + 1]).unwrap_err();
        assert!(matches!(error, Error::Config { .. }), "{error:?}");
        assert!(error.to_string().contains("257 bytes"), "{error}");
        assert!(to.write_packet_timeout(&[1; 257], None).is_err());
        to.write_packet(&pattern(1, 4 * 64)).unwrap();
        let error = to.write_packet(&[1; 257]).unwrap_err();
        assert!(
            matches!(error, Error::Config { .. }),
            "also when full: {error:?}"
        );
        expect_then(&mut from, &[pattern(1, 4 * 64)], Eof::Empty);
    }
}

#[test]
fn the_snap_length_cuts_and_the_length_tells_the_truth() {
    for reader in ROLES {
        let pair = Pair::small(6, 128);
        let (mut to, mut from) = pair.handles(reader, 8);
        from.set_snaplen(100);
        for length in [1, 99, 100, 101, 128, 129, 1000] {
            to.write_packet(&pattern(7, length)).unwrap();
        }
        for length in [1, 99, 100, 101, 128, 129, 1000] {
            let packet = from.read_packet().unwrap();
            let captured = length.min(100);
            assert_same(&packet, &pattern(7, length)[..captured], length);
            assert_eq!(packet.info().capture_length, captured);
            assert_eq!(packet.info().length, length);
            assert_eq!(packet.info().is_truncated(), length > 100);
        }
        assert_eq!(eof(from.read_packet()), Eof::Empty);
        // 0: the default, which cuts none of these.
        from.set_snaplen(0);
        to.write_packet(&pattern(8, 3000)).unwrap();
        assert_same(&from.read_packet().unwrap(), &pattern(8, 3000), "whole");
    }
}

#[test]
fn bursts_of_one_and_none_read_packet_by_packet() {
    for reader in ROLES {
        for rx_count in [0, 1] {
            let pair = Pair::new();
            let (mut to, mut from) = pair.handles(reader, rx_count);
            let sent: Vec<_> = (0..5).map(|i| pattern(i, 60)).collect();
            to.write_packets(&sent).unwrap();
            expect_then(&mut from, &sent, Eof::Empty);
        }
    }
}

#[test]
fn a_burst_has_one_timestamp_and_the_interface_s_id() {
    let pair = Pair::with(|c| c.id(42));
    let (mut to, mut from) = pair.handles(Role::Master, 4);
    to.write_packets(&[[1; 60]; 8]).unwrap();
    let mut times = Vec::new();
    for _ in 0..8 {
        let packet = from.read_packet().unwrap();
        assert_eq!(packet.info().interface_index, 42);
        times.push(packet.info().timestamp);
    }
    assert!(times[..4].iter().all(|t| *t == times[0]));
    assert!(times[4..].iter().all(|t| *t == times[4]));
    assert_ne!(times[0], times[4], "the clock is read for every burst");
    assert!(times[0].seconds() > 1_600_000_000);
}

#[test]
fn a_large_packet_waits_for_the_next_burst_when_the_cache_is_full() {
    // Chains of 60000 bytes: eight do not fit the arena of a burst of eight.
    for reader in ROLES {
        let pair = Pair::new();
        let (mut to, mut from) = pair.handles(reader, 8);
        from.set_snaplen(65_536);
        let sent: Vec<_> = (0..8).map(|i| pattern(i, 60_000)).collect();
        assert_eq!(to.write_packets(&sent).unwrap(), 8);
        expect_then(&mut from, &sent, Eof::Empty);
    }
}

#[test]
fn a_burst_that_does_not_fit_is_sent_in_part() {
    for reader in ROLES {
        let pair = Pair::small(3, 64);
        let (mut to, mut from) = pair.handles(reader, 64);
        let packets: Vec<_> = (0..20).map(|i| pattern(i, 60)).collect();
        assert_eq!(to.write_packets(&packets).unwrap(), 8);
        expect_then(&mut from, &packets[..8], Eof::Empty);
        // Chains of two and a half: three fit.
        let packets: Vec<_> = (0..5).map(|i| pattern(i, 160)).collect();
        assert_eq!(to.write_packets(&packets).unwrap(), 2);
        expect_then(&mut from, &packets[..2], Eof::Empty);
    }
}

#[test]
fn a_long_burst_is_sent_whole_where_it_fits() {
    for reader in ROLES {
        let pair = Pair::small(10, 64);
        let (mut to, mut from) = pair.handles(reader, 64);
        let packets: Vec<_> = (0..1024).map(|i| pattern(i, 60)).collect();
        assert_eq!(to.write_packets(&packets).unwrap(), 1024);
        expect_then(&mut from, &packets, Eof::Empty);
    }
}

#[test]
fn a_flush_tells_whether_a_peer_that_left_had_taken_everything() {
    for reader in ROLES {
        for taken in [2, 3] {
            let pair = Pair::new();
            let (mut to, mut from) = pair.handles(reader, 1);
            assert!(to.flush(LONG).unwrap(), "nothing was sent");
            for i in 0..3 {
                to.write_packet(&pattern(i, 60)).unwrap();
            }
            for i in 0..taken {
                assert_same(&read(&mut from), &pattern(i, 60), i);
            }
            pair.side(reader).close();
            down(pair.side(other(reader)));
            if taken == 3 {
                assert!(to.flush(LONG).unwrap());
            } else {
                assert_eq!(eof(to.flush(LONG)), Eof::LinkDown);
            }
        }
    }
}

#[test]
fn writing_with_a_timeout_waits_for_room() {
    for reader in ROLES {
        let pair = Pair::small(2, 64);
        let (mut to, mut from) = pair.handles(reader, 4);
        let sent = fill(&mut to, 60);
        let timeout = Some(Duration::from_millis(3));
        assert_eq!(eof(to.write_packet_timeout(b"no", timeout)), Eof::Full);
        assert_eq!(to.wait_writable(timeout).unwrap(), Wait::TimedOut);
        assert!(!to.flush(Duration::from_millis(3)).unwrap());
        let (about_to, writes) = mpsc::channel();
        let writing = thread::spawn(move || {
            about_to.send(()).unwrap();
            to.write_packet_timeout(b"yes", Some(LONG)).unwrap();
            to
        });
        writes.recv().unwrap();
        for (i, wanted) in sent.iter().enumerate() {
            assert_same(&read(&mut from), wanted, i);
        }
        assert_eq!(read(&mut from), b"yes");
        let mut to = writing.join().unwrap();
        assert_eq!(to.wait_writable(Some(LONG)).unwrap(), Wait::Ready);
        assert!(to.flush(LONG).unwrap());
    }
}

#[test]
fn the_same_handle_works_after_a_reconnect() {
    for reader in ROLES {
        let pair = Pair::new();
        let gone = pair.side(other(reader)).clone();
        let mut own = pair.side(reader).packet_handle(0, 4).unwrap();
        own.set_rx_mode(RxMode::Polling).unwrap();
        gone.close();
        down(pair.side(reader));
        assert_eq!(eof(own.read_packet()), Eof::LinkDown);
        assert_eq!(eof(own.write_packet(b"x")), Eof::LinkDown);
        let context = match reader {
            Role::Master => &pair.slave_context,
            Role::Slave => &pair.master_context,
        };
        let config = MemifConfig::new(&pair.socket).role(other(reader));
        let back = context.create_interface(config).unwrap();
        up(&back);
        up(pair.side(reader));
        let mut peer = back.packet_handle(0, 4).unwrap();
        assert_eq!(eof(own.read_packet()), Eof::Empty);
        for (to, data) in [(&mut peer, &b"there"[..]), (&mut own, b"back")] {
            to.write_packet_timeout(data, Some(LONG)).unwrap();
        }
        assert_eq!(read(&mut own), b"there");
        assert_eq!(read(&mut peer), b"back");
        // The receive mode holds over reconnects.
        let details = pair.side(reader).details().unwrap();
        assert!(details.rx_queues[0].polling);
    }
}

// Receive modes.

/// Sends packets in small bursts of random size both ways at once, each burst when the one
/// before was read and the reader is, after a random time, about to sleep or asleep. A wake-up
/// that is lost hangs both for good: nothing else is sent that would wake the reader.
fn no_wake_up_is_lost(master_mode: RxMode, slave_mode: RxMode, seed: u64) {
    // Who polls has no wake-up to lose, and on a busy machine spins through its slice of time.
    let polls = [master_mode, slave_mode].contains(&RxMode::Polling);
    let packets = if polls { 1000 } else { 10_000 };
    let pair = Pair::small(6, 128);
    let mut threads = Vec::new();
    let handle = |role, mode| {
        let mut handle = pair.side(role).packet_handle(0, 16).unwrap();
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

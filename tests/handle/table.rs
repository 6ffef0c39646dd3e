//! The end-of-file table, row by row.

use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;

use memif::{Eof, Error, ErrorKind, MemifConfig, Role, RxMode, Wait};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::common::*;
use crate::support::*;
use memif_hostile::peer::{Desc, Plan};

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
        assert_eq!(to.write_packet(&[1; 200]), Err(Error::Full));
        assert_eq!(to.write_packets(&[[2; 60], [3; 60]]), Err(Error::Full));
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
        assert_eq!(to.write_packet(&pattern(1, 2 * 64 + 1)), Err(Error::Full));
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
            _ => (slave, master, master_context, slave_context),
        };
        let mut from = reading.packet_handle(0).unwrap().with_burst(4);
        let mut to = writing.packet_handle(0).unwrap().with_burst(4);
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
        let mut handle = memif.packet_handle(0).unwrap().with_burst(1);
        assert_eq!(eof(handle.write_packet(b"x")), Eof::LinkDown);
        assert_eq!(eof(handle.write_packets(&[b"x", b"y"])), Eof::LinkDown);
        let timed = handle.write_packet_timeout(b"x", Some(LONG));
        assert_eq!(eof(timed), Eof::LinkDown);
        assert_eq!(handle.wait_writable(1, Some(LONG)).unwrap(), Wait::LinkDown);
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
        assert_eq!(from.wait_writable(1, Some(LONG)).unwrap(), Wait::Closed);
        assert!(from.is_link_up(), "the link is not the handle's");
        // The next owner of the queue has them.
        drop(from);
        let mut next = pair.side(reader).packet_handle(0).unwrap();
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
        assert_eq!(from.wait_writable(1, Some(LONG)).unwrap(), Wait::Closed);
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
            _ => pair.slave_context.close(),
        }
        assert_eq!(read(&mut from), b"last");
        assert_eq!(eof(from.read_packet()), Eof::Closed);
        assert_eq!(eof(from.write_packet(b"x")), Eof::Closed);
    }
}

#[test]
fn an_unknown_queue_is_that_error() {
    let pair = Pair::with(|config| config.queues(1, 1));
    for role in ROLES {
        let error = pair.side(role).packet_handle(1).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnknownQueue);
        assert!(error.to_string().contains("queue 1"), "{error}");
    }
}

#[test]
fn a_handle_of_one_direction_has_no_queue_in_the_other() {
    let context = context();
    let config = MemifConfig::new(socket()).role(Role::Master).queues(2, 1);
    let memif = context.create_interface(config).unwrap();
    let mut handle = memif.packet_handle(1).unwrap().with_burst(4);
    assert_eq!(eof(handle.read_packet()), Eof::LinkDown);
    let error = handle.write_packet(b"x").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnknownQueue);
    assert!(error.to_string().contains("transmit queue 1"), "{error}");
    assert!(handle.wait_writable(1, Some(LONG)).is_err());

    let config = MemifConfig::new(socket()).role(Role::Master).queues(1, 2);
    let memif = context.create_interface(config).unwrap();
    let mut handle = memif.packet_handle(1).unwrap().with_burst(4);
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
    let mut handle = master.packet_handle(0).unwrap();

    let (release, released) = mpsc::channel::<()>();
    let mut blocked = None;
    if busy {
        let released = std::sync::Mutex::new(released);
        let entered = Arc::new(AtomicBool::new(false));
        let on_thread = Arc::clone(&entered);
        let config = MemifConfig::new(crate::common::socket()).role(Role::Master);
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

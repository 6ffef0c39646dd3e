//! Losing links, and making them again.

use std::thread;
use std::time::{Duration, Instant};

use memif::{Eof, Error, ErrorKind, Memif, MemifConfig, Wait};

use crate::common::*;
use crate::support::*;
use memif_hostile::peer::{Plan, Stage};

#[test]
fn fifty_links_in_a_row_lose_nothing_to_a_reader() {
    for reader in ROLES {
        let name = socket();
        let (reading, writing) = (context(), context());
        let config = MemifConfig::new(&name).role(reader);
        let reading_side = reading.create_interface(config).unwrap();
        let mut half = reading_side
            .packet_handle(0)
            .unwrap()
            .with_burst(8)
            .split()
            .0;
        let following = thread::spawn(move || {
            let mut packets = half.packets().follow(true);
            for i in 0..500 {
                let packet = packets.next().unwrap().unwrap();
                assert_same(&packet, &pattern(i, 100), i);
            }
        });
        for round in 0..50 {
            let config = MemifConfig::new(&name).role(other(reader));
            let side = writing.create_interface(config).unwrap();
            until("a link", || side.is_link_up());
            let mut handle = side.packet_handle(0).unwrap().with_burst(1);
            for i in 0..10 {
                let packet = pattern(round * 10 + i, 100);
                handle.write_packet_timeout(&packet, Some(LONG)).unwrap();
            }
            side.close();
        }
        following.join().unwrap();
    }
}

#[test]
fn packets_of_many_links_wait_for_a_late_reader() {
    let context = context();
    let master = master_on(&context, &socket());
    let mut handle = master.packet_handle(0).unwrap().with_burst(4);
    let mut number = 0;
    // Fifty links in all, read when five, or ten, or as many as are kept have come and gone.
    for links in [5, 10, 16, 3, 16] {
        let first = number;
        for _ in 0..links {
            let link = Plan::new(0).up(master.socket());
            for _ in 0..7 {
                link.slave_sends(&pattern(number, 90));
                number += 1;
            }
            // As if killed.
            drop(link);
            down_and_ready(&master);
        }
        for i in first..number {
            assert_eq!(handle.wait(Some(LONG)).unwrap(), Wait::Ready);
            assert_same(&read(&mut handle), &pattern(i, 90), i);
        }
        assert_eq!(eof(handle.read_packet()), Eof::LinkDown);
        assert_eq!(handle.wait(Some(LONG)).unwrap(), Wait::LinkDown);
    }
}

/// The master has seen that its slave is gone.
fn down_and_ready(master: &Memif) {
    until("the link's end", || {
        !master.details().unwrap().link_up && !master.is_link_up()
    });
}

/// Who only sends must not be locked out by what its peer has sent and nobody reads.
#[test]
fn of_too_many_unread_links_the_latest_are_kept() {
    const LINKS: u8 = 40;
    let context = context();
    let master = master_on(&context, &socket());
    for i in 0..LINKS {
        Plan::new(0).up(master.socket()).slave_sends(&[i]);
        down_and_ready(&master);
    }
    let mut handle = master.packet_handle(0).unwrap().with_burst(4);
    let (packets, reason) = drain(&mut handle);
    assert!(packets.len() >= 16, "{} kept", packets.len());
    let first = LINKS - packets.len() as u8;
    assert_eq!(packets, (first..LINKS).map(|i| vec![i]).collect::<Vec<_>>());
    assert_eq!(reason, Eof::LinkDown);
    let link = Plan::new(0).up(master.socket());
    up(&master);
    link.slave_sends(b"on");
    assert_eq!(read(&mut handle), b"on");
}

#[test]
fn a_live_link_behind_unread_ones_has_its_turn() {
    for links in [1, 3] {
        let context = context();
        let master = master_on(&context, &socket());
        for i in 0..links {
            Plan::new(0).up(master.socket()).slave_sends(&[i]);
            down_and_ready(&master);
        }
        let link = Plan::new(0).up(master.socket());
        link.slave_sends(b"live");
        up(&master);
        let mut handle = master.packet_handle(0).unwrap().with_burst(1);
        for i in 0..links {
            assert_eq!(read(&mut handle), [i]);
        }
        assert_eq!(read(&mut handle), b"live");
        assert_eq!(eof(handle.read_packet()), Eof::Empty);
        link.slave_sends(b"on");
        assert_eq!(handle.wait(Some(LONG)).unwrap(), Wait::Ready);
        assert_eq!(read(&mut handle), b"on");
        // Also when the last one had been waited for, not read.
        assert_eq!(handle.wait(Some(Duration::ZERO)), Err(Error::TimedOut));
    }
}

#[test]
fn a_slave_s_live_link_behind_an_unread_one_has_its_turn() {
    let context = context();
    let name = socket();
    let raw = memif_hostile::peer::Master::listen(&name);
    let slave = slave_on(&context, &name);
    let first = raw.go(Stage::Up);
    until("offered buffers", || first.m2s().head() != 0);
    first.master_sends(b"first");
    drop(first);
    let second = raw.go(Stage::Up);
    until("the second link", || slave.is_link_up());
    let mut handle = slave.packet_handle(0).unwrap().with_burst(1);
    assert_eq!(read(&mut handle), b"first");
    // The read that finds the first link drained offers the second one's buffers.
    assert_eq!(handle.wait(Some(Duration::ZERO)), Err(Error::TimedOut));
    until("offered buffers", || second.m2s().head() != 0);
    second.master_sends(b"second");
    assert_eq!(read(&mut handle), b"second");
}

#[test]
fn closing_waits_for_the_peer_but_not_for_ever() {
    for role in ROLES {
        let pair = Pair::new();
        let own = pair.side(role);
        // Nothing is under way: at once, or at least without the wait below.
        own.packet_handle(0)
            .unwrap()
            .with_burst(1)
            .write_packet(b"x")
            .unwrap();
        let start = Instant::now();
        own.close();
        // A lower bound holds on the slowest machine.
        assert!(start.elapsed() >= Duration::from_millis(900));
        assert!(start.elapsed() < LONG);
        let mut peer = pair
            .side(other(role))
            .packet_handle(0)
            .unwrap()
            .with_burst(1);
        assert_eq!(read(&mut peer), b"x");
    }
}

#[test]
fn closing_lets_the_peer_take_everything_first() {
    for role in ROLES {
        let pair = Pair::small(5, 64);
        let own = pair.side(role).clone();
        let mut peer = pair
            .side(other(role))
            .packet_handle(0)
            .unwrap()
            .with_burst(4);
        let mut handle = own.packet_handle(0).unwrap().with_burst(1);
        let closing = thread::spawn(move || {
            for i in 0..500 {
                handle
                    .write_packet_timeout(&pattern(i, 100), Some(LONG))
                    .unwrap();
            }
            drop(handle);
            own.close();
        });
        for i in 0..500 {
            assert_same(&read(&mut peer), &pattern(i, 100), i);
        }
        assert_eq!(peer.wait(Some(LONG)).unwrap(), Wait::LinkDown);
        closing.join().unwrap();
    }
}

#[test]
fn closing_twice_and_using_what_is_closed_is_harmless() {
    let pair = Pair::new();
    for memif in [&pair.master, &pair.slave] {
        memif.close();
        memif.close();
        assert!(!memif.is_link_up());
        assert_eq!(eof(memif.wait_link_up(None)), Eof::Closed);
        let mut handle = memif.packet_handle(0).unwrap().with_burst(1);
        assert_eq!(eof(handle.read_packet()), Eof::Closed);
        assert_eq!(eof(handle.write_packet(b"x")), Eof::Closed);
        assert_eq!(handle.wait(None).unwrap(), Wait::Closed);
    }
    pair.master_context.close();
    let config = MemifConfig::new(&pair.socket);
    let error = pair.master_context.create_interface(config).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotInitialised);
}

#[test]
fn an_interface_goes_with_its_last_owner() {
    let name = socket();
    let context = context();
    let master = master_on(&context, &name);
    let slave = slave_on(&context, &name);
    up(&slave);
    let handle = master.packet_handle(0).unwrap().with_burst(1);
    drop(master);
    // A handle keeps it.
    assert!(handle.is_link_up() && slave.is_link_up());
    drop(handle);
    down(&slave);
    assert_eq!(
        slave.wait_link_up(Some(Duration::ZERO)),
        Err(Error::TimedOut)
    );
}

#[test]
fn dropping_the_last_owner_does_not_wait_for_a_silent_peer() {
    for reader in ROLES {
        let pair = Pair::new();
        let mut from = pair.side(reader).packet_handle(0).unwrap();
        let (writing, reading) = match reader {
            memif::Role::Master => (pair.slave, pair.master),
            _ => (pair.master, pair.slave),
        };
        let mut to = writing.packet_handle(0).unwrap();
        to.write_packet(b"last").unwrap();
        let start = Instant::now();
        drop(to);
        drop(writing);
        assert!(start.elapsed() < Duration::from_millis(900)); // not a second
        // The peer has a moment to read it, and then the link goes.
        assert_eq!(read(&mut from), b"last");
        down(&reading);
    }
}

#[test]
fn an_interface_that_was_dropped_makes_place_for_the_next() {
    let pair = Pair::new();
    let mut to = pair.master.packet_handle(0).unwrap();
    to.write_packet(b"nobody reads this").unwrap();
    drop(to);
    drop(pair.master);
    let config = MemifConfig::new(&pair.socket).role(memif::Role::Master);
    let again = pair.master_context.create_interface(config).unwrap();
    up(&again);
}

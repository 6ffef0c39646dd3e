//! Waiting for packets, and what wakes a waiting handle.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use memif::{Eof, Error, MemifConfig, PacketHandle, Wait};

use crate::common::*;
use crate::support::*;

#[test]
fn wait_tells_ready_timed_out_and_link_down() {
    for reader in ROLES {
        let pair = Pair::new();
        let (mut to, mut from) = pair.handles(reader, 2);
        assert_eq!(from.wait(Some(Duration::ZERO)), Err(Error::TimedOut));
        let timeout = Some(Duration::from_millis(3));
        assert_eq!(from.wait(timeout), Err(Error::TimedOut));
        assert_eq!(from.read_packet_timeout(timeout), Err(Error::TimedOut));
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
        let (mut reader_half, _) = reading.packet_handle(0).unwrap().with_burst(2).split();
        let waiting = thread::spawn(move || {
            let first = reader_half.packets().follow(true).next();
            first.map(|packet| packet.unwrap().into_data())
        });
        let writing = MemifConfig::new(&socket).role(other(reader));
        let writing = context.create_interface(writing).unwrap();
        up(&writing);
        let mut to = writing.packet_handle(0).unwrap().with_burst(1);
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

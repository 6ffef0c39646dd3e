//! Waiting for packets, and what wakes a waiting handle.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
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

/// Closing an interface takes its link down first.
#[test]
fn a_waiting_reader_of_a_closed_interface_is_not_told_of_the_link() {
    for reader in ROLES {
        for mode in MODES {
            let told = Arc::new(AtomicBool::new(false));
            let pair = Pair::with(|config| {
                let told = Arc::clone(&told);
                config.on_disconnect(move |_| {
                    until("an end of the wait", || told.load(Ordering::Acquire));
                })
            });
            let (_, mut from) = pair.handles(reader, 2);
            from.set_rx_mode(mode).unwrap();
            let (about_to, waits) = mpsc::channel();
            let waiting = thread::spawn(move || {
                about_to.send(()).unwrap();
                let waited = from.wait(None);
                told.store(true, Ordering::Release);
                waited
            });
            waits.recv().unwrap();
            pair.side(reader).close();
            assert_eq!(waiting.join().unwrap(), Ok(Wait::Closed), "{mode:?}");
        }
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

#[test]
fn waiting_for_room_knows_how_much_is_needed() {
    for reader in ROLES {
        // Four buffers of 64 bytes, of which one is free.
        let pair = Pair::small(2, 64);
        let (mut to, mut from) = pair.handles(reader, 1);
        for _ in 0..3 {
            to.write_packet(&[1; 60]).unwrap();
        }
        let soon = Some(Duration::from_millis(3));
        assert_eq!(to.wait_writable(64, soon), Ok(Wait::Ready));
        assert_eq!(to.wait_writable(65, soon), Err(Error::TimedOut));
        assert_eq!(to.wait_writable(256, soon), Err(Error::TimedOut));
        assert_eq!(to.write_packet(&[1; 65]), Err(Error::Full));
        assert_eq!(to.wait_writable(0, soon), Err(Error::EmptyPacket));
        let error = to.wait_writable(257, soon).unwrap_err();
        assert!(
            matches!(error, Error::TooLong { length: 257, .. }),
            "{error}"
        );

        let writing = thread::spawn(move || {
            let room = to.wait_writable(200, Some(LONG));
            room.and_then(|_| to.write_packet(&[2; 200])).unwrap();
            to
        });
        for _ in 0..3 {
            assert_eq!(read(&mut from), [1; 60]);
        }
        assert_eq!(read(&mut from), [2; 200]);
        writing.join().unwrap();
    }
}

#[test]
fn a_queue_is_closed_from_another_thread() {
    let pair = Pair::new();
    let mut queue = pair.master.rx_queue(0).unwrap();
    let closer = queue.closer();
    let waiting = thread::spawn(move || {
        let waited = queue.wait(None).unwrap();
        (
            waited,
            eof(queue.rx_burst(&mut memif::Burst::new(1)).map(drop)),
        )
    });
    closer.close();
    assert_eq!(waiting.join().unwrap(), (Wait::Closed, Eof::Closed));
}

#[test]
fn a_wait_that_follows_sleeps_while_the_link_is_down() {
    let pair = Pair::new();
    let mut from = pair.master.packet_handle(0).unwrap();
    pair.slave.close();
    down(&pair.master);
    let soon = Some(Duration::from_millis(3));
    assert_eq!(from.wait(soon), Ok(Wait::LinkDown));
    assert_eq!(from.wait_following(soon), Err(Error::TimedOut));
    let again = pair
        .slave_context
        .create_interface(MemifConfig::new(&pair.socket))
        .unwrap();
    up(&again);
    again.tx_queue(0).unwrap().tx_burst(&[b"x"]).unwrap();
    assert_eq!(from.wait_following(Some(LONG)), Ok(Wait::Ready));
}

//! Single packets, bursts of them, and the snap length.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use memif::{Eof, Error, MemifConfig, Role, RxMode, Wait};

use crate::common::*;
use crate::support::*;

#[test]
fn an_empty_packet_is_an_error_and_nothing_is_sent() {
    for reader in ROLES {
        let pair = Pair::new();
        let (mut to, mut from) = pair.handles(reader, 8);
        let error = to.write_packet(b"").unwrap_err();
        assert_eq!(error, Error::EmptyPacket);
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
        assert!(matches!(error, Error::TooLong { .. }), "{error:?}");
        assert!(error.to_string().contains("257 bytes"), "{error}");
        assert!(to.write_packet_timeout(&[1; 257], None).is_err());
        to.write_packet(&pattern(1, 4 * 64)).unwrap();
        let error = to.write_packet(&[1; 257]).unwrap_err();
        assert!(
            matches!(error, Error::TooLong { offered, .. } if offered == (reader == Role::Slave)),
            "also when full: {error:?}"
        );
        expect_then(&mut from, &[pattern(1, 4 * 64)], Eof::Empty);
    }
}

/// What is copied is still in the cache when it is read, however much fits.
#[test]
fn a_burst_ends_after_128_kib() {
    for reader in ROLES {
        let pair = Pair::small(8, 2048);
        let (mut to, from) = pair.handles(reader, 256);
        let mut from = from.with_snaplen(1 << 20);
        let packets = vec![pattern(1, 2048); 200];
        assert_eq!(to.write_packets(&packets).unwrap(), 200);
        assert_eq!(from.read_burst().unwrap().len(), 64);
    }
}

#[test]
fn the_snap_length_cuts_and_the_length_tells_the_truth() {
    for reader in ROLES {
        let pair = Pair::small(6, 128);
        let (mut to, mut from) = pair.handles(reader, 8);
        from = from.with_snaplen(100);
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
        from = from.with_snaplen(0);
        to.write_packet(&pattern(7, 10)).unwrap();
        assert_same(&from.read_packet().unwrap(), &pattern(7, 10)[..1], "a byte");
        from = from.with_snaplen(memif::DEFAULT_SNAPLEN);
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
        from = from.with_snaplen(65_536);
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
            to.flush(LONG).unwrap();
            for i in 0..3 {
                to.write_packet(&pattern(i, 60)).unwrap();
            }
            for i in 0..taken {
                assert_same(&read(&mut from), &pattern(i, 60), i);
            }
            pair.side(reader).close();
            down(pair.side(other(reader)));
            // Closing flushes too, and closes the handle in any case.
            if taken == 3 {
                to.flush(LONG).unwrap();
                to.close().unwrap();
            } else {
                assert_eq!(eof(to.flush(LONG)), Eof::LinkDown);
                assert_eq!(eof(to.close()), Eof::LinkDown);
            }
            assert_eq!(eof(to.write_packet(b"x")), Eof::Closed);
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
        assert_eq!(
            to.write_packet_timeout(b"no", timeout),
            Err(Error::TimedOut)
        );
        assert_eq!(to.wait_writable(1, timeout), Err(Error::TimedOut));
        assert_eq!(to.flush(Duration::from_millis(3)), Err(Error::TimedOut));
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
        assert_eq!(to.wait_writable(1, Some(LONG)).unwrap(), Wait::Ready);
        to.flush(LONG).unwrap();
    }
}

#[test]
fn the_same_handle_works_after_a_reconnect() {
    for reader in ROLES {
        let pair = Pair::new();
        let gone = pair.side(other(reader)).clone();
        let mut own = pair.side(reader).packet_handle(0).unwrap().with_burst(4);
        own.set_rx_mode(RxMode::Polling).unwrap();
        gone.close();
        down(pair.side(reader));
        assert_eq!(eof(own.read_packet()), Eof::LinkDown);
        assert_eq!(eof(own.write_packet(b"x")), Eof::LinkDown);
        let context = match reader {
            Role::Master => &pair.slave_context,
            _ => &pair.master_context,
        };
        let config = MemifConfig::new(&pair.socket).role(other(reader));
        let back = context.create_interface(config).unwrap();
        up(&back);
        up(pair.side(reader));
        let mut peer = back.packet_handle(0).unwrap().with_burst(4);
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

#[test]
fn a_packet_has_the_time_when_its_burst_was_taken() {
    for reader in ROLES {
        let pair = Pair::new();
        let (mut to, mut from) = pair.handles(reader, 8);
        to.write_packets(&[[1; 60], [2; 60]]).unwrap();
        let before = memif::Timestamp::now();
        let first = from.read_packet().unwrap();
        let taken = memif::Timestamp::now();
        // Work that takes its time does not make the packets younger.
        thread::sleep(Duration::from_millis(2));
        let time = first.info().timestamp;
        assert!((before..=taken).contains(&time), "{before} {time} {taken}");
        assert_eq!(from.read_packet().unwrap().info().timestamp, time);

        let mut from = from.with_timestamps(false);
        to.write_packet(&[3; 60]).unwrap();
        let packet = from.read_packet().unwrap();
        assert_eq!(packet.info().timestamp, memif::Timestamp::default());
    }
}

#[test]
fn a_burst_is_forwarded_as_it_came() {
    for reader in ROLES {
        let (first, second) = (Pair::new(), Pair::small(2, 2048));
        let mut to = first.side(other(reader)).tx_queue(0).unwrap();
        let sent: Vec<_> = (0..7).map(|n| pattern(n, 100)).collect();
        to.tx_burst(&sent).unwrap();
        let mut rx = first.side(reader).rx_queue(0).unwrap();
        let mut burst = memif::Burst::new(64);
        assert_eq!(rx.rx_burst(&mut burst).unwrap(), 7);
        let mut tx = second.side(other(reader)).tx_queue(0).unwrap();
        let mut from = second.side(reader).packet_handle(0).unwrap();
        let mut forwarded = 0;
        while forwarded < 7 {
            let count = tx.forward(&burst, forwarded).unwrap();
            assert_eq!(count, (7 - forwarded).min(4));
            for (n, packet) in sent.iter().enumerate().skip(forwarded).take(count) {
                assert_same(&read(&mut from), packet, n);
            }
            forwarded += count;
        }
        assert_eq!(tx.forward(&burst, 7).unwrap(), 0);
    }
}

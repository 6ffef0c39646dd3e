//! Links that are joined in the middle, and that end.

use std::thread;
use std::time::Duration;

use memif::observe::Observer;
use memif::{Eof, Error, PacketSource, Role, Wait};

use crate::common::{LONG, Pair, down, eof, other, pattern};
use crate::traffic::{link_of, turn};

/// Whatever the counters stand at.
fn pass(pair: &Pair, from: Role, packets: usize) {
    let mut tx = pair.side(from).tx_queue(0).unwrap();
    let mut rx = pair.side(other(from)).packet_handle(0).unwrap();
    for _ in 0..packets / 8 {
        assert_eq!(tx.tx_burst(&[[1u8; 60]; 8]).unwrap(), 8);
        for _ in 0..8 {
            rx.read_packet_timeout(Some(LONG)).unwrap();
        }
    }
}

#[test]
fn joined_at_counters_that_wrap() {
    let _turn = turn();
    let pair = Pair::small(5, 256);
    for from in [Role::Slave, Role::Master] {
        pass(&pair, from, 65_528);
    }
    let link = link_of(&pair);
    let mut observer = Observer::of(&link).attach().unwrap();
    for (number, from) in [Role::Slave, Role::Master].into_iter().enumerate() {
        let mut tx = pair.side(from).tx_queue(0).unwrap();
        let mut rx = pair
            .side(other(from))
            .packet_handle(0)
            .unwrap()
            .with_burst(1);
        for n in 0..100 {
            let packet = pattern(n, 60 + n as usize);
            assert_eq!(tx.tx_burst(&[&packet]).unwrap(), 1);
            let ring = &mut observer.rings()[number];
            assert_eq!(ring.wait(Some(LONG)).unwrap(), Wait::Ready);
            assert_eq!(ring.read_packet().unwrap().data(), packet);
            rx.read_packet_timeout(Some(LONG)).unwrap();
        }
        let counts = observer.rings()[number].counts();
        assert_eq!((counts.delivered, counts.missed), (100, 0));
    }
}

#[test]
fn a_full_ring_is_seen_from_its_first_packet() {
    let _turn = turn();
    let pair = Pair::small(6, 256);
    let link = {
        let mut tx = pair.slave.tx_queue(0).unwrap();
        let packets: Vec<_> = (0..64).map(|n| pattern(n, 60)).collect();
        assert_eq!(tx.tx_burst(&packets).unwrap(), 64);
        link_of(&pair)
    };
    let mut observer = Observer::of(&link).attach().unwrap();
    let ring = &mut observer.rings()[0];
    for n in 0..64 {
        let packet = ring.read_packet().unwrap();
        assert_eq!(packet.data(), pattern(n, 60));
        assert!(packet.info().timestamp.seconds() > 1_600_000_000);
    }
    assert_eq!(eof(ring.read_packet().map(|_| ())), Eof::Empty);
    let waited = ring.wait(Some(Duration::from_millis(1)));
    assert_eq!(waited, Err(Error::TimedOut));
}

#[test]
fn a_link_that_ends_is_read_to_its_last_packet() {
    let _turn = turn();
    let pair = Pair::new();
    let link = link_of(&pair);
    let observer = Observer::of(&link).attach().unwrap();
    let packets: Vec<_> = (0..10).map(|n| pattern(n, 60)).collect();
    pair.slave.tx_queue(0).unwrap().tx_burst(&packets).unwrap();
    // Waits for whoever reads them, and nobody does before the end.
    let slave = pair.slave.clone();
    thread::spawn(move || slave.close());
    down(&pair.master);
    // Its last packets are read before it lets the memory go.
    let mut handle = pair.master.packet_handle(0).unwrap();
    while handle.read_packet().is_ok() {}
    let mut rings = observer.into_rings();
    let ring = &mut rings[0];
    let mut next = 0;
    loop {
        match ring.wait(Some(LONG)).unwrap() {
            Wait::Ready => {
                while let Ok(packet) = ring.read_packet() {
                    assert_eq!(packet.data(), pattern(next, 60));
                    next += 1;
                }
            }
            Wait::LinkDown => break,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(next, 10);
    assert_eq!(eof(ring.read_packet().map(|_| ())), Eof::LinkDown);
    // It can't be joined any more.
    let error = Observer::of(&link).attach().unwrap_err();
    assert!(error.to_string().contains("gone"), "{error}");
}

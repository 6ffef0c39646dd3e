//! A peer that is stopped (SIGSTOP) with its ring full: it blocks nobody.

use std::time::{Duration, Instant};

use memif::{Context, Error, MemifConfig, Role, RxMode};

use crate::process::{Place, wait_until};
use crate::replay::{ROLES, start_capture};

/// How long calls took: the middle and the longest, which may be the machine's doing.
fn times(what: &str, mut call: impl FnMut()) {
    let mut times: Vec<_> = (0..1001)
        .map(|_| {
            let start = Instant::now();
            call();
            start.elapsed()
        })
        .collect();
    times.sort();
    let (middle, longest) = (times[500], times[1000]);
    println!("{what:<16} {middle:>12.1?} {longest:>12.1?}");
    assert!(middle < Duration::from_millis(1), "{what}: {middle:?}");
    assert!(longest < Duration::from_secs(1), "{what}: {longest:?}");
}

#[test]
fn no_call_waits_for_a_stopped_peer() {
    for (theirs, ours) in ROLES {
        let place = Place::new();
        let capture = start_capture(&place, theirs, &["--count-only"]);
        let context = Context::new("runs on").unwrap();
        let role: Role = ours.parse().unwrap();
        let config = MemifConfig::new(place.socket()).role(role);
        let memif = context.create_interface(config).unwrap();
        capture.wait_said("connected to", 1);
        let mut handle = memif.packet_handle(0).unwrap();
        wait_until("room", || handle.write_packet(b"x").is_ok());
        capture.halt();
        while handle.write_packet(b"x").is_ok() {}
        assert!(memif.is_link_up());

        println!("{ours} of a stopped {theirs}");
        times("write_packet", || {
            assert!(handle.write_packet(b"x").is_err())
        });
        times("write_packets", || {
            assert!(handle.write_packets(&[b"x", b"y"]).is_err());
        });
        times("read_packet", || assert!(handle.read_packet().is_err()));
        times("wait for 0 s", || {
            let _ = handle.wait(Some(Duration::ZERO));
        });
        times("flush for 0 s", || {
            assert_eq!(handle.flush(Duration::ZERO), Err(Error::TimedOut))
        });
        times("stats", || drop(memif.stats()));
        times("is_link_up", || assert!(memif.is_link_up()));
        times("set_rx_mode", || {
            memif.set_rx_mode(0, RxMode::Interrupt).unwrap()
        });
        // Asks the control thread, which waits for nobody either.
        times("details", || drop(memif.details().unwrap()));
        drop(handle);
        let mut rx = memif.rx_queue(0).unwrap();
        let mut burst = memif::Burst::new(8);
        times("rx_burst", || {
            assert_eq!(rx.rx_burst(&mut burst).unwrap(), 0);
        });
        let mut tx = memif.tx_queue(0).unwrap();
        times("tx_burst", || assert_eq!(tx.tx_burst(&[b"x"]).unwrap(), 0));
        times("free_slots", || assert_eq!(tx.free_slots().unwrap(), 0));
        times("pending_slots", || assert!(tx.pending_slots().unwrap() > 0));
        drop((rx, tx));

        let start = Instant::now();
        memif.close();
        let took = start.elapsed();
        println!("close            {took:.1?} (its limit is 1 s)");
        assert!(took < Duration::from_secs(10), "{took:?}");
        capture.go_on();
    }
}

//! A replay that goes on when its peer comes back.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::packets::{assert_numbered, read, write_numbered};
use crate::process::Place;
use crate::replay::{ROLES, start_capture, start_replay};

/// The second reader gets what the first has not read, though it had been sent.
#[test]
fn the_next_link_gets_the_rest() {
    for (ours, other) in ROLES {
        for sizes in [&[64][..], &[64, 5000, 1500]] {
            let place = Place::new();
            let (file, first, second) = (
                place.text("in.pcap"),
                place.text("a.pcap"),
                place.text("b.pcap"),
            );
            write_numbered(&file, 0, 2000, sizes);
            let capture = start_capture(&place, ours, &["-c", "500", "-w", &first]);
            let replay = start_replay(&place, other, &["--topspeed", "--resume", &file]);
            capture.finish().good();
            replay.wait_said("the peer left after ", 1);
            let capture = start_capture(&place, ours, &["-c", "1500", "-w", &second]);
            capture.finish().good();
            let ended = replay.finish().good();
            let ended = ended
                .says("sent 2000 packets")
                .says("going on when it is back");
            assert_eq!(
                ended.said.matches("the peer left").count(),
                1,
                "{}",
                ended.said
            );
            assert_numbered(&read(&first), 0, 500);
            assert_numbered(&read(&second), 500, 2000);
        }
    }
}

/// Standard input is read on, and what was due meanwhile is not made up for.
#[test]
fn a_killed_reader_is_waited_for_until_the_replay_is_stopped() {
    let place = Place::new();
    let (file, out) = (place.text("in.pcap"), place.text("b.pcap"));
    write_numbered(&file, 0, 100_000, &[64]);
    let mut capture = start_capture(&place, "master", &["-w", &place.text("a.pcap")]);
    let options = ["--pps", "1000", "--resume", "--queues", "1", &file];
    let replay = start_replay(&place, "slave", &options);
    capture.wait_said("connected to", 1);
    capture.kill_now();
    replay.wait_said("going on when it is back", 1);
    let capture = start_capture(&place, "master", &["-c", "50", "-w", &out]);
    capture.finish().good();
    assert_eq!(read(&out).len(), 50);
    replay.wait_said("going on when it is back", 2);
    replay.signal(Signal::SIGTERM);
    replay.finish().good();
}

/// What was due while there was no peer is not sent at once to the next.
#[test]
fn a_replay_paces_anew_after_a_pause() {
    let place = Place::new();
    let file = place.text("in.pcap");
    write_numbered(&file, 0, 1200, &[64]);
    let capture = start_capture(&place, "master", &["-c", "10"]);
    let options = ["--pps", "1000", "--resume", "--stats", "0.1"];
    let small = ["--ring-size", "5", &file];
    let replay = start_replay(&place, "slave", &[&options[..], &small].concat());
    capture.finish().good();
    replay.wait_said("going on when it is back", 1);
    // All would have been due by then.
    replay.wait_said(" s\n", 12);
    let start = Instant::now();
    start_capture(&place, "master", &["-c", "1000"])
        .finish()
        .good();
    // At once come those of a ring and a batch, at most.
    let took = start.elapsed();
    assert!(took > Duration::from_millis(800), "{took:?}");
    replay.signal(Signal::SIGINT);
    replay.finish();
}

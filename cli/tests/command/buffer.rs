//! The buffer of a recording: a reader or a disk that pauses does not fill the ring.

use std::io::Read;
use std::process::ChildStdout;

use memif::pcap::CaptureReader;
use nix::sys::signal::Signal;

use crate::packets::{all, assert_numbered, read, write_numbered};
use crate::process::{Place, Process, memif, run, wait_until};
use crate::replay::{start_capture, start_replay};

const PACKETS: u64 = 100_000;
/// Of a pcap file with them.
const BYTES: usize = 24 + PACKETS as usize * (16 + 64);

/// A capture into a pipe that nobody reads yet, and what is to be sent to it.
fn into_pipe(place: &Place, options: &[&str]) -> (Process, ChildStdout, String) {
    let (socket, file) = (place.socket(), place.text("in.pcap"));
    write_numbered(&file, 0, PACKETS, &[64]);
    let mut command = memif(&[
        "capture", "-s", &socket, "--role", "master", "-w", "-", "--pcap",
    ]);
    let (capture, pipe) = Process::with_stdout(command.args(options));
    (capture, pipe, file)
}

#[test]
fn a_pipe_that_is_not_read_holds_nobody_up() {
    let place = Place::new();
    let (capture, mut pipe, file) = into_pipe(&place, &[]);
    // Slow enough for any machine to empty so large a ring in time.
    let options = ["--pps", "100000", "--ring-size", "14", &file];
    let replay = start_replay(&place, "slave", &options);
    // All packets were taken from the ring.
    replay.finish().good().says("sent 100000 packets");
    let full = capture.status("RssAnon:");
    // Told though whoever writes is blocked.
    wait_until("the numbers of all packets", || {
        capture.signal(Signal::SIGUSR1);
        capture.said().contains("100000 packets received")
    });
    capture.wait_said(" passed to the output so far", 1);

    let mut got = vec![0; BYTES];
    pipe.read_exact(&mut got).unwrap();
    assert_numbered(&all(CaptureReader::new(&got[..]).unwrap()), 0, PACKETS);
    // Of about 9 MB what is kept for the next packets is 1 MiB.
    wait_until("memory that is given back", || {
        capture.status("RssAnon:") + 6000 < full
    });
    capture.signal(Signal::SIGINT);
    let ended = capture.finish().good();
    let ended = ended
        .says("0 packets dropped by this side")
        .says(" of 65536 KiB;");
    assert!(!ended.said.contains("found full"), "{}", ended.said);
}

#[test]
fn a_full_buffer_leaves_packets_in_the_ring_and_says_so() {
    let place = Place::new();
    let (capture, mut pipe, file) = into_pipe(&place, &["--once", "--buffer", "256k"]);
    let replay = start_replay(&place, "slave", &["--topspeed", &file]);
    replay.wait_sleeping(200);
    let mut got = Vec::new();
    pipe.read_to_end(&mut got).unwrap();
    replay.finish().good().says("for a full ring");
    let ended = capture.finish().good().says("ring found full");
    let ended = ended.says("the peer may have dropped packets");
    ended.says("0 packets dropped by this side");
    assert_numbered(&all(CaptureReader::new(&got[..]).unwrap()), 0, PACKETS);
}

#[test]
fn what_was_buffered_when_the_reader_left_is_counted() {
    let place = Place::new();
    let (capture, mut pipe, file) = into_pipe(&place, &[]);
    start_replay(&place, "slave", &["--topspeed", &file])
        .finish()
        .good();
    let mut got = vec![0; 24 + 80 * 1000];
    pipe.read_exact(&mut got).unwrap();
    drop(pipe);
    let ended = capture.finish().says("100000 packets received");
    let number = |end: &str| {
        let line = ended.said.lines().find(|line| line.contains(end)).unwrap();
        line.split_whitespace()
            .nth(1)
            .unwrap()
            .parse::<u64>()
            .unwrap()
    };
    let (written, lost) = (number("written to -"), number("because the output failed"));
    assert!(written >= 1000 && lost > 0, "{written}, {lost}");
    assert_eq!(written + lost, PACKETS);
}

/// What was taken before the time ended is written, however late.
#[test]
fn a_time_that_ends_loses_nothing_of_the_buffer() {
    let place = Place::new();
    let (capture, mut pipe, file) = into_pipe(&place, &["-a", "duration:6"]);
    start_replay(&place, "slave", &["--topspeed", &file])
        .finish()
        .good();
    capture.wait_said("disconnected", 1);
    let mut got = Vec::new();
    pipe.read_to_end(&mut got).unwrap();
    capture
        .finish()
        .good()
        .says("0 packets dropped by this side");
    assert_numbered(&all(CaptureReader::new(&got[..]).unwrap()), 0, PACKETS);
}

#[test]
fn a_count_is_exact_and_the_rest_stays_with_the_peer() {
    for options in [&["-c", "777"][..], &["-c", "777", "less", "65"]] {
        let place = Place::new();
        let (file, out) = (place.text("in.pcap"), place.text("out.pcap"));
        write_numbered(&file, 0, 5000, &[64]);
        let options = [&["-w", &out][..], options].concat();
        let capture = start_capture(&place, "master", &options);
        start_replay(&place, "slave", &["--topspeed", &file]).finish();
        let ended = capture.finish().good().says("777 packets written");
        assert!(!ended.said.contains("discarded"), "{}", ended.said);
        assert_numbered(&read(&out), 0, 777);
    }
}

#[test]
fn sizes_are_checked() {
    for wrong in ["1", "255k", "64x", "2048g"] {
        run(&["capture", "-w", "x.pcap", "--buffer", wrong]).refused("256k");
    }
}

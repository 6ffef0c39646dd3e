//! The buffer of a recording: a reader or a disk that pauses does not fill the ring.

use std::io::Read;
use std::process::ChildStdout;
use std::time::{Duration, Instant};

use memif::pcap::CaptureReader;
use memif::{Context, MemifConfig};
use nix::sys::signal::Signal;

use crate::packets::{all, assert_numbered, numbered, read, write_numbered};
use crate::process::{PATIENCE, Place, Process, has_filters, memif, run, wait_until};
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
    /// No more than the ring holds, so that it can't be found full.
    const PART: u64 = 10_000;
    let place = Place::new();
    let (capture, mut pipe, file) = into_pipe(&place, &[]);
    for part in 0..PACKETS / PART {
        write_numbered(&file, part * PART, (part + 1) * PART, &[64]);
        // Ends when all packets were taken from the ring.
        let options = ["--topspeed", "--ring-size", "14", &file];
        let replay = start_replay(&place, "slave", &options);
        replay.finish().good().says("sent 10000 packets");
    }
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
    // Of about 8 MB what is kept for the next packets is 1 MiB.
    wait_until("memory that is given back", || {
        capture.status("RssAnon:") + 5000 < full
    });
    capture.signal(Signal::SIGINT);
    let ended = capture.finish().good();
    let ended = ended
        .says("0 packets dropped by this side")
        .says(" of 65536 KiB;");
    assert!(!ended.said.contains("found full"), "{}", ended.said);
}

#[test]
fn a_full_buffer_leaves_packets_in_the_ring() {
    let place = Place::new();
    let (capture, mut pipe, file) = into_pipe(&place, &["--once", "--buffer", "256k"]);
    let replay = start_replay(&place, "slave", &["--topspeed", &file]);
    replay.wait_sleeping(200);
    let mut got = Vec::new();
    pipe.read_to_end(&mut got).unwrap();
    replay.finish().good().says("for a full ring");
    let ended = capture.finish().good();
    ended.says("0 packets dropped by this side");
    assert_numbered(&all(CaptureReader::new(&got[..]).unwrap()), 0, PACKETS);
}

/// Filled while nobody looks at it.
#[test]
fn a_ring_that_is_found_full_is_said() {
    let place = Place::new();
    let out = place.text("out.pcapng");
    let capture = start_capture(&place, "master", &["-c", "1024", "-w", &out]);
    let context = Context::new("test").unwrap();
    let slave = MemifConfig::new(place.socket());
    let slave = context.create_interface(slave).unwrap();
    slave.wait_link_up(Some(PATIENCE)).unwrap();
    let mut queue = slave.tx_queue(0).unwrap();
    capture.wait_said("connected to", 1);
    capture.wait_idle();
    capture.halt();
    let mut sent = 0;
    while queue.tx_burst(&[numbered(sent, 64)]).unwrap() == 1 {
        sent += 1;
    }
    assert_eq!(sent, 1024);
    capture.go_on();
    let full = "ring found full 1 time: the peer may have dropped packets";
    capture.finish().good().says(full);
    let file = std::fs::read(&out).unwrap();
    let in_file = b"ring found full once: the peer may have dropped packets; longest time";
    assert!(file.windows(in_file.len()).any(|part| part == in_file));
    assert_numbered(&read(&out), 0, 1024);
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

/// What was taken before the time ended, however much that was, is written, however late.
#[test]
fn a_time_that_ends_loses_nothing_of_the_buffer() {
    let place = Place::new();
    let (capture, mut pipe, file) = into_pipe(&place, &["-a", "duration:1"]);
    let replay = start_replay(&place, "slave", &["--topspeed", &file]);
    let mut got = vec![0; 24];
    pipe.read_exact(&mut got).unwrap();
    let end = Instant::now() + Duration::from_secs(1);
    wait_until("the end of the time", || end < Instant::now());
    pipe.read_to_end(&mut got).unwrap();
    let ended = capture.finish().good();
    drop(replay);
    let got = all(CaptureReader::new(&got[..]).unwrap());
    let ended = ended.says(&format!(" {} packets received", got.len()));
    ended.says("0 packets dropped by this side");
    assert_numbered(&got, 0, got.len() as u64);
}

#[test]
fn a_count_is_exact_and_the_rest_stays_with_the_peer() {
    let filtered = has_filters().then_some(&["-c", "777", "less", "65"][..]);
    for options in std::iter::once(&["-c", "777"][..]).chain(filtered) {
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

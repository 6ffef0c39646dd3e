//! Captures that come through pipes and standard input, and what ends reading them.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::process::{ChildStdin, Command, Stdio};

use nix::sys::signal::Signal;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use crate::packets::{assert_numbered, read, write_numbered};
use crate::process::{MEMIF, Place, Process, installed, memif, run, wait_until};
use crate::replay::start_capture;

/// A file with 98 packets, and its bytes.
fn file(place: &Place) -> (String, Vec<u8>) {
    let file = place.text("in.pcap");
    write_numbered(&file, 0, 98, &[64]);
    let bytes = fs::read(&file).unwrap();
    (file, bytes)
}

fn fifo(place: &Place) -> String {
    let path = place.path("fifo");
    mkfifo(&path, Mode::S_IRUSR | Mode::S_IWUSR).unwrap();
    path.display().to_string()
}

/// Standard input stays open until the process has ended.
fn reading(args: &[&str], bytes: &[u8]) -> (Process, ChildStdin) {
    let mut process = Process::spawn(memif(args).stdin(Stdio::piped()));
    let mut input = process.stdin();
    input.write_all(bytes).unwrap();
    (process, input)
}

#[test]
fn a_pipe_with_a_name_is_opened_once() {
    if !installed(&["bash", "cat"]) {
        return;
    }
    for shell in [
        r#""$0" replay -s "$1" --topspeed <(cat "$2")"#,
        r#""$0" replay -s "$1" --topspeed "$3""#,
    ] {
        let place = Place::new();
        let (socket, out) = (place.socket(), place.text("out.pcap"));
        let ((file, bytes), fifo) = (file(&place), fifo(&place));
        let capture = start_capture(&place, "master", &["--once", "-w", &out]);
        let mut command = Command::new("bash");
        command
            .args(["-c", shell, MEMIF, &socket, &file, &fifo])
            .stdin(Stdio::null());
        let replay = Process::spawn(&mut command);
        if shell.contains("$3") {
            let mut writer = OpenOptions::new().write(true).open(&fifo).unwrap();
            writer.write_all(&bytes).unwrap();
        }
        replay.finish().good().says("sent 98 packets");
        capture.finish().good();
        assert_numbered(&read(&out), 0, 98);
    }
}

#[test]
fn a_pipe_that_nobody_writes_to_ends_with_a_signal() {
    for command in ["replay", "capture"] {
        let place = Place::new();
        let (socket, fifo) = (place.socket(), fifo(&place));
        let args = match command {
            "replay" => vec!["replay", "-s", &socket, &fifo],
            _ => vec!["capture", "-r", &fifo],
        };
        let _master = start_capture(&place, "master", &[]);
        let process = Process::start(&args);
        if command == "replay" {
            process.wait_said("connected to", 1);
        }
        // Something writes without a byte, so that the reading has begun.
        let _writer = File::options().write(true).open(&fifo).unwrap();
        process.signal(Signal::SIGTERM);
        process.finish().good();
    }
}

#[test]
fn what_was_read_before_a_time_or_a_signal_is_kept() {
    let place = Place::new();
    let ((_, bytes), out) = (file(&place), place.text("out.pcap"));
    let (capture, _input) = reading(&["capture", "-r", "-", "-a", "duration:1"], &bytes);
    let ended = capture.finish().good().says("98 packets printed");
    assert_eq!(
        ended
            .lines()
            .iter()
            .filter(|line| !line.starts_with('\t'))
            .count(),
        98
    );
    // Not even its beginning has come.
    let (capture, _input) = reading(&["capture", "-r", "-", "-a", "duration:0.1"], &[]);
    capture.finish().good();

    let (capture, _input) = reading(&["capture", "-r", "-", "-U", "-w", &out], &bytes);
    wait_until("packets in the file", || {
        fs::metadata(&out).is_ok_and(|m| m.len() == bytes.len() as u64)
    });
    capture.signal(Signal::SIGINT);
    capture.finish().good().says("98 packets written");
    assert_numbered(&read(&out), 0, 98);
}

#[test]
fn a_replay_of_standard_input_notices_its_peer_and_signals() {
    for leaves in [true, false] {
        let place = Place::new();
        let ((_, bytes), socket) = (file(&place), place.socket());
        // Else it stays until the end.
        let count = if leaves { "98" } else { "1000" };
        let capture = start_capture(&place, "master", &["--count-only", "-c", count]);
        let (replay, _input) = reading(&["replay", "-s", &socket, "--topspeed", "-"], &bytes);
        if leaves {
            // With the last packet.
            capture.finish().good();
            replay.finish().failed(1, &["the peer left after"]);
        } else {
            replay.wait_said("connected to", 1);
            replay.signal(Signal::SIGINT);
            replay.finish().good();
        }
    }
}

#[test]
fn a_stream_is_not_read_twice() {
    let place = Place::new();
    let fifo = fifo(&place);
    run(&["replay", "-s", "x", "--loop", "2", &fifo]).refused("--preload");
    run(&["replay", "-s", "x", "--loop", "2", "-"]).refused("--preload");
}

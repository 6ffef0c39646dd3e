//! Peers that come and leave, and ends by signal.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use memif::{Context, MemifConfig, Role};
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::signal::Signal;

use crate::packets::{assert_numbered, read, write_numbered};
use crate::process::{MEMIF, Place, Process, memif, run, wait_until};
use crate::replay::{ROLES, start_capture, start_replay};

#[test]
fn a_capture_goes_on_across_replays_until_a_signal() {
    for ((ours, other), signal) in ROLES.into_iter().zip([Signal::SIGINT, Signal::SIGTERM]) {
        let place = Place::new();
        let out = place.text("out.pcap");
        let capture = start_capture(&place, ours, &["-w", &out]);
        for round in 0..5 {
            let file = place.text("in.pcap");
            write_numbered(&file, round * 1000, (round + 1) * 1000, &[64]);
            start_replay(&place, other, &["--topspeed", &file])
                .finish()
                .good()
                .says("sent 1000 packets");
            capture.wait_said("disconnected", round as usize + 1);
        }
        capture.signal(signal);
        let ended = capture.finish().good();
        assert_eq!(ended.said.matches(": connected to").count(), 5);
        ended
            .says("5000 packets received, 320000 bytes")
            .says("5000 packets written")
            .says("0 packets cut")
            .says("0 packets dropped");
        assert_numbered(&read(&out), 0, 5000);
    }
}

#[test]
fn a_signal_ends_a_capture_that_has_no_peer() {
    for role in ["master", "slave"] {
        for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
            let place = Place::new();
            let out = place.text("out.pcap");
            let capture = start_capture(&place, role, &["-w", &out]);
            capture.wait_said("waiting", 1);
            capture.signal(signal);
            capture.finish().good().says("0 packets written");
            assert_eq!(read(&out).len(), 0);
            // A master takes its socket with it.
            assert!(!place.path("memif.sock").exists());
        }
    }
}

#[test]
fn a_signal_ends_a_capture_while_packets_come() {
    for (ours, other) in ROLES {
        let place = Place::new();
        let (file, out) = (place.text("in.pcap"), place.text("out.pcap"));
        write_numbered(&file, 0, 1000, &[64]);
        let capture = start_capture(&place, ours, &["-w", &out]);
        let replay = start_replay(&place, other, &["--loop", "0", "--topspeed", &file]);
        wait_until("packets in the file", || {
            std::fs::metadata(&out).is_ok_and(|m| m.len() > 1_000_000)
        });
        capture.signal(Signal::SIGINT);
        let ended = capture.finish().good().says("0 packets dropped");
        replay.finish().failed(1, &["the peer left"]);
        let got = read(&out);
        ended.says(&format!("{} packets written", got.len()));
        for round in got.chunks(1000) {
            assert_numbered(round, 0, round.len() as u64);
        }
    }
}

#[test]
fn a_signal_ends_a_replay_and_what_was_sent_arrives() {
    for ((ours, other), signal) in ROLES.into_iter().zip([Signal::SIGTERM, Signal::SIGINT]) {
        let place = Place::new();
        let (file, out) = (place.text("in.pcap"), place.text("out.pcap"));
        write_numbered(&file, 0, 100_000, &[64]);
        let capture = start_capture(&place, ours, &["--once", "-w", &out]);
        let replay = start_replay(&place, other, &["--pps", "1000", &file]);
        wait_until("packets in the file", || {
            std::fs::metadata(&out).is_ok_and(|m| m.len() > 24)
        });
        replay.signal(signal);
        let sent = replay.finish().good();
        capture.finish().good();
        let got = read(&out).len();
        assert!(got > 0 && got < 100_000, "{got}");
        sent.says(&format!("sent {got} packet"));
        assert_numbered(&read(&out), 0, got as u64);
    }
}

#[test]
fn a_stopped_replay_gives_its_peer_a_second() {
    let place = Place::new();
    let file = place.text("in.pcap");
    write_numbered(&file, 0, 100, &[64]);
    let context = Context::new("test").unwrap();
    let config = MemifConfig::new(place.socket()).role(Role::Master);
    let idle = context.create_interface(config).unwrap();
    let replay = start_replay(&place, "slave", &["--pps", "100", "--loop", "0", &file]);
    wait_until("packets on the ring", || {
        let details = idle.details().unwrap();
        details.rx_queues.first().is_some_and(|q| q.used > 0)
    });
    replay.signal(Signal::SIGINT);
    let start = Instant::now();
    replay.finish().good();
    assert!(start.elapsed() > Duration::from_millis(900));
}

#[test]
fn a_signal_ends_a_replay_that_waits() {
    for role in ["master", "slave"] {
        let place = Place::new();
        let file = place.text("in.pcap");
        write_numbered(&file, 0, 10, &[64]);
        let replay = start_replay(&place, role, &[&file]);
        replay.wait_said("waiting", 1);
        replay.signal(Signal::SIGINT);
        replay.finish().good();
    }
}

#[test]
fn whichever_side_starts_first_waits_for_the_other() {
    for (ours, other) in ROLES {
        let place = Place::new();
        let (file, out) = (place.text("in.pcap"), place.text("out.pcap"));
        write_numbered(&file, 0, 100, &[64]);
        let replay = start_replay(&place, other, &[&file]);
        replay.wait_said("waiting", 1);
        let capture = start_capture(&place, ours, &["--once", "-w", &out]);
        replay.finish().good();
        capture.finish().good();
        assert_numbered(&read(&out), 0, 100);
    }
}

#[test]
fn a_time_limit_for_the_link() {
    for role in ["master", "slave"] {
        let place = Place::new();
        let (socket, out) = (place.socket(), place.text("out.pcap"));
        run(&[
            "capture",
            "-s",
            &socket,
            "--role",
            role,
            "--timeout",
            "0.1",
            "-w",
            &out,
        ])
        .failed(1, &["0.1 s", &socket]);
        assert_eq!(read(&out).len(), 0);
    }
}

#[test]
fn a_replay_whose_peer_takes_nothing_says_so() {
    for (ours, other) in [(Role::Master, "slave"), (Role::Slave, "master")] {
        let place = Place::new();
        let (socket, file) = (place.socket(), place.text("in.pcap"));
        write_numbered(&file, 0, 100, &[64]);
        // A fresh one each time: an old one would have packets of its last link to read first.
        let idle_peer = || {
            let context = Context::new("test").unwrap();
            let config = MemifConfig::new(&socket).role(ours);
            let peer = context.create_interface(config).unwrap();
            (context, peer)
        };
        let replay = |linger: &str| {
            let mut args = vec!["replay", "-s", &socket, "--role", other, "--topspeed"];
            args.extend(["--timeout", "60", "--linger", linger, &file]);
            Process::start(&args)
        };

        let peer = idle_peer();
        replay("0.2")
            .finish()
            .says("sent 100 packets")
            .failed(1, &["within 0.2 s", "may be lost", &socket]);
        drop(peer);

        // It waits at the end of all; then the peer goes.
        let (_context, peer) = idle_peer();
        let replay = replay("60");
        replay.wait_said("connected to", 1);
        replay.wait_sleeping(200);
        peer.close();
        replay
            .finish()
            .says("sent 100 packets")
            .failed(1, &["the peer left before", &socket]);
    }
}

#[test]
fn what_was_to_be_ignored_stays_ignored() {
    let place = Place::new();
    let socket = place.socket();
    let line = "trap '' HUP; exec \"$0\" capture -s \"$1\" --role master";
    let mut command = Command::new("sh");
    let capture = Process::spawn(command.args(["-c", line, MEMIF, &socket]));
    capture.wait_said("waiting", 1);
    capture.signal(Signal::SIGHUP);
    // A peer comes and leaves after it.
    let file = place.text("in.pcap");
    write_numbered(&file, 0, 10, &[64]);
    start_replay(&place, "slave", &[&file]).finish().good();
    capture.wait_said("disconnected", 1);
    capture.signal(Signal::SIGTERM);
    capture.finish().good().says("10 packets received");
}

/// Nobody reads its standard error, which is full.
#[test]
fn notices_of_connections_keep_no_peer_waiting() {
    let place = Place::new();
    let (reader, mut writer) = std::io::pipe().unwrap();
    fcntl(&writer, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).unwrap();
    while writer.write(&[b'x'; 4096]).is_ok() {}
    fcntl(&writer, FcntlArg::F_SETFL(OFlag::empty())).unwrap();
    let mut command = memif(&["capture", "-s", &place.socket(), "--role", "master"]);
    command
        .arg("--count-only")
        .stdout(Stdio::null())
        .stderr(writer);
    let mut capture = command.spawn().unwrap();
    let context = Context::new("peer").unwrap();
    let up = (0..3).all(|_| {
        let slave = context
            .create_interface(MemifConfig::new(place.socket()))
            .unwrap();
        slave.wait_link_up(Some(Duration::from_secs(20))).is_ok()
    });
    capture.kill().unwrap();
    capture.wait().unwrap();
    drop(reader);
    assert!(up);
}

//! `memif replay` into `memif capture`: what is sent arrives, all of it, in order.

use std::io::Read;

use memif::pcap::CaptureReader;
use memif::{Context, LinkType, MemifConfig, PacketSource, Role};
use nix::sys::signal::Signal;

use crate::packets::{all, assert_numbered, assert_same, read, write_numbered};
use crate::process::{Ended, Place, Process, memif};

const MIXED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../testdata/mixed.pcap");
const IP: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../testdata/ip.pcap");

/// The role of the capturing side, and of the other.
pub(crate) const ROLES: [(&str, &str); 2] = [("master", "slave"), ("slave", "master")];

pub(crate) fn start_capture(place: &Place, role: &str, options: &[&str]) -> Process {
    let socket = place.socket();
    let mut args = vec!["capture", "-s", &socket, "--role", role];
    args.extend(options);
    Process::start(&args)
}

pub(crate) fn start_replay(place: &Place, role: &str, options: &[&str]) -> Process {
    let socket = place.socket();
    let mut args = vec!["replay", "-s", &socket, "--role", role];
    args.extend(["--timeout", "60", "--linger", "60"]);
    args.extend(options);
    Process::start(&args)
}

/// Replays into a capture that writes `out.pcap`, until both have ended well.
pub(crate) fn through(place: &Place, role: &str, capture: &[&str], replay: &[&str]) -> Ended {
    let other = ROLES.iter().find(|r| r.0 == role).unwrap().1;
    let out = place.text("out.pcap");
    let mut options = vec!["--once", "-w", &out];
    options.extend(capture);
    let capture = start_capture(place, role, &options);
    let sent = start_replay(place, other, replay).finish().good();
    let got = capture.finish().good().says("0 packets dropped");
    // Both count the same.
    let line = sent.said.lines().find(|l| l.contains("sent ")).unwrap();
    let packets = line.split_whitespace().nth(2).unwrap();
    got.says(&format!(" {packets} packets received"))
}

#[test]
fn a_hundred_thousand_packets_and_a_sender_that_leaves_at_once() {
    for (ours, _) in ROLES {
        let place = Place::new();
        let file = place.text("in.pcap");
        write_numbered(&file, 0, 100_000, &[64]);
        through(&place, ours, &[], &["--topspeed", &file])
            .says("100000 packets received, 6400000 bytes")
            .says("100000 packets written");
        assert_numbered(&read(place.path("out.pcap")), 0, 100_000);
    }
}

#[test]
fn a_slow_reader_gets_all_of_them() {
    for (ours, other) in ROLES {
        let place = Place::new();
        let (socket, file) = (place.socket(), place.text("in.pcap"));
        write_numbered(&file, 0, 100_000, &[64]);
        let (capture, mut pipe) = Process::with_stdout(&mut memif(&[
            "capture", "-s", &socket, "--role", ours, "--once", "-w", "-", "--buffer", "256k",
        ]));
        let replay = start_replay(&place, other, &["--topspeed", &file]);
        capture.wait_said("connected to", 1);
        // Far more than the pipe, the ring and the buffer between them hold: the sender must wait.
        replay.wait_sleeping(200);

        let mut got = vec![0; 1_000_000];
        pipe.read_exact(&mut got).unwrap();
        capture.halt();
        replay.wait_sleeping(200);
        capture.go_on();
        pipe.read_to_end(&mut got).unwrap();

        replay.finish().good().says("for a full ring");
        capture.finish().good().says("100000 packets written to -");
        assert_numbered(&all(CaptureReader::new(&got[..]).unwrap()), 0, 100_000);
    }
}

#[test]
fn packets_of_all_sizes() {
    let sizes = [64, 1514, 9000, 22, 2048, 2049, 4096, 65_000];
    // The slave's rings and buffers count, so both sides get them.
    for options in [
        &[][..],
        &["--ring-size", "11", "--buffer-size", "64"],
        &["--ring-size", "1", "--buffer-size", "65535"],
    ] {
        for (ours, _) in ROLES {
            let place = Place::new();
            let file = place.text("in.pcap");
            write_numbered(&file, 0, 800, &sizes);
            let mut replay = options.to_vec();
            replay.extend(["--topspeed", &file]);
            through(&place, ours, options, &replay);
            let got = read(place.path("out.pcap"));
            assert_numbered(&got, 0, 800);
            for (packet, size) in got.iter().zip(sizes.iter().cycle()) {
                assert_eq!(packet.len(), *size);
            }
        }
    }
}

#[test]
fn a_capture_with_its_own_timing() {
    let place = Place::new();
    through(&place, "master", &[], &[MIXED]);
    assert_same(&read(place.path("out.pcap")), &read(MIXED));
}

#[test]
fn ip_packets() {
    let place = Place::new();
    through(&place, "slave", &["--mode", "ip"], &["--mode", "ip", IP]);
    let reader = CaptureReader::open(place.path("out.pcap")).unwrap();
    assert_eq!(reader.link_type(), LinkType::RAW);
    assert_same(&all(reader), &read(IP));
}

#[test]
fn several_queues() {
    for (ours, _) in ROLES {
        let place = Place::new();
        let file = place.text("in.pcap");
        write_numbered(&file, 0, 5000, &[64]);
        let queues = ["--queues", "2"];
        let replay = ["--queues", "2", "--topspeed", &file];
        through(&place, ours, &queues, &replay);
        assert_numbered(&read(place.path("out.pcap")), 0, 5000);
    }
}

#[test]
fn receiving_in_all_modes() {
    for mode in ["interrupt", "polling", "adaptive"] {
        let place = Place::new();
        let file = place.text("in.pcap");
        write_numbered(&file, 0, 2000, &[64]);
        let replay = ["--topspeed", &file];
        through(&place, "master", &["--rx-mode", mode], &replay);
        assert_numbered(&read(place.path("out.pcap")), 0, 2000);
    }
}

#[test]
fn every_pace_sends_every_packet() {
    for pace in [
        &["--pps", "20000"][..],
        &["--mbps", "20"],
        &["--speed", "2.5"],
        &["--speed", "1000"],
        &[],
    ] {
        let place = Place::new();
        let file = place.text("in.pcap");
        write_numbered(&file, 0, 1000, &[64, 128]);
        let mut replay = pace.to_vec();
        replay.push(&file);
        through(&place, "master", &[], &replay).says("1000 packets written");
        assert_numbered(&read(place.path("out.pcap")), 0, 1000);
    }
}

#[test]
fn loops_and_several_files() {
    let place = Place::new();
    let (a, b) = (place.text("a.pcap"), place.text("b.pcap"));
    write_numbered(&a, 0, 100, &[64]);
    write_numbered(&b, 100, 150, &[64]);
    through(&place, "master", &[], &["--loop", "3", &a, &b]).says("450 packets written");
    let got = read(place.path("out.pcap"));
    assert_eq!(got.len(), 450);
    for round in got.chunks(150) {
        assert_numbered(round, 0, 150);
    }
}

#[test]
fn a_capture_without_packets() {
    let place = Place::new();
    let file = place.text("in.pcap");
    write_numbered(&file, 0, 0, &[64]);
    // Looping over nothing for ever would be a hang.
    through(&place, "master", &[], &["--loop", "0", &file]).says("0 packets written");
    assert_eq!(read(place.path("out.pcap")).len(), 0);
}

#[test]
fn packets_that_were_cut_are_sent_as_they_are() {
    let place = Place::new();
    let file = place.text("in.pcap");
    write_numbered(&file, 0, 100, &[1514]);
    through(&place, "master", &["--snaplen", "100"], &[&file])
        .says("100 packets cut to the snap length of 100");
    let cut = read(place.path("out.pcap"));
    assert!(
        cut.iter()
            .all(|p| p.len() == 100 && p.info().length == 1514)
    );

    for options in [&[][..], &["--preload"]] {
        let again = Place::new();
        let out = place.text("out.pcap");
        let capture = start_capture(&again, "slave", &["--once", "-w", &again.text("out.pcap")]);
        let sent = start_replay(&again, "master", &[options, &[&out]].concat());
        sent.finish().good().says("100 packets sent short");
        capture.finish().good();
        assert_same(&read(again.path("out.pcap")), &cut);
    }
}

/// The second file is from a thousand seconds later, as are loops over both from before.
#[test]
fn time_between_files_is_not_waited_for() {
    let place = Place::new();
    let [first, second] = [0, 1_000_000_000].map(|from| {
        let file = place.text(&format!("{from}.pcap"));
        write_numbered(&file, from, from + 100, &[64]);
        file
    });
    let capture = start_capture(&place, "master", &["--once", "--count-only"]);
    let options = ["--loop", "2", &first, &second];
    start_replay(&place, "slave", &options)
        .finish()
        .good()
        .says("sent 400 packets");
    capture.finish().good().says("400 packets received");
}

#[test]
fn what_keeps_a_replay_from_going_on_is_told() {
    let place = Place::new();
    let (socket, file) = (place.socket(), place.text("in.pcap"));
    write_numbered(&file, 0, 20, &[64, 64, 64, 200]);
    let context = Context::new("does not read").unwrap();
    let config = MemifConfig::new(&socket).role(Role::Master);
    let master = context.create_interface(config).unwrap();
    let options = ["--topspeed", "--ring-size", "1", &file];
    let replay = start_replay(&place, "slave", &options);
    replay.wait_said("the ring is full, and the peer does not read", 1);
    replay.signal(Signal::SIGTERM);
    replay.finish().good();

    let small = [&["-q", "--buffer-size", "64"], &options[..]].concat();
    drop(master);
    let capture = start_capture(&place, "master", &["-w", "/dev/null"]);
    let replay = start_replay(&place, "slave", &small).finish();
    replay.failed(
        1,
        &["packet 4: a packet of 200 bytes does not fit: the transmit ring has 2"],
    );
    drop(capture);
}

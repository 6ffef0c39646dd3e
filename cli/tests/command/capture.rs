//! `memif capture`: lines, files, pipes, counts.

use std::io::Read;
use std::process::Stdio;

use memif::pcap::CaptureReader;
use memif::{Context, MemifConfig, PacketSource};
use nix::sys::signal::Signal;

use crate::packets::{all, assert_numbered, assert_same, numbered, read, write_numbered};
use crate::process::{PATIENCE, Place, Process, memif, wait_until};
use crate::replay::{ROLES, start_capture, start_replay};

const MIXED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../testdata/mixed.pcap");

#[test]
fn lines_as_tcpdump_prints_them() {
    let place = Place::new();
    let capture = start_capture(&place, "master", &["--once"]);
    start_replay(&place, "slave", &["--topspeed", MIXED])
        .finish()
        .good();
    let ended = capture.finish().good();
    let count = read(MIXED).len();
    // Without what is shown in hex.
    let lines = ended.lines();
    let lines: Vec<_> = lines.iter().filter(|l| !l.starts_with('\t')).collect();
    assert_eq!(lines.len(), count, "{lines:#?}");
    assert!(lines.iter().any(|l| l.contains("ARP, Request who-has")));
    assert!(lines.iter().any(|l| l.contains(" IP ")));
    ended.says(&format!("{count} packets printed"));
}

#[test]
fn a_count_ends_it_and_leaves_the_rest_to_the_peer() {
    for (ours, other) in ROLES {
        // Once with all that come, once with some of them.
        for (count, available) in [("300", 300), ("300", 10_000), ("1", 10_000)] {
            let place = Place::new();
            let (file, out) = (place.text("in.pcap"), place.text("out.pcap"));
            write_numbered(&file, 0, available, &[64]);
            let capture = start_capture(&place, ours, &["-c", count, "-w", &out]);
            let replay = start_replay(&place, other, &["--topspeed", &file]);
            let said = format!("{count} packet");
            capture
                .finish()
                .good()
                .says(&said)
                .says("0 packets dropped");
            assert_numbered(&read(&out), 0, count.parse().unwrap());
            let sent = replay.finish();
            if available.to_string() == count {
                sent.good();
            } else {
                // What is still on the ring counts as sent, but nobody has taken it.
                assert_eq!(sent.code, Some(1), "{}", sent.said);
                sent.says("the peer left");
            }
        }
    }
}

#[test]
fn a_count_of_several_queues_together() {
    let place = Place::new();
    let (file, out) = (place.text("in.pcap"), place.text("out.pcap"));
    write_numbered(&file, 0, 2000, &[64]);
    let options = ["--queues", "3", "-c", "1000", "-w", &out];
    let capture = start_capture(&place, "master", &options);
    let replay = start_replay(&place, "slave", &["--queues", "3", "--topspeed", &file]);
    capture.finish().good().says("1000 packets written");
    assert_numbered(&read(&out), 0, 1000);
    replay.finish();
}

/// A pcapng file that is read along would grow by a block for each peer otherwise.
#[test]
fn a_peer_that_comes_again_is_described_once() {
    let place = Place::new();
    let (file, out) = (place.text("in.pcap"), place.text("out.pcapng"));
    write_numbered(&file, 0, 10, &[64]);
    let capture = start_capture(&place, "master", &["-w", &out]);
    for _ in 0..3 {
        start_replay(&place, "slave", &["--topspeed", &file])
            .finish()
            .good();
    }
    capture.signal(Signal::SIGINT);
    capture.finish().good();
    let mut reader = CaptureReader::open(&out).unwrap();
    let packets = std::iter::from_fn(|| reader.read_packet().ok().map(|_| ())).count();
    assert_eq!((packets, reader.interfaces().len()), (30, 1));
}

#[test]
fn a_master_captures_every_queue_that_a_slave_brings() {
    let place = Place::new();
    let (file, out) = (place.text("in.pcap"), place.text("out.pcapng"));
    write_numbered(&file, 0, 300, &[64]);
    let capture = start_capture(&place, "master", &["-c", "1300", "-w", &out]);
    // Each brings one more than the one before, and sends on that first.
    for queues in 1..=4 {
        let context = Context::new("peer").unwrap();
        let slave = MemifConfig::new(place.socket()).queues(1, queues);
        let slave = context.create_interface(slave).unwrap();
        slave.wait_link_up(None).unwrap();
        for queue in (0..queues).rev() {
            let mut handle = slave.packet_handle(queue).unwrap();
            for n in 0..100 {
                handle.write_packet_timeout(&[n; 64], None).unwrap();
            }
        }
        slave.close();
    }
    let options = ["--queues", "4", "--topspeed", "--limit", "300", &file];
    start_replay(&place, "slave", &options).finish().good();
    capture.finish().good().says("1300 packets written");
    let mut seen = [0; 4];
    let mut file = CaptureReader::open(&out).unwrap();
    while let Ok(packet) = file.read_packet() {
        let interface = packet.info().interface_index as usize;
        let name = &file.interfaces()[interface].name;
        let queue = name.split_once('/').map_or("0", |(_, queue)| queue);
        seen[queue.parse::<usize>().unwrap()] += 1;
    }
    assert!(
        seen.iter().all(|n| *n >= 100) && seen.iter().sum::<i32>() == 1300,
        "{seen:?}"
    );
}

#[test]
fn a_snap_length_cuts_and_is_told() {
    let place = Place::new();
    let (file, out) = (place.text("in.pcap"), place.text("out.pcap"));
    write_numbered(&file, 0, 300, &[64, 65, 9000]);
    let capture = start_capture(&place, "slave", &["--once", "--snaplen", "64", "-w", &out]);
    start_replay(&place, "master", &["--topspeed", &file])
        .finish()
        .good();
    capture
        .finish()
        .good()
        .says("200 packets cut to the snap length of 64")
        .says("912900 bytes");
    let got = read(&out);
    for (packet, length) in got.iter().zip([64, 65, 9000].iter().cycle()) {
        assert_eq!((packet.len(), packet.info().length), (64, *length));
    }
    assert_numbered(&got, 0, 300);
}

#[test]
fn standard_output_takes_a_capture() {
    let place = Place::new();
    let capture = start_capture(&place, "master", &["--once", "-w", "-"]);
    start_replay(&place, "slave", &[MIXED]).finish().good();
    let ended = capture.finish().good();
    let got = all(CaptureReader::new(&ended.output[..]).unwrap());
    assert_same(&got, &read(MIXED));
    ended.says("packets written to -");
}

#[test]
fn a_reader_of_the_pipe_sees_packets_at_once() {
    let place = Place::new();
    let (socket, file) = (place.socket(), place.text("in.pcap"));
    write_numbered(&file, 0, 1, &[64]);
    let (capture, mut pipe) = Process::with_stdout(&mut memif(&[
        "capture", "-s", &socket, "--role", "master", "--pcap", "-w", "-",
    ]));
    // The header before any peer is there, each packet while the capture goes on.
    let mut header = [0; 24];
    pipe.read_exact(&mut header).unwrap();
    for _ in 0..3 {
        start_replay(&place, "slave", &[&file]).finish().good();
        let mut record = [0; 16 + 64];
        pipe.read_exact(&mut record).unwrap();
    }
    capture.signal(nix::sys::signal::Signal::SIGTERM);
    capture.finish().good();
}

#[test]
fn it_ends_quietly_when_nobody_reads_on() {
    for write in [&["-w", "-"][..], &[]] {
        let place = Place::new();
        let (socket, file) = (place.socket(), place.text("in.pcap"));
        write_numbered(&file, 0, 1000, &[64]);
        let mut args = vec!["capture", "-s", &socket, "--role", "master"];
        args.extend(write);
        let (capture, mut pipe) = Process::with_stdout(&mut memif(&args));
        let replay = start_replay(&place, "slave", &["--loop", "0", "--topspeed", &file]);
        pipe.read_exact(&mut [0; 5000]).unwrap();
        drop(pipe);
        let ended = capture.finish().good();
        assert!(
            !ended.said.to_lowercase().contains("broken"),
            "{}",
            ended.said
        );
        replay.finish().failed(1, &["the peer left", &socket]);
    }
}

/// As soon as nothing more comes, and while the link stays.
#[test]
fn a_file_has_what_has_come() {
    let place = Place::new();
    let out = place.text("out.pcap");
    let capture = start_capture(&place, "master", &["-w", &out]);
    let context = Context::new("peer").unwrap();
    let slave = context
        .create_interface(MemifConfig::new(place.socket()))
        .unwrap();
    slave.wait_link_up(Some(PATIENCE)).unwrap();
    let mut handle = slave.packet_handle(0).unwrap();
    for n in 0..3 {
        handle.write_packet(&numbered(n, 64)).unwrap();
        wait_until("the packet in the file", || {
            read(&out).len() as u64 == n + 1
        });
    }
    drop((handle, slave, capture));
}

#[test]
fn quiet_says_nothing_of_peers() {
    let place = Place::new();
    let capture = start_capture(&place, "master", &["--once", "-q"]);
    let sent = start_replay(&place, "slave", &["-q", "--topspeed", MIXED]);
    let (sent, got) = (sent.finish().good(), capture.finish().good());
    for ended in [sent, got] {
        assert!(!ended.said.contains("connect"), "{}", ended.said);
    }
}

#[test]
fn a_second_capture_of_the_same_socket_finds_the_peer_taken() {
    let place = Place::new();
    let (socket, file) = (place.socket(), place.text("in.pcap"));
    write_numbered(&file, 0, 10, &[64]);
    let first = start_capture(&place, "slave", &["--once"]);
    let replay = start_replay(&place, "master", &["--loop", "0", "--pps", "100", &file]);
    first.wait_said("connected to", 1);
    // It may become free, so the second waits.
    let second = memif(&["capture", "-s", &socket, "--timeout", "0.5"])
        .stdout(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert_eq!(second.status.code(), Some(1), "{said}");
    assert!(said.contains(&socket), "{said}");
    replay.signal(nix::sys::signal::Signal::SIGINT);
    replay.finish().good();
    first.finish().good();
}

#[test]
fn a_log_and_notices_say_nothing_twice() {
    let place = Place::new();
    let capture = start_capture(&place, "master", &["--once", "-vvv", "--count-only"]);
    start_replay(&place, "slave", &[MIXED]).finish().good();
    let said = capture.finish().good().said;
    for words in [": connected to", ": disconnected"] {
        assert_eq!(said.matches(words).count(), 1, "{said}");
    }
}

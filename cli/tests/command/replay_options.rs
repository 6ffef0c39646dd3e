//! What `memif replay` does with its packets, as tcpreplay's users expect.

use std::fs::File;

use memif::pcap::{CaptureReader, PcapWriter};
use memif::{CaptureInfo, LinkType, Packet, PacketSink, Timestamp};

use crate::packets::{all, assert_numbered, assert_same, number, numbered, read, write_numbered};
use crate::process::{Place, Process, memif, run};
use crate::replay::{start_capture, start_replay, through};

const MIXED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../testdata/mixed.pcap");

#[test]
fn a_limit_ends_it_in_the_middle() {
    for options in [&[][..], &["--preload"], &["--queues", "2"]] {
        let place = Place::new();
        let file = place.text("in.pcap");
        write_numbered(&file, 0, 100, &[64]);
        let replay = [
            &["--topspeed", "--loop", "0", "--limit", "250", &file][..],
            options,
        ]
        .concat();
        let capture = if options.len() == 2 { options } else { &[] };
        through(&place, "master", capture, &replay).says("250 packets written");
        let got = read(place.path("out.pcap"));
        assert_numbered(&got[..100], 0, 100);
        assert_numbered(&got[200..], 0, 50);
    }
}

#[test]
fn files_are_merged_by_their_times() {
    for preload in [false, true] {
        let place = Place::new();
        let paths = ["a.pcap", "b.pcap.gz", "c.pcapng"].map(|name| place.text(name));
        // Every third number, and so every third time, in each of them.
        for (at, path) in paths.iter().enumerate() {
            let plain = place.text("plain.pcap");
            let mut writer = PcapWriter::create(&plain, LinkType::ETHERNET, None).unwrap();
            for n in (at as u64..3000).step_by(3) {
                let data = numbered(n, 64);
                let time = Timestamp::from_nanos(1_700_000_000_000_000_000 + n * 1000);
                let info = CaptureInfo::whole(64, time);
                writer.write_packet(&Packet::new(&data, info)).unwrap();
            }
            writer.close().unwrap();
            run(&["capture", "-r", &plain, "-w", path]).good();
        }
        let mut replay = vec!["--merge"];
        if preload {
            replay.push("--preload");
        }
        replay.extend(paths.iter().map(String::as_str));
        through(&place, "master", &[], &replay).says("3000 packets written");
        assert_numbered(&read(place.path("out.pcap")), 0, 3000);
    }
}

#[test]
fn a_file_may_come_from_standard_input() {
    let place = Place::new();
    let (socket, out) = (place.socket(), place.text("out.pcap"));
    let capture = start_capture(&place, "master", &["--once", "-w", &out]);
    let mut command = memif(&["replay", "-s", &socket, "--topspeed", "-"]);
    Process::spawn(command.stdin(File::open(MIXED).unwrap()))
        .finish()
        .good();
    capture.finish().good();
    assert_same(&read(&out), &read(MIXED));
    let ended = run(&["replay", "-s", &socket, "--loop", "2", "-"]);
    ended.failed(2, &["--preload"]);
}

#[test]
fn addresses_differ_from_loop_to_loop() {
    let place = Place::new();
    let replay = ["--topspeed", "--loop", "3", "--unique-ip", MIXED];
    through(&place, "master", &[], &replay).good();
    let (got, sent) = (read(place.path("out.pcap")), read(MIXED));
    let rounds: Vec<_> = got.chunks(sent.len()).collect();
    assert_same(rounds[0], &sent);
    let mut changed = 0;
    for (round, packets) in rounds.iter().enumerate().skip(1) {
        for (packet, sent) in packets.iter().zip(&sent) {
            if sent[12..14] == [8, 0] {
                let address = |packet: &[u8], at: usize| {
                    u32::from_be_bytes(packet[at..at + 4].try_into().unwrap())
                };
                let round = round as u32;
                assert_eq!(address(packet, 26), address(sent, 26) + round);
                assert_eq!(address(packet, 30), address(sent, 30) - round);
                changed += 1;
            }
        }
    }
    assert!(changed > 50, "{changed}");
}

#[test]
fn hardware_addresses_are_replaced() {
    let place = Place::new();
    let replay = [
        "--topspeed",
        "--rewrite-mac",
        "dst=0a:0b:0c:0d:0e:0f",
        MIXED,
    ];
    through(&place, "master", &[], &replay).good();
    for (packet, sent) in read(place.path("out.pcap")).iter().zip(&read(MIXED)) {
        assert_eq!(packet[..6], [10, 11, 12, 13, 14, 15]);
        assert_eq!(packet[6..], sent[6..]);
    }
    run(&["replay", "-s", "x", "--rewrite-mac", "dst=nobody", MIXED]).refused("nobody");
}

#[test]
fn flows_are_spread_over_the_queues_and_stay_in_order() {
    let place = Place::new();
    let file = place.text("in.pcap");
    let mut writer = PcapWriter::create(&file, LinkType::ETHERNET, None).unwrap();
    for n in 0..4000_u64 {
        let flow = (n % 40) as u16;
        let mut packet = Vec::new();
        etherparse::PacketBuilder::ethernet2([2; 6], [4; 6])
            .ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64)
            .udp(5000 + flow, 9)
            .write(&mut packet, &n.to_be_bytes())
            .unwrap();
        let info = CaptureInfo::whole(packet.len(), Timestamp::from_nanos(n));
        writer.write_packet(&Packet::new(&packet, info)).unwrap();
    }
    writer.close().unwrap();
    let queues = ["--queues", "4", "--pcapng"];
    through(
        &place,
        "master",
        &queues,
        &["--queues", "4", "--topspeed", &file],
    )
    .good();
    let got = all(CaptureReader::open(place.path("out.pcap")).unwrap());
    assert_eq!(got.len(), 4000);
    let mut last = [None; 40];
    let mut used = [0; 4];
    let mut of_flow = [None; 40];
    for packet in &got {
        let n = u64::from_be_bytes(packet[42..50].try_into().unwrap());
        let flow = (n % 40) as usize;
        assert!(last[flow] < Some(n), "a flow out of order");
        last[flow] = Some(n);
        let queue = packet.info().interface_index;
        used[queue as usize] += 1;
        assert_eq!(*of_flow[flow].get_or_insert(queue), queue);
    }
    assert!(used.iter().all(|packets| *packets > 0), "{used:?}");
}

#[test]
fn statistics_are_in_tcpreplays_terms() {
    let place = Place::new();
    let file = place.text("in.pcap");
    write_numbered(&file, 0, 100, &[64]);
    let capture = start_capture(&place, "master", &["--once", "--count-only"]);
    start_replay(&place, "slave", &["--topspeed", &file])
        .finish()
        .good()
        .says("sent 100 packets, 6400 bytes")
        .says("rated: ")
        .says(" Mbps, ")
        .says("successful packets: 100, truncated: 0, retried (ring full): ");
    assert_eq!(capture.finish().good().lines(), ["100"]);
}

#[test]
fn a_peer_that_leaves_between_two_packets_is_noticed_at_once() {
    for (ours, other) in crate::replay::ROLES {
        let place = Place::new();
        let file = place.text("in.pcap");
        // Ten seconds apart: the test would take a minute and more if it waited for the next.
        write_numbered(&file, 0, 10, &[64]);
        let capture = start_capture(&place, ours, &["-c", "1", "-w", &place.text("out.pcap")]);
        let replay = start_replay(&place, other, &["--pps", "0.01", &file]);
        capture.finish().good();
        replay.finish().failed(1, &["the peer left after 1 packet"]);
        assert_eq!(number(&read(place.path("out.pcap"))[0]), 0);
    }
}

#[test]
fn a_peer_that_comes_back_does_not_get_the_rest() {
    let place = Place::new();
    let file = place.text("in.pcap");
    write_numbered(&file, 0, 10, &[64]);
    let first = start_capture(&place, "master", &["-c", "1", "-w", &place.text("a.pcap")]);
    let replay = start_replay(&place, "slave", &["--pps", "0.02", &file]);
    first.finish().good();
    let _second = start_capture(&place, "master", &["-w", &place.text("b.pcap")]);
    replay.finish().failed(1, &["the peer left after 1 packet"]);
}

#[test]
fn a_secret_from_a_file() {
    let place = Place::new();
    let (secret, wrong) = (place.text("secret"), place.text("wrong"));
    std::fs::write(&secret, "abra\n").unwrap();
    std::fs::write(&wrong, "kadabra\n").unwrap();
    let file = place.text("in.pcap");
    write_numbered(&file, 0, 3, &[64]);
    let options = ["--secret-file", secret.as_str()];
    through(
        &place,
        "master",
        &options,
        &[&options[..], &[&file]].concat(),
    )
    .good();

    let other = Place::new();
    let capture = start_capture(&other, "master", &options);
    start_replay(&other, "slave", &["--secret-file", &wrong, &file])
        .finish()
        .failed(1, &["secret"]);
    capture.signal(nix::sys::signal::Signal::SIGINT);
    capture.finish();
    run(&["capture", "-s", "x", "--secret-file", "missing"])
        .failed(1, &["missing", "No such file"]);
}

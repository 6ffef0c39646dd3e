//! What users of tcpdump and tcpreplay type.

use std::fs;

use memif::pcap::PcapWriter;
use memif::{CaptureInfo, LinkType, Packet, PacketSink, Timestamp};

use crate::packets::write_numbered;
use crate::process::{Place, Process, has_filters, memif, run};
use crate::replay::{start_capture, start_replay};

const MIXED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../testdata/mixed.pcap");
const IP: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../testdata/ip.pcap");

#[test]
fn tcpreplays_short_options() {
    let place = Place::new();
    let file = place.text("in.pcap");
    write_numbered(&file, 0, 20, &[64]);
    for options in [
        &["-t", "-l", "3"][..],
        &["-p", "10000", "-l", "3"],
        &["-M", "100", "-l", "3"],
        &["-x", "2", "-l", "3"],
        &["--multiplier", "2", "-l", "3"],
    ] {
        let capture = start_capture(&place, "master", &["--once", "--count-only"]);
        let sent = start_replay(&place, "slave", &[options, &[&file]].concat());
        sent.finish().good().says("sent 60 packets");
        capture.finish().good();
    }
}

#[test]
fn a_replay_ends_after_its_time_and_tells_how_far_it_is() {
    let place = Place::new();
    let file = place.text("in.pcap");
    write_numbered(&file, 0, 20, &[64]);
    let _capture = start_capture(&place, "master", &["--count-only"]);
    let options = [
        "-l",
        "0",
        "-p",
        "1000",
        "--duration",
        "1",
        "--stats",
        "0.2",
        &file,
    ];
    let ended = start_replay(&place, "slave", &options).finish().good();
    assert!(
        ended.said.matches("memif: sent ").count() >= 3,
        "{}",
        ended.said
    );
}

#[test]
fn packets_have_numbers_and_characters() {
    if !has_filters() {
        return;
    }
    let ended = run(&["capture", "-r", MIXED, "--number", "-c", "3"]).good();
    let lines = ended.lines();
    for (number, line) in (1..).zip(lines.iter().filter(|line| !line.starts_with('\t'))) {
        assert!(line.starts_with(&format!("{number:>5}  ")), "{line}");
    }
    let ended = run(&["capture", "-r", MIXED, "-A", "udp", "port", "53"]).good();
    assert!(
        ended.lines().iter().any(|line| line.contains("example")),
        "{:?}",
        ended.lines()
    );
}

#[test]
fn filters_and_names_of_files_come_from_files() {
    if !has_filters() {
        return;
    }
    let place = Place::new();
    let (filter, list) = (place.text("filter"), place.text("list"));
    fs::write(&filter, "udp\nport 53\n").unwrap();
    fs::write(&list, format!("{MIXED}\n{MIXED}\n")).unwrap();
    let ended = run(&["capture", "-r", MIXED, "--count-only", "-F", &filter]).good();
    assert_eq!(ended.lines(), ["2"]);
    let ended = run(&["capture", "-V", &list, "--count-only"]).good();
    assert_eq!(ended.lines(), ["196"]);
    fs::write(&list, format!("{MIXED}\n{IP}\n")).unwrap();
    run(&["capture", "-V", &list, "--count-only"]).failed(1, &["ip.pcap holds raw IP"]);
}

#[test]
fn a_file_without_r_is_understood() {
    run(&["capture", "-s", "x", MIXED]).refused(&format!("use -r {MIXED}"));
}

/// As tcpdump writes them on the interface `any`.
fn cooked(path: &str, link_type: u32) {
    let mut writer = PcapWriter::create(path, LinkType::from(link_type), None).unwrap();
    let udp = [
        0x45, 0, 0, 32, 0, 1, 0, 0, 64, 17, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2, 4, 0x57, 8, 0xae, 0,
        12, 0, 0, 1, 2, 3, 4,
    ];
    for kind in [[0x08, 0x00], [0x88, 0xcc]] {
        let mut packet = vec![0; if link_type == 113 { 16 } else { 20 }];
        let at = if link_type == 113 { 14 } else { 0 };
        packet[at..at + 2].copy_from_slice(&kind);
        packet.extend(udp);
        let info = CaptureInfo::whole(packet.len(), Timestamp::from_nanos(1));
        writer.write_packet(&Packet::new(&packet, info)).unwrap();
    }
    writer.close().unwrap();
}

#[test]
fn cooked_captures_are_printed_and_their_ip_is_replayed() {
    for link_type in [113, 276] {
        let place = Place::new();
        let file = place.text("cooked.pcap");
        cooked(&file, link_type);
        let ended = run(&["capture", "-r", &file]).good();
        let udp = "IP 192.0.2.1.1111 > 192.0.2.2.2222: UDP, length 4";
        let lines = ended.lines();
        assert!(
            lines[0].ends_with(udp) && lines[1].ends_with(" LLDP, length 32"),
            "{lines:?}"
        );
        let capture = start_capture(&place, "master", &["--once", "--mode", "ip"]);
        let sent = start_replay(&place, "slave", &["--mode", "ip", &file])
            .finish()
            .good();
        sent.says("sent 1 packet,").says("1 empty packet not sent");
        let ended = capture.finish().good();
        assert!(ended.lines()[0].ends_with(udp), "{:?}", ended.lines());
    }
}

#[test]
fn pages_have_what_manuals_have() {
    let place = Place::new();
    run(&["man", "--write-to", &place.text("")]).good();
    for page in ["memif.1", "memif-capture.1", "memif-bench.1"] {
        let text = fs::read_to_string(place.path(page)).unwrap();
        for section in ["EXIT STATUS", "ENVIRONMENT", "EXAMPLES"] {
            assert!(text.contains(section), "{page}: {section}");
        }
    }
    let mut man = memif(&["man", "capture"]);
    let text = String::from_utf8(Process::spawn(&mut man).finish().good().output).unwrap();
    assert!(text.contains("EXAMPLES"));
}

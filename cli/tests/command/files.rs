//! Captures that can't be replayed, or not whole.

use std::fs;

use memif::pcap::{CaptureReader, InterfaceInfo, PcapNgWriter};
use memif::{Direction, LinkType, Packet, PacketSource, Timestamp};

use crate::packets::{assert_numbered, read, write_numbered};
use crate::process::{Place, Process, memif, run};
use crate::replay::{start_capture, start_replay};

const MIXED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../testdata/mixed.pcap");
const IP: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../testdata/ip.pcap");

/// Fails before a socket is looked at: there is none, and it would wait for it.
#[track_caller]
fn refused(place: &Place, args: &[&str], words: &[&str]) {
    let socket = place.socket();
    let ended = run(&[&["replay", "-s", &socket, "--timeout", "0"], args].concat());
    let ended = ended.failed(1, words);
    assert_eq!(ended.said.lines().count(), 1, "{}", ended.said);
}

#[test]
fn no_captures() {
    let place = Place::new();
    let file = |name: &str, content: &[u8]| {
        fs::write(place.path(name), content).unwrap();
        place.text(name)
    };
    let text = file(
        "notes.txt",
        b"these are no packets, but words and words and words",
    );
    let empty = file("empty.pcap", b"");
    let short = file("short.pcap", &fs::read(MIXED).unwrap()[..10]);
    refused(&place, &[&text], &[&text]);
    refused(&place, &[&empty], &[&empty]);
    refused(&place, &[&short], &[&short]);
    // A good one before it changes nothing: it is known before anything is sent.
    refused(&place, &[MIXED, &text], &[&text]);
    let missing = place.text("missing.pcap");
    refused(&place, &[&missing], &[&missing, "No such file"]);
    let folder = place.text("");
    refused(&place, &[&folder], &[&folder]);
}

/// Also with others, which come later.
#[test]
fn a_copy_has_the_directions_of_its_packets() {
    const DIRECTIONS: [Direction; 3] =
        [Direction::Outbound, Direction::Unknown, Direction::Inbound];
    let place = Place::new();
    let (file, out) = (place.text("x.pcapng"), place.text("out.pcapng"));
    let interface = InterfaceInfo::new("x", LinkType::ETHERNET);
    let mut writer = PcapNgWriter::create(&file, &[interface]).unwrap();
    for (number, direction) in DIRECTIONS.into_iter().enumerate() {
        let time = Timestamp::from_nanos(number as u64);
        let packet = Packet::whole(b"a packet", time);
        writer.write_packet_on(0, direction, &packet).unwrap();
    }
    writer.close().unwrap();
    let directions = |file: &str| {
        let mut reader = CaptureReader::open(file).unwrap();
        let mut all = Vec::new();
        while let Ok(packet) = reader.read_packet() {
            all.push(packet.info().direction);
        }
        all
    };
    for more in [&[][..], &["-U"], &["-r", MIXED, "-c", "3"]] {
        run(&[&["capture", "-r", &file, "-w", &out], more].concat()).good();
        assert_eq!(directions(&out), DIRECTIONS, "{more:?}");
    }
    run(&["capture", "-r", MIXED, "-w", &out]).good();
    let unknown = directions(&out);
    assert!(unknown.len() > 9 && unknown.iter().all(|d| *d == Direction::Unknown));
}

/// By another thread, where there is more than one CPU.
#[test]
fn a_file_is_written_as_far_as_it_is_wanted_and_whole() {
    const PACKETS: u64 = 5000;
    let place = Place::new();
    let (file, cut) = (place.text("x.pcap"), place.text("cut.pcap"));
    let out = place.text("out.pcapng");
    write_numbered(&file, 0, PACKETS, &[64, 1500]);
    let whole = fs::read(&file).unwrap();
    fs::write(&cut, &whole[..whole.len() - 1]).unwrap();

    let ended = run(&["capture", "-r", &file, "-w", &out]).good();
    assert_numbered(&read(&out), 0, PACKETS);
    assert!(!ended.said.contains("ring"), "{}", ended.said);

    let ended = run(&["capture", "-r", &file, "-c", "4321", "-w", &out]).good();
    assert_numbered(&read(&out), 0, 4321);
    assert!(
        ended.said.contains("4321 packets received"),
        "{}",
        ended.said
    );
    assert!(!ended.said.contains("discarded"), "{}", ended.said);

    // What comes before the damage is written.
    run(&["capture", "-r", &cut, "-w", &out]).failed(1, &[&cut, "truncated"]);
    assert_numbered(&read(&out), 0, PACKETS - 1);
}

#[test]
fn a_capture_is_not_written_over_while_it_is_read() {
    let place = Place::new();
    let (file, link) = (place.text("x.pcap"), place.text("link.pcap"));
    write_numbered(&file, 0, 10, &[64]);
    fs::hard_link(&file, &link).unwrap();
    for other in [&file, &link] {
        run(&["capture", "-r", &file, "-w", other]).failed(2, &[other, "another name"]);
    }
    let piped = Process::spawn(
        memif(&["capture", "-r", "-", "-w", &file]).stdin(fs::File::open(&file).unwrap()),
    );
    piped.finish().failed(2, &[&file, "another name"]);
    assert_numbered(&read(&file), 0, 10);
    // Neither is a pipe the same as another, nor a file that is not there.
    let other = place.text("other.pcap");
    run(&["capture", "-r", &file, "-w", &other]).good();
    assert_numbered(&read(&other), 0, 10);
}

#[test]
fn another_link_type() {
    let place = Place::new();
    refused(&place, &[IP], &[IP, "ethernet", "--mode"]);
    refused(&place, &["--mode", "ip", MIXED], &[MIXED, "ip", "--mode"]);
}

#[test]
fn damaged_captures_are_sent_up_to_the_damage() {
    let place = Place::new();
    let whole = place.path("whole.pcap");
    write_numbered(&whole, 0, 100, &[64]);
    let bytes = fs::read(&whole).unwrap();
    let cut = bytes[..24 + 50 * 80 + 30].to_vec();
    let mut bent = bytes;
    bent[24 + 50 * 80 + 8..][..4].copy_from_slice(&[0xff; 4]);
    for (name, content) in [("cut.pcap", cut), ("bent.pcap", bent)] {
        let (file, out) = (place.text(name), place.text("out.pcap"));
        fs::write(&file, content).unwrap();
        let capture = start_capture(&place, "master", &["--once", "-w", &out]);
        start_replay(&place, "slave", &["--topspeed", &file])
            .finish()
            .says("sent 50 packets")
            .failed(1, &[&file, "at byte 4024"]);
        capture.finish().good().says("50 packets received");
        assert_numbered(&read(&out), 0, 50);
    }
}

#[test]
fn a_packet_that_the_ring_has_no_room_for() {
    let place = Place::new();
    let (file, out) = (place.text("in.pcap"), place.text("out.pcap"));
    write_numbered(&file, 0, 4, &[64, 64, 9000, 64]);
    let capture = start_capture(&place, "master", &["--once", "-w", &out]);
    let small = ["--ring-size", "2", "--buffer-size", "64"];
    start_replay(
        &place,
        "slave",
        &[&small[..], &["--topspeed", &file]].concat(),
    )
    .finish()
    .says("sent 2 packets")
    .failed(1, &["packet 3", "9000 bytes", "--ring-size"]);
    capture.finish().good();
    assert_numbered(&read(&out), 0, 2);
}

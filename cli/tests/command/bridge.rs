//! `memif bridge` between a capture and a replay.

use memif::{Context, MemifConfig};

use crate::packets::{assert_numbered, numbered, read, write_numbered};
use crate::process::{PATIENCE, Place, Process};

#[test]
fn what_is_recorded_last_is_passed_on_too() {
    let place = Place::new();
    let (left, right) = (place.text("left.sock"), place.text("right.sock"));
    let ends = [&left, &right].map(|s| format!("memif:{s},role=master"));
    let (sent, record, got) = (
        place.text("sent.pcap"),
        place.text("record.pcap"),
        place.text("got.pcap"),
    );
    write_numbered(&sent, 0, 60, &[64]);
    let bridge = [
        "bridge",
        &ends[0],
        &ends[1],
        "-w",
        &record,
        "-a",
        "packets:10",
    ];
    let bridge = Process::start(&bridge);
    bridge.wait_said("no slave has connected", 1);
    let capture = Process::start(&["capture", "-s", &right, "-w", &got, "--once"]);
    capture.wait_said("connected to", 1);
    let replay = Process::start(&["replay", "-s", &left, "--topspeed", &sent]);
    bridge.finish().good().says("10 packets recorded");
    capture.finish().good();
    replay.finish();
    assert_numbered(&read(&record), 0, 10);
    // One burst, perhaps more: all that had left the ring.
    let got = read(&got);
    assert!(got.len() >= 10, "{}", got.len());
    assert_numbered(&got, 0, got.len() as u64);
}

/// Both ways begin at once, and either may find that the file does not know its interfaces yet.
#[test]
fn packets_from_both_ends_at_once_are_recorded() {
    let context = Context::new("both ends").unwrap();
    for round in 0..20 {
        let place = Place::new();
        let (left, right) = (place.text("left.sock"), place.text("right.sock"));
        let ends = [&left, &right].map(|s| format!("memif:{s},role=master"));
        let record = place.text("record.pcapng");
        let args = [
            "bridge",
            &ends[0],
            &ends[1],
            "-w",
            &record,
            "-a",
            "packets:2",
        ];
        let bridge = Process::start(&args);
        let [a, b] = [&left, &right].map(|socket| {
            let memif = context.create_interface(MemifConfig::new(socket)).unwrap();
            assert!(memif.wait_link_up(Some(PATIENCE)).unwrap());
            let mut handle = memif.packet_handle(0, 8).unwrap();
            handle
                .write_packet_timeout(&numbered(round, 64), Some(PATIENCE))
                .unwrap();
            handle
        });
        for mut handle in [a, b] {
            // Or it has ended before that was passed on.
            let read = handle.read_packet_timeout(Some(PATIENCE));
            assert!(read.is_ok() || read.is_err_and(|e| e.is_eof()));
        }
        bridge.finish().good().says("2 packets recorded");
        assert_eq!(read(&record).len(), 2, "round {round}");
    }
}

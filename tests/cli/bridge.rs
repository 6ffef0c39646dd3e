//! `memif bridge` between a capture and a replay.

use crate::packets::{assert_numbered, read, write_numbered};
use crate::process::{Place, Process};

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

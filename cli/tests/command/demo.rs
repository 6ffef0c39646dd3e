//! `memif demo`.

use std::io::{BufRead, BufReader};

use crate::packets::{assert_same, read};
use crate::process::{Place, Process, memif, run};

const MIXED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../testdata/mixed.pcap");

#[test]
fn it_shows_each_packet_and_writes_them_all() {
    let place = Place::new();
    let file = place.text("demo.pcap");
    let ended = run(&["demo", "-w", &file, "--measure", "0"]).good();
    let sent = read(MIXED);
    assert_same(&read(&file), &sent);
    assert_eq!(ended.said, "");

    // A line of a packet begins with its time.
    let lines = ended.lines();
    let packets = lines.iter().filter(|l| {
        let bytes = l.as_bytes();
        bytes.len() > 16 && bytes[2] == b':' && bytes[5] == b':' && bytes[8] == b'.'
    });
    assert_eq!(packets.count(), sent.len(), "{lines:#?}");
    let summary = format!("Replayed {} packets", sent.len());
    assert!(lines.iter().any(|l| l.contains(&summary)), "{lines:#?}");
    assert!(lines.iter().any(|l| l.contains(&file)), "{lines:#?}");
}

#[test]
fn it_measures() {
    let place = Place::new();
    let file = place.text("demo.pcap");
    let ended = run(&["demo", "-w", &file, "--measure", "0.1"]).good();
    let last = ended.lines().pop().unwrap();
    assert!(last.contains("none lost"), "{last}");
}

#[test]
fn it_ends_quietly_when_nobody_reads_on() {
    let place = Place::new();
    let file = place.text("demo.pcap");
    let (demo, stdout) = Process::with_stdout(&mut memif(&["demo", "-w", &file]));
    let mut first = String::new();
    BufReader::new(stdout).read_line(&mut first).unwrap();
    assert!(first.contains("connected"), "{first}");
    let ended = demo.finish().good();
    assert_eq!(ended.said, "");
}

#[test]
fn it_says_where_it_cannot_write() {
    let place = Place::new();
    let file = place.text("missing/demo.pcap");
    let ended = run(&["demo", "-w", &file]).failed(1, &[&file, "No such file"]);
    assert_eq!(ended.said.lines().count(), 1);
    assert!(ended.output.is_empty());
}

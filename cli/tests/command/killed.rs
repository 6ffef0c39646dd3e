//! A sender that is killed: whatever it had put on the ring is delivered.

use std::io::Write;

use crate::helper::{self, FILL_THE_RING, MANY, SEND_AND_DIE};
use crate::packets::{assert_numbered, read};
use crate::process::Place;
use crate::replay::{ROLES, start_capture};

#[test]
fn right_after_its_last_write() {
    for (ours, other) in ROLES {
        let place = Place::new();
        let (socket, out) = (place.socket(), place.text("out.pcap"));
        let capture = start_capture(&place, ours, &["--once", "-w", &out]);
        let _sender = helper::start(SEND_AND_DIE, &socket, other);
        capture
            .finish()
            .good()
            .says(&format!("{MANY} packets written"));
        assert_numbered(&read(&out), 0, MANY);
    }
}

#[test]
fn long_before_the_reader_looks() {
    for (ours, other) in ROLES {
        let place = Place::new();
        let (socket, out) = (place.socket(), place.text("out.pcap"));
        let capture = start_capture(&place, ours, &["--once", "-w", &out]);
        let mut sender = helper::start(FILL_THE_RING, &socket, other);
        sender.wait_output("up");
        capture.wait_said("connected to", 1);
        capture.halt();
        sender.stdin().write_all(b"!").unwrap();
        sender.wait_output("in all");
        sender.kill_now();
        capture.go_on();
        let ended = capture.finish().good();

        let shown = sender.shown();
        let sent = shown.split("sent ").nth(1).unwrap();
        let sent: u64 = sent.split(' ').next().unwrap().parse().unwrap();
        assert!(sent >= 1000, "{sent}");
        ended.says(&format!("{sent} packets received"));
        assert_numbered(&read(&out), 0, sent);
    }
}

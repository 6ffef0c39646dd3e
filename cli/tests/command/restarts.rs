//! One side is killed and started again, many times: the other connects each time, and
//! grows neither in descriptors nor in memory.

use nix::sys::signal::Signal;

use crate::helper::{self, KEEP_SENDING, SEND};
use crate::packets::{number, numbered, read};
use crate::process::{Place, Process, is_long, wait_until};
use crate::replay::start_capture;

/// 100 with MEMIF_LONG.
fn rounds() -> usize {
    if is_long() { 100 } else { 25 }
}

/// Until buffers, arenas and the like have their size.
const WARM_UP: usize = 10;
const MEMORY_KB: u64 = 2048;
/// The shared memory of a link: two rings of 1024 buffers.
const LINK_KB: u64 = 5000;

#[test]
fn of_senders_to_a_capturing_master() {
    senders("master", "slave");
}

#[test]
fn of_senders_to_a_capturing_slave() {
    senders("slave", "master");
}

#[test]
fn of_captures_of_a_sending_master() {
    captures("slave", "master");
}

#[test]
fn of_captures_of_a_sending_slave() {
    captures("master", "slave");
}

fn senders(ours: &str, other: &str) {
    let place = Place::new();
    let (socket, out) = (place.socket(), place.text("out.pcap"));
    let capture = start_capture(&place, ours, &["-w", &out]);
    let mut before = None;
    for round in 1..=rounds() {
        let mut sender = helper::start(SEND, &socket, other);
        sender.wait_output("sent 100");
        sender.kill_now();
        capture.wait_said(": disconnected", round);
        if round == WARM_UP {
            before = Some(Use::of(&capture));
        }
    }
    before.unwrap().has_not_grown(&capture);
    capture.signal(Signal::SIGINT);
    let ended = capture.finish().good().says("0 packets dropped");
    assert_eq!(ended.said.matches(": connected to").count(), rounds());

    // Of each sender all that it sent, from its first packet on, without a gap.
    let got = read(&out);
    let senders: Vec<_> = got.chunk_by(|_, next| number(next) != 0).collect();
    assert_eq!(senders.len(), rounds());
    for packets in senders {
        assert!(packets.len() >= 100, "{}", packets.len());
        for (n, packet) in packets.iter().enumerate() {
            assert!(packet[..] == numbered(n as u64, 64), "packet {n}");
        }
    }
}

fn captures(ours: &str, other: &str) {
    let place = Place::new();
    let socket = place.socket();
    let sender = helper::start(KEEP_SENDING, &socket, other);
    let mut before = None;
    for round in 1..=rounds() {
        let mut capture = start_capture(&place, ours, &[]);
        sender.wait_output(&format!("up {round}."));
        capture.wait_output("length 64");
        capture.kill_now();
        sender.wait_output(&format!("down {round}."));
        if round == WARM_UP {
            before = Some(Use::of(&sender));
        }
    }
    before.unwrap().has_not_grown(&sender);
}

/// What a process has of the system.
struct Use {
    descriptors: usize,
    private: u64,
    all: u64,
}

impl Use {
    fn of(process: &Process) -> Self {
        Self {
            descriptors: process.descriptors(),
            private: process.status("RssAnon:"),
            all: process.status("VmRSS:"),
        }
    }

    #[track_caller]
    fn has_not_grown(&self, process: &Process) {
        // The last link may still be coming down.
        wait_until("descriptors as before", || {
            process.descriptors() <= self.descriptors
        });
        for (what, before, may_grow) in [
            ("RssAnon:", self.private, MEMORY_KB),
            // Of the rings and buffers of the link that is up, as much as was used of them.
            ("VmRSS:", self.all, MEMORY_KB + LINK_KB),
        ] {
            let now = process.status(what);
            assert!(
                now <= before + may_grow,
                "{what} {now} kB, before {before} kB"
            );
        }
    }
}

//! `memif bridge` between a capture and a replay.

use std::process::{Command, Stdio};

use memif::{Context, MemifConfig, PacketBuf};
use memif_hostile::peer::{Desc, Plan};
use nix::sys::signal::Signal;

use crate::packets::{assert_numbered, numbered, read, write_numbered};
use crate::process::{MEMIF, PATIENCE, Place, Process, installed, run, wait_until};

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
        "--stop-with-recording",
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
            "--stop-with-recording",
        ];
        let bridge = Process::start(&args);
        let [a, b] = [&left, &right].map(|socket| {
            let memif = context.create_interface(MemifConfig::new(socket)).unwrap();
            memif.wait_link_up(Some(PATIENCE)).unwrap();
            let mut handle = memif.packet_handle(0).unwrap().with_burst(8);
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

/// A bridge of two sockets, each a master.
struct Bridge {
    left: String,
    right: String,
    process: Process,
}

impl Bridge {
    /// `through` is put before the command.
    fn start(place: &Place, through: &[&str], options: &[&str]) -> Self {
        let [left, right] = ["left", "right"].map(|name| place.text(name));
        let ends = [&left, &right].map(|s| format!("memif:{s},role=master"));
        let mut words = through.to_vec();
        words.extend([MEMIF, "bridge", &ends[0], &ends[1]]);
        words.extend(options);
        let mut command = Command::new(words[0]);
        let process = Process::spawn(command.args(&words[1..]).stdin(Stdio::null()));
        process.wait_said("no slave has connected", 1);
        Self {
            left,
            right,
            process,
        }
    }

    /// Sends a file through it, into a capture.
    fn pass(&self, place: &Place, file: &str) -> Vec<PacketBuf> {
        let got = place.text("got.pcap");
        let capture = Process::start(&["capture", "-s", &self.right, "-w", &got, "--once"]);
        let count = read(file).len();
        let replay = Process::start(&["replay", "-s", &self.left, "--pps", "20000", file]);
        replay.finish().good();
        wait_until("all that was sent", || {
            capture.signal(Signal::SIGUSR1);
            capture
                .said()
                .contains(&format!("{count} packets received"))
        });
        capture.signal(Signal::SIGINT);
        capture.finish().good();
        read(&got)
    }
}

/// Files of 16 KiB at most, and an error instead of a signal.
const SMALL_FILES: [&str; 4] = [
    "bash",
    "-c",
    "trap '' XFSZ; ulimit -f 16; exec \"$0\" \"$@\"",
    MEMIF,
];

#[test]
fn a_bridge_whose_recording_fails_forwards_on() {
    if !installed(&["bash"]) {
        return;
    }
    let place = Place::new();
    let (sent, record) = (place.text("sent.pcap"), place.text("record.pcap"));
    write_numbered(&sent, 0, 1000, &[64]);
    let bridge = Bridge::start(&place, &SMALL_FILES[..3], &["-w", &record]);
    assert_numbered(&bridge.pass(&place, &sent), 0, 1000);
    bridge.process.wait_said("Recording has ended", 1);
    bridge.process.signal(Signal::SIGINT);
    let ended = bridge.process.finish();
    let whole = read(&record);
    assert_numbered(&whole, 0, whole.len() as u64);
    ended
        .says(": 1000 packets, 64000 bytes; 0 dropped")
        .says(&format!("{} packets recorded", whole.len()))
        .says(&format!("{} packets not recorded", 1000 - whole.len()))
        .failed(1, &["record.pcap", "File too large"]);
}

#[test]
fn a_bridge_ends_with_its_recording_where_that_is_asked_for() {
    if !installed(&["bash"]) {
        return;
    }
    let place = Place::new();
    let (sent, record) = (place.text("sent.pcap"), place.text("record.pcap"));
    write_numbered(&sent, 0, 1000, &[64]);
    let options = ["-w", &record, "--stop-with-recording"];
    let bridge = Bridge::start(&place, &SMALL_FILES[..3], &options);
    let capture = Process::start(&["capture", "-s", &bridge.right, "--count-only"]);
    let replay = Process::start(&["replay", "-s", &bridge.left, "--topspeed", &sent]);
    bridge
        .process
        .finish()
        .failed(1, &["record.pcap", "File too large"]);
    drop(capture);
    replay.finish();
}

#[test]
fn a_bridge_whose_folder_goes_forwards_on_and_fails_at_its_end() {
    let place = Place::new();
    let (sent, folder) = (place.text("sent.pcap"), place.text("folder"));
    write_numbered(&sent, 0, 100, &[64]);
    std::fs::create_dir(&folder).unwrap();
    let record = format!("{folder}/record.pcap");
    let bridge = Bridge::start(&place, &[], &["-w", &record, "-b", "duration:0.2"]);
    std::fs::remove_dir_all(&folder).unwrap();
    bridge.process.wait_said("Recording has ended", 1);
    assert_numbered(&bridge.pass(&place, &sent), 0, 100);
    bridge.process.signal(Signal::SIGTERM);
    bridge
        .process
        .finish()
        .failed(1, &["creating", "No such file"]);
}

#[test]
fn a_limit_ends_the_recording_and_not_the_bridge() {
    let place = Place::new();
    let (sent, record) = (place.text("sent.pcap"), place.text("record.pcap.zst"));
    write_numbered(&sent, 0, 1000, &[64]);
    let after = place.text("after");
    let command = format!("echo done >{after};:");
    let options = ["-w", &record, "-a", "packets:10", "--after-file", &command];
    let bridge = Bridge::start(&place, &[], &options);
    assert_numbered(&bridge.pass(&place, &sent), 0, 1000);
    // Complete while the bridge goes on.
    wait_until("the command after the file", || {
        place.path("after").exists()
    });
    assert_numbered(&read(&record), 0, 10);
    for times in 1..=2 {
        bridge.process.signal(Signal::SIGUSR1);
        bridge.process.wait_said("10 packets recorded", times);
    }
    bridge.process.signal(Signal::SIGINT);
    bridge
        .process
        .finish()
        .good()
        .says("10 packets recorded")
        .says("990 packets not recorded");
}

#[test]
fn a_bridge_that_is_stopped_before_its_links_ends_its_file() {
    let place = Place::new();
    let (record, after) = (place.text("record.pcap.zst"), place.path("after"));
    let command = format!("echo done >{};:", after.display());
    let bridge = Bridge::start(&place, &[], &["-w", &record, "--after-file", &command]);
    bridge.process.signal(Signal::SIGINT);
    bridge.process.finish().good().says("0 packets recorded");
    assert_eq!(read(&record).len(), 0);
    assert!(after.exists());
}

/// Too long for the ring of the other side.
#[test]
fn what_a_bridge_drops_is_in_its_summary_and_metrics() {
    let place = Place::new();
    let bridge = Bridge::start(&place, &[], &["--metrics", "0"]);
    let context = Context::new("ends").unwrap();
    let sender = context
        .create_interface(MemifConfig::new(&bridge.left))
        .unwrap();
    let config = MemifConfig::new(&bridge.right)
        .log2_ring_size(1)
        .buffer_size(64);
    let receiver = context.create_interface(config).unwrap();
    for memif in [&sender, &receiver] {
        memif.wait_link_up(Some(PATIENCE)).unwrap();
    }
    let mut handle = sender.packet_handle(0).unwrap().with_burst(8);
    let mut from = receiver.packet_handle(0).unwrap().with_burst(8);
    for n in 0..5 {
        handle
            .write_packet_timeout(&numbered(n, 1000), Some(PATIENCE))
            .unwrap();
    }
    handle
        .write_packet_timeout(&numbered(5, 64), Some(PATIENCE))
        .unwrap();
    assert_eq!(
        from.read_packet_timeout(Some(PATIENCE)).unwrap()[..],
        numbered(5, 64)
    );
    wait_until("its counters", || {
        let text = crate::observe::get(crate::observe::port(&bridge.process)).unwrap();
        let mut lines = text
            .lines()
            .filter(|l| l.starts_with("memif_dropped_packets_total"));
        lines.any(|line| line.contains("left") && line.ends_with(" 5"))
    });
    bridge.process.signal(Signal::SIGINT);
    bridge
        .process
        .finish()
        .good()
        .says(": 1 packet, 64 bytes; 5 dropped");
}

/// A peer breaks the protocol while the bridge waits for room, or leaves no room for what waits.
#[test]
fn no_peer_ends_a_bridge_that_waits_for_room() {
    let context = Context::new("sender").unwrap();
    for breaks in [true, false] {
        let place = Place::new();
        let bridge = Bridge::start(&place, &[], &[]);
        let peer = Plan::new(0).up(&bridge.right);
        let sender = context
            .create_interface(MemifConfig::new(&bridge.left))
            .unwrap();
        sender.wait_link_up(Some(PATIENCE)).unwrap();
        let mut sender = sender.packet_handle(0).unwrap();
        let ring = peer.m2s();
        // Room for one packet, or for none yet.
        ring.set_head(breaks.into());
        for n in 0..2 {
            sender
                .write_packet_timeout(&numbered(n, 1000), Some(PATIENCE))
                .unwrap();
        }
        sender.flush(PATIENCE).unwrap();
        if breaks {
            wait_until("one packet", || ring.tail() == 1);
            ring.set_head(1000); // slots that the ring does not have
            bridge.process.wait_said("malformed", 1);
        } else {
            // The bridge may count on the buffers that it has seen: these are shorter.
            for slot in 0..ring.size {
                let desc = ring.desc(slot);
                ring.set_desc(slot, Desc { length: 16, ..desc });
            }
            ring.set_head(ring.size);
        }
        bridge.process.signal(Signal::SIGINT);
        let name = format!("{}:0: ", bridge.right);
        let ended = bridge.process.finish().good();
        ended.says(&name).says(if breaks {
            "1 packet, 1000 bytes; 1 dropped"
        } else {
            "0 packets, 0 bytes; 2 dropped"
        });
    }
}

/// Both masters, with one listener; what comes from a queue goes to the other end's.
#[test]
fn two_ends_on_one_socket_and_several_queues() {
    let place = Place::new();
    let socket = place.socket();
    let ends = [0, 1].map(|id| format!("memif:{socket},id={id},role=master,queues=2"));
    let bridge = Process::start(&["bridge", &ends[0], &ends[1]]);
    bridge.wait_said("no slave has connected", 1);
    let context = Context::new("both ends").unwrap();
    let [a, b] = [0, 1].map(|id| {
        let config = MemifConfig::new(&socket).id(id).queues(2, 2);
        let memif = context.create_interface(config).unwrap();
        memif.wait_link_up(Some(PATIENCE)).unwrap();
        memif
    });
    for (from, to) in [(&a, &b), (&b, &a)] {
        for queue in 0..2 {
            let mut sender = from.packet_handle(queue).unwrap();
            let mut reader = to.packet_handle(queue).unwrap();
            for number in 0..100 {
                let packet = numbered(number, 64);
                sender
                    .write_packet_timeout(&packet, Some(PATIENCE))
                    .unwrap();
                let read = reader.read_packet_timeout(Some(PATIENCE)).unwrap();
                assert_eq!(read[..], packet[..]);
            }
        }
    }
    bridge.signal(Signal::SIGINT);
    let (ended, name) = (bridge.finish().good(), format!("memif:{socket}"));
    ended
        .says(&format!(
            "{name}:0 to {name}:1: 200 packets, 12800 bytes; 0 dropped"
        ))
        .says(&format!(
            "{name}:1 to {name}:0: 200 packets, 12800 bytes; 0 dropped"
        ));
    let other = format!("{},socket-mode=0660", ends[1]);
    let ended = run(&["bridge", &ends[0], &other]);
    ended.refused("give both the same socket-mode");
}

#[test]
fn segments_stay_whole_between_bridges_to_a_tap_only() {
    for ends in [
        ["memif:x,gso=true", "memif:y"],
        ["memif:x", "memif:y,gso=true"],
    ] {
        run(&["bridge", ends[0], ends[1]]).refused("has gso, which is for bridges to a TAP");
    }
}

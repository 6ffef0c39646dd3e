//! What is known of peers and settings that do not suit: `memif info --check`, and warnings.

use std::fs;
use std::sync::Arc;
use std::thread;

use memif::{Context, MemifConfig, Role};
use memif_hostile::peer::*;

use crate::packets::write_numbered;
use crate::process::{PATIENCE, Place, Process, run, wait_until};

/// `info --check` of a master that calls itself by this name, from a slave with these options.
fn checked(name: &str, options: &[&str]) -> String {
    let place = Place::new();
    let socket = place.socket();
    let context = Context::new(name).unwrap();
    let config = MemifConfig::new(&socket).role(Role::Master);
    let _master = context.create_interface(config).unwrap();
    let ended = run(&[&["info", "--check", "-s", &socket], options].concat()).good();
    ended.lines().join("\n")
}

#[test]
fn a_peer_that_suits() {
    for name in [
        "DPDK 26.11",
        "VPP 26.06-release",
        "VPP 26.10-rc0~374-gb575ec2c",
        "VPP",
    ] {
        let text = checked(name, &[]);
        assert!(
            text.ends_with("nothing is known against this peer and settings"),
            "{text}"
        );
    }
}

/// tests/scripted/overrun.rs has how it does so.
#[test]
fn a_version_that_overruns_rings() {
    for name in ["VPP 26.02-release", "VPP 24.10"] {
        let text = checked(name, &[]);
        let line = text.lines().find(|line| line.starts_with("known"));
        assert!(line.is_some_and(|line| line.contains("26.06")), "{text}");
        assert!(
            text.contains("update VPP, or enlarge --ring-size"),
            "{text}"
        );
    }
}

/// tests/interop/vpp.rs has that it drops packets in them.
#[test]
fn buffers_that_vpp_refuses() {
    let text = checked("VPP 26.10", &["--buffer-size", "9217"]);
    assert!(text.contains("use --buffer-size 9216 or less"), "{text}");
    let text = checked("VPP 26.10", &["--buffer-size", "9216"]);
    assert!(text.contains("nothing is known"), "{text}");
    let text = checked("DPDK 26.11", &["--buffer-size", "16384"]);
    assert!(text.contains("nothing is known"), "{text}");

    // Other commands say so when they connect.
    let place = Place::new();
    let (socket, file) = (place.socket(), place.text("in.pcap"));
    write_numbered(&file, 0, 1, &[64]);
    let context = Context::new("VPP 26.10").unwrap();
    let config = MemifConfig::new(&socket).role(Role::Master);
    let master = context.create_interface(config).unwrap();
    let replay = ["replay", "-s", &socket, "--buffer-size", "16384", &file];
    let replay = Process::start(&replay);
    let mut handle = master.packet_handle(0).unwrap();
    master.wait_link_up(Some(PATIENCE)).unwrap();
    handle.read_packet_timeout(Some(PATIENCE)).unwrap();
    replay
        .finish()
        .good()
        .says("VPP drops packets of more than 9216");
}

/// tests/scripted/offers.rs has how it does so, and when it offers its buffers.
#[test]
fn a_slave_of_vpp_s_that_offers_late_and_in_lots() {
    let place = Place::new();
    let socket = place.socket();
    let info = ["info", "--check", "-s", &socket, "--role", "master"];
    let info = Process::start(&info);
    let mut plan = Plan::new(0);
    plan.steps[P_INIT].message = plan.steps[P_INIT].message.put(at::INIT_NAME, b"VPP 26.10");
    wait_until("a listening socket", || {
        let sockets = fs::read_to_string("/proc/net/unix").unwrap();
        let ours = |line: &&str| line.ends_with(&socket);
        sockets
            .lines()
            .find(ours)
            .is_some_and(|l| l.contains(" 00010000 "))
    });
    let link = plan.up(&socket);
    let ring = link.m2s();
    for slot in 0..1 << LOG2 {
        let length = BUFFER as u32;
        ring.set_desc(
            slot,
            Desc {
                length,
                ..ring.desc(slot)
            },
        );
    }
    ring.set_head(1 << (LOG2 - 1));
    ring.set_head(1 << LOG2);
    let ended = info.finish().good();
    let text = ended.lines().join("\n");
    assert!(
        text.contains("transmit 0   ring of 16 slots, 0 used; buffers of 2048"),
        "{text}"
    );
    assert!(
        text.contains("gives back its buffers 32 at a time"),
        "{text}"
    );
}

#[test]
fn a_ring_that_is_full_in_no_time() {
    let place = Place::new();
    let socket = place.socket();
    let context = Context::new("sender").unwrap();
    let config = MemifConfig::new(&socket).role(Role::Master);
    let master = context.create_interface(config).unwrap();
    let test = Arc::new(());
    let goes_on = Arc::downgrade(&test);
    let sender = thread::spawn(move || {
        let mut queue = master.tx_queue(0).unwrap();
        while goes_on.strong_count() > 0 {
            let _ = queue.tx_burst(&[b"one", b"two"]);
            thread::yield_now();
        }
    });
    let info = ["info", "--check", "-s", &socket, "--ring-size", "1"];
    // It looks for a moment, in which the sender may get no processor.
    wait_until("a full ring", || {
        let text = run(&info).good().lines().join("\n");
        text.contains("the receive ring of 2 slots is full after")
            && text.contains("use --ring-size ")
    });
    drop(test);
    sender.join().unwrap();
}

/// cli/tests/command/access.rs has who is let in.
#[test]
fn sockets_that_others_can_t_reach() {
    let place = Place::new();
    let socket = place.socket();
    let info = |socket: &str, more: &[&str]| {
        let args = ["info", "--check", "-s", socket, "--role", "master"];
        let ended = run(&[&args[..], &["--timeout", "0.1"], more].concat());
        let ended = ended.failed(1, &["no slave has connected"]);
        ended.lines().join("\n")
    };
    let text = info(&socket, &[]);
    assert!(
        text.contains("only this user and root may connect"),
        "{text}"
    );
    assert_eq!(info(&socket, &["--socket-mode", "0660"]), "");
    let text = info(&format!("@{socket}"), &[]);
    assert!(text.contains("in this network namespace only"), "{text}");
}

//! Filters at the end of the command line.

use nix::unistd::geteuid;

use crate::packets::{all, read};
use crate::process::{MEMIF, Place, Process, has_filters, installed, run};
use crate::replay::{start_capture, start_replay};

const MIXED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../testdata/mixed.pcap");

/// Hides libpcap in a mount namespace of its own.
const WITHOUT: &str = r#"
for file in /usr/lib/*/libpcap.so* /lib/*/libpcap.so*; do
  mount --bind /dev/null "$(readlink -f "$file")" || exit 77
done
exec "$0" capture -r "$1" udp port 9
"#;

#[test]
fn without_libpcap_it_says_what_is_missing() {
    if !installed(&["unshare", "mount", "readlink"]) {
        return;
    }
    let mut command = std::process::Command::new("unshare");
    command.args(["-m", "sh", "-c", WITHOUT, MEMIF, MIXED]);
    if !geteuid().is_root() {
        eprintln!("skipped: only root may hide libpcap");
        return;
    }
    let ended = Process::spawn(&mut command).finish();
    if ended.code == Some(77) || ended.said.starts_with("unshare") {
        eprintln!("skipped: {}", ended.said);
        return;
    }
    ended.failed(2, &["'udp port 9'", "libpcap, which is not installed"]);
}

#[test]
fn only_what_matches_is_printed_counted_and_written() {
    if !has_filters() {
        return;
    }
    for (filter, count) in [
        (&["icmp"][..], 9),
        (&["udp", "port", "53"], 2),
        (&["udp port 53 or arp"], 4),
        (&["vlan"], 7),
        (&["tcp[tcpflags] & tcp-syn != 0"], 3),
        (&["ip6", "and", "not", "tcp"], 17),
    ] {
        let ended = run(&[&["capture", "-r", MIXED, "--count-only"][..], filter].concat()).good();
        assert_eq!(ended.lines(), [count.to_string()], "{filter:?}");
        ended.says(&format!("{} packets rejected by the filter", 98 - count));
    }
    // Words and options in any order.
    let ended = run(&["capture", "-r", MIXED, "udp", "port", "53", "-c", "1"]).good();
    assert_eq!(ended.lines().len(), 1);
}

#[test]
fn a_link_is_filtered_whole_packets_before_they_are_cut() {
    if !has_filters() {
        return;
    }
    let place = Place::new();
    let out = place.text("out.pcapng");
    let options = ["--once", "--snaplen", "20", "-w", &out, "udp", "port", "53"];
    let capture = start_capture(&place, "master", &options);
    start_replay(&place, "slave", &["--topspeed", MIXED])
        .finish()
        .good();
    capture
        .finish()
        .good()
        .says("98 packets received")
        .says("96 packets rejected by the filter")
        .says("2 packets written")
        .says("0 packets dropped");
    let got = read(&out);
    assert_eq!(got.len(), 2);
    assert!(got.iter().all(|p| p.len() == 20 && p.info().length > 60));
}

#[test]
fn a_replay_sends_what_matches() {
    if !has_filters() {
        return;
    }
    let place = Place::new();
    let out = place.text("out.pcap");
    let capture = start_capture(&place, "master", &["--once", "-w", &out]);
    start_replay(&place, "slave", &["--topspeed", MIXED, "arp"])
        .finish()
        .good()
        .says("sent 2 packets")
        .says("96 packets rejected by the filter");
    capture.finish().good();
    // Of the three one has a tag, behind which the filter does not look.
    let sent = all(memif::pcap::CaptureReader::open(&out).unwrap());
    assert_eq!(sent.len(), 2);
}

#[test]
fn libpcaps_message_is_shown() {
    if !has_filters() {
        return;
    }
    for args in [
        &["capture", "-r", MIXED, "udp", "prt", "9"][..],
        &["replay", "-s", "x", MIXED, "udp", "prt", "9"],
        &["bridge", "memif:a", "memif:b", "-w", "x", "udp", "prt", "9"],
    ] {
        run(args).failed(2, &["'udp prt 9'", "syntax error"]);
    }
    let missing = [
        "capture",
        "-s",
        "x",
        "--mode",
        "ip",
        "ether",
        "host",
        "1:2:3:4:5:6",
    ];
    run(&missing).failed(2, &["ether", "only on ethernet"]);
}

#[test]
fn a_bridge_with_a_filter_needs_a_file() {
    let place = Place::new();
    let ended = run(&[
        "bridge",
        &format!("memif:{}", place.socket()),
        "memif:b",
        "udp",
    ]);
    assert_eq!(ended.code, Some(2), "{}", ended.said);
}

/// Of the packets too that were read ahead.
#[test]
fn a_replay_from_memory_counts_what_the_filter_rejects() {
    if !has_filters() {
        return;
    }
    let place = Place::new();
    let capture = start_capture(&place, "master", &["--once", "--count-only"]);
    let options = ["--topspeed", "-K", MIXED, "icmp"];
    let sent = start_replay(&place, "slave", &options).finish().good();
    sent.says("sent 9 packets")
        .says("89 packets rejected by the filter");
    capture.finish().good().says("9 packets received");
}

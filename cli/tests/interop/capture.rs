//! `memif capture` of what testpmd sends, judged by capinfos and tshark.

use std::process::{Command, Stdio};

use crate::command::MEMIF;
use crate::peers::{Testpmd, installed, is_long, one_at_a_time, output};

#[test]
fn all_packets_from_a_dpdk_server() {
    all_packets("server", "slave");
}

#[test]
fn all_packets_from_a_dpdk_client() {
    all_packets("client", "master");
}

fn all_packets(dpdk_role: &str, our_role: &str) {
    if !installed(&["dpdk-testpmd", "capinfos", "tshark"]) {
        return;
    }
    let _turn = one_at_a_time();
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("memif.sock").display().to_string();
    let file = dir.path().join("x.pcap").display().to_string();
    let _testpmd = Testpmd::start(dir.path(), dpdk_role, &socket, "", "txonly", &[]);

    let packets = if is_long() { 1_000_000 } else { 100_000 };
    let count = packets.to_string();
    let capture = Command::new(MEMIF)
        .args([
            "capture", "-s", &socket, "--role", our_role, "-c", &count, "-w", &file,
        ])
        .args(["--timeout", "60"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&capture.stderr);
    assert!(capture.status.success(), "{said}");
    assert!(said.contains(&format!("{count} packets written")), "{said}");
    assert!(said.contains("0 packets dropped"), "{said}");

    let info = output("capinfos", &["-M", "-c", "-E", "-z", &file]);
    assert!(
        info.contains(&format!("Number of packets:   {count}")),
        "{info}"
    );
    assert!(info.contains("File encapsulation:  ether"), "{info}");
    assert!(info.contains("Average packet size: 64.00 bytes"), "{info}");
    let last = format!("frame.number > {}", packets - 2);
    let tail = [
        "-r",
        &file,
        "-Y",
        &last,
        "-T",
        "fields",
        "-e",
        "udp.dstport",
    ];
    assert_eq!(output("tshark", &tail), "9\n9\n");
}

#[test]
fn a_capture_on_standard_output_goes_into_tshark() {
    if !installed(&["dpdk-testpmd", "tshark"]) {
        return;
    }
    let _turn = one_at_a_time();
    let dir = tempfile::tempdir().unwrap();
    // DPDK's default kind of socket.
    let socket = format!("@{}", dir.path().join("memif.sock").display());
    let _testpmd = Testpmd::start(dir.path(), "server", &socket, "", "txonly", &[]);

    let mut capture = Command::new(MEMIF)
        .args(["capture", "-s", &socket, "-w", "-", "--timeout", "60", "-q"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let tshark = Command::new("tshark")
        .args(["-r", "-", "-c", "100", "-T", "fields", "-e", "frame.len"])
        .stdin(capture.stdout.take().unwrap())
        .stderr(Stdio::null())
        .output()
        .unwrap();
    let lines = String::from_utf8_lossy(&tshark.stdout);
    assert_eq!(lines.lines().filter(|l| *l == "64").count(), 100, "{lines}");
    // Its reader has gone, which is no failure.
    let capture = capture.wait_with_output().unwrap();
    assert!(capture.status.success(), "{:?}", capture);
}

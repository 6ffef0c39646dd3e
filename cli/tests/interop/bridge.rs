//! `memif bridge` between two testpmds: what one sends the other gets, and tshark sees it.

use memif::PacketSource;
use memif::pcap::CaptureReader;

use crate::command::Running;
use crate::peers::{PATIENCE, Testpmd, installed, one_at_a_time, output, wait_until};

/// The last number after `word` in testpmd's statistics.
fn figure(log: &str, word: &str) -> u64 {
    let (_, rest) = log.rsplit_once(word).expect(word);
    let number = rest.split_whitespace().next().expect(word);
    number.parse().expect(number)
}

#[test]
fn a_bridge_between_two_testpmds_loses_nothing_and_records_both_ways() {
    if !installed(&["dpdk-testpmd", "tshark"]) {
        return;
    }
    let _turn = one_at_a_time();
    let dir = tempfile::tempdir().unwrap();
    let [left, right] = ["l", "r"].map(|s| dir.path().join(s).display().to_string());
    let capture = dir.path().join("x.pcapng").display().to_string();
    let macswap = Testpmd::start(dir.path(), "server", &right, "", "macswap", &[]);
    let mut flowgen = Testpmd::start(dir.path(), "client", &left, "", "flowgen", &[]);
    let (a, b) = (
        format!("memif:{left},role=master"),
        format!("memif:{right}"),
    );
    let mut bridge = Running::start(None, &["bridge", &a, &b, "-w", &capture]);
    bridge.says("connected to");
    bridge.says("connected to");
    let size = || std::fs::metadata(&capture).map_or(0, |m| m.len());
    assert!(wait_until(PATIENCE, || size() > 20_000_000));

    // The sender first, as its figures hold while its link is up.
    let sender = flowgen.stop();
    // Said once the way from there has passed on all that was left.
    bridge.says("waiting: ");
    let said = bridge.stop();
    drop(macswap);
    let way = |from: &str| {
        let line = said.iter().find(|l| l.contains(&format!("{from}:0 to ")));
        let line = line.unwrap_or_else(|| panic!("{said:?}"));
        (figure(line, ":0:"), figure(line, ";"))
    };
    let recorded = recorded(&capture);
    // All that was sent is there, though the sender has gone.
    assert_eq!(way(&left), (figure(&sender, "TX-packets:"), 0));
    assert_eq!(recorded[0], way(&left).0);
    // Of what came back only that is missing for which nobody was there any more.
    let (back, dropped) = way(&right);
    let received = figure(&sender, "RX-packets:");
    assert!(
        (received..=received + 1024).contains(&back),
        "{received} of {back}"
    );
    assert_eq!(recorded[1], back + dropped);

    for interface in [0, 1] {
        let filter =
            format!("frame.interface_id == {interface} && frame.packet_flags_direction == 1");
        let lines = output("tshark", &["-r", &capture, "-c", "100000", "-Y", &filter]);
        assert!(lines.lines().count() > 1000, "interface {interface}");
    }
}

/// How many packets of each interface are in a capture.
fn recorded(capture: &str) -> [u64; 2] {
    let mut counts = [0, 0];
    let mut reader = CaptureReader::open(capture).unwrap();
    while let Ok(packet) = reader.read_packet() {
        counts[packet.info().interface_index as usize] += 1;
    }
    counts
}

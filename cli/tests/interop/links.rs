//! Links between real peers: listed, and observed, without their notice.

use std::process::Command;

use memif::pcap::CaptureReader;
use memif::{Error, PacketSource};

use crate::command::MEMIF;
use crate::peers::{PATIENCE, Testpmd, installed, one_at_a_time, wait_until};

fn memif(args: &[&str]) -> (bool, String, String) {
    let out = Command::new(MEMIF).args(args).output().unwrap();
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    (out.status.success(), text(&out.stdout), text(&out.stderr))
}

/// What `memif list` says of the link on this socket.
fn listed(socket: &str) -> Option<serde_json::Value> {
    let (_, text, _) = memif(&["list", "--json"]);
    let mut links = text.lines().map(|line| serde_json::from_str(line).unwrap());
    links.find(|link: &serde_json::Value| link["socket"] == socket)
}

#[test]
fn a_link_of_two_testpmds_is_listed_and_captured() {
    if !installed(&["dpdk-testpmd", "capinfos"]) {
        return;
    }
    let _turn = one_at_a_time();
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("memif.sock").display().to_string();
    let _server = Testpmd::start(dir.path(), "server", &socket, ",rsize=9", "rxonly", &[]);
    assert!(wait_until(PATIENCE, || dir
        .path()
        .join("memif.sock")
        .exists()));
    let _client = Testpmd::start(dir.path(), "client", &socket, ",rsize=9", "txonly", &[]);
    let mut link = None;
    let has_sent = |link: &serde_json::Value| link["rings"][0]["packets"].as_u64() > Some(0);
    assert!(wait_until(PATIENCE, || {
        link = listed(&socket).filter(has_sent);
        link.is_some()
    }));
    let link = link.unwrap();
    for (process, role) in link["processes"]
        .as_array()
        .unwrap()
        .iter()
        .zip(["master", "slave"])
    {
        assert_eq!(process["program"], "dpdk-testpmd", "{link}");
        assert_eq!(process["role"], role, "{link}");
    }
    let rings: Vec<_> = link["rings"].as_array().unwrap().iter().collect();
    assert_eq!(rings.len(), 2, "{link}");
    assert_eq!(rings[0]["direction"], "to_master");
    assert!(rings.iter().all(|ring| ring["slots"] == 512), "{link}");

    let file = dir.path().join("seen.pcapng").display().to_string();
    let args = ["capture", "--observe", &socket, "-c", "2000", "-w", &file];
    let (good, _, said) = memif(&args);
    assert!(good, "{said}");
    let mut reader = CaptureReader::open(&file).unwrap();
    let mut packets = 0;
    loop {
        match reader.read_packet() {
            // As testpmd makes them: UDP between addresses of its own.
            Ok(packet) => assert_eq!((packet.len(), &packet[12..14]), (64, &[8, 0][..])),
            Err(Error::Eof(_)) => break,
            Err(e) => panic!("{e}"),
        }
        packets += 1;
    }
    assert_eq!(packets, 2000);
    let info = Command::new("capinfos").arg(&file).output().unwrap();
    let info = String::from_utf8_lossy(&info.stdout).into_owned();
    assert!(
        info.contains("to-master/0") && info.contains("dpdk-testpmd"),
        "{info}"
    );
}

#[test]
fn the_rules_for_alerts_are_sound() {
    if !installed(&["promtool"]) {
        return;
    }
    let docs = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs");
    for args in [
        ["check", "rules", "alerts.yml"],
        ["test", "rules", "alerts.test.yml"],
    ] {
        let out = Command::new("promtool")
            .current_dir(docs)
            .args(args)
            .output();
        let out = out.unwrap();
        assert!(out.status.success(), "{out:?}");
    }
}

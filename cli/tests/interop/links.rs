//! Links between real peers: listed, and observed, without their notice.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use memif::pcap::CaptureReader;
use memif::{Error, PacketSource};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::command::MEMIF;
use crate::extcap::{home, with_home};
use crate::peers::{Dpdk, PATIENCE, Testpmd, installed, one_at_a_time, wait_until};

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

const NO_HUGE: &[&str] = &["--no-huge", "-m", "256"];

/// Two of them, the slave sending as fast as it can, and what is said of their link.
fn two_testpmds(dir: &Path, memory: &[&str], slave: &str) -> ([Dpdk; 2], serde_json::Value) {
    let socket = dir.join("memif.sock");
    let path = socket.display();
    let start = |role: &str, mode: &str, more: &str| {
        let device = format!("role={role},socket={path},id=0,socket-abstract=no,rsize=9{more}");
        Testpmd::with_memory(memory, dir, &[device], mode, &[])
    };
    let server = start("server", "rxonly", "");
    assert!(wait_until(PATIENCE, || socket.exists()));
    let client = start("client", "txonly", slave);
    let mut link = None;
    let has_sent = |link: &serde_json::Value| link["rings"][0]["packets"].as_u64() > Some(0);
    assert!(wait_until(PATIENCE, || {
        link = listed(&path.to_string()).filter(has_sent);
        link.is_some()
    }));
    ([server, client], link.unwrap())
}

#[test]
fn a_link_of_two_testpmds_is_listed_and_captured() {
    if !installed(&["dpdk-testpmd", "capinfos"]) {
        return;
    }
    let _turn = one_at_a_time();
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("memif.sock").display().to_string();
    let (_ends, link) = two_testpmds(dir.path(), NO_HUGE, "");
    is_as_it_is(&link);
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

fn is_as_it_is(link: &serde_json::Value) {
    let processes = link["processes"].as_array().unwrap();
    assert_eq!(processes.len(), 2, "{link}");
    for (process, role) in processes.iter().zip(["master", "slave"]) {
        assert_eq!(process["program"], "dpdk-testpmd", "{link}");
        assert_eq!(process["role"], role, "{link}");
    }
    let rings: Vec<_> = link["rings"].as_array().unwrap().iter().collect();
    assert_eq!(rings.len(), 2, "{link}");
    assert_eq!(rings[0]["direction"], "to_master");
    assert!(rings.iter().all(|ring| ring["slots"] == 512), "{link}");
}

#[test]
fn testpmds_without_copies_are_captured_when_that_is_allowed() {
    if !installed(&["dpdk-testpmd"]) || !huge_pages() {
        return;
    }
    let _turn = one_at_a_time();
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("memif.sock").display().to_string();
    let memory = ["--in-memory", "--single-file-segments", "-m", "128"];
    let (_ends, link) = two_testpmds(dir.path(), &memory, ",zero-copy=yes");
    is_as_it_is(&link);
    let file = dir.path().join("seen.pcapng").display().to_string();
    let args = ["capture", "--observe", &socket, "-c", "1000", "-w", &file];
    // Huge pages can't be sealed.
    let (_, _, said) = memif(&[&args[..], &["--once"]].concat());
    assert!(said.contains("not sealed"), "{said}");
    let (good, _, said) = memif(&[&args[..], &["--allow-unsealed"]].concat());
    assert!(good && said.contains("1000 packets"), "{said}");
}

/// Whether there are as many as two programs need.
fn huge_pages() -> bool {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let free = text.lines().find_map(|l| l.strip_prefix("HugePages_Free:"));
    let enough = free.and_then(|n| n.trim().parse().ok()) >= Some(160);
    if !enough {
        eprintln!("skipped: there are no 160 free huge pages");
    }
    enough
}

#[test]
fn tshark_captures_a_link_that_is_there() {
    if !installed(&["dpdk-testpmd", "tshark", "capinfos"]) {
        return;
    }
    let _turn = one_at_a_time();
    let (home, dir) = (home(), tempfile::tempdir().unwrap());
    let (_ends, link) = two_testpmds(dir.path(), NO_HUGE, "");
    let tshark = |args: &[&str]| {
        let out = with_home("tshark", home.path(), args);
        String::from_utf8_lossy(&out.stdout).into_owned()
    };
    let name = format!("memif-link-{}", link["inode"]);
    let shown = tshark(&["-D"]);
    let line = shown.lines().find(|line| line.contains(&name));
    let line = line.unwrap_or_else(|| panic!("{name}: {shown}"));
    assert!(line.contains(link["socket"].as_str().unwrap()), "{line}");
    let file = dir.path().join("seen.pcapng").display().to_string();
    tshark(&["-i", &name, "-a", "duration:2", "-w", &file]);
    let info = Command::new("capinfos").arg(&file).output().unwrap();
    let info = String::from_utf8_lossy(&info.stdout).into_owned();
    assert!(info.contains("Name = to-master/0"), "{info}");
    let fields = ["frame.interface_name", "frame.packet_flags_direction"];
    let seen = tshark(&[
        "-r", &file, "-T", "fields", "-e", fields[0], "-e", fields[1],
    ]);
    assert!(seen.lines().count() > 0);
    let inbound = |line: &str| line.starts_with("to-master/0\t") && line.ends_with('1');
    assert!(seen.lines().all(inbound), "{:?}", seen.lines().next());

    // Missed packets are the interface's drops. Of a capture by memif itself, as the statistics in
    // tshark's files are tshark's; and of few packets, as it reads no more than 256 KiB as a file.
    let own = dir.path().join("own.pcapng").display().to_string();
    let socket = link["socket"].as_str().unwrap();
    let observe = ["capture", "--observe", socket, "-w", &own, "tcp"];
    let mut observer = Command::new(MEMIF)
        .args(observe)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stderr = BufReader::new(observer.stderr.take().unwrap());
    let mut said = String::new();
    while !said.contains("observing") {
        assert!(stderr.read_line(&mut said).unwrap() > 0, "{said}");
    }
    // It stands still for longer than any packet stays in the ring.
    let pid = Pid::from_raw(observer.id() as i32);
    for signal in [Signal::SIGSTOP, Signal::SIGCONT, Signal::SIGTERM] {
        kill(pid, signal).unwrap();
        thread::sleep(Duration::from_millis(300));
    }
    stderr.read_to_string(&mut said).unwrap();
    observer.wait().unwrap();
    let missed = said.lines().find(|line| line.ends_with("packets missed"));
    let mut words = missed.unwrap_or_else(|| panic!("{said}")).split(' ');
    let missed: u64 = words.find_map(|word| word.parse().ok()).unwrap();
    assert!(missed > 0, "{said}");
    let blocks = tshark(&["-r", &own, "-X", "read_format:MIME Files Format", "-V"]);
    let dropped = format!("Number of Dropped Packets = {missed}");
    assert!(blocks.contains(&dropped), "{dropped}: {blocks}");
    let info = Command::new("capinfos").arg(&own).output().unwrap();
    let info = String::from_utf8_lossy(&info.stdout).into_owned();
    assert!(info.contains("Number of stat entries = 1"), "{info}");
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

//! `memif info`, `memif stats`, `--metrics`, `completions`, `man`.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;

use memif::{Context, MemifConfig, Role};
use nix::sys::signal::Signal;

use crate::packets::write_numbered;
use crate::process::{MEMIF, PATIENCE, Place, Process, memif, run, wait_until};
use crate::replay::start_capture;

#[test]
fn completions_and_pages_name_every_subcommand() {
    for shell in ["bash", "zsh", "fish"] {
        let out = run(&["completions", shell]).good();
        let script = String::from_utf8(out.output).unwrap();
        for name in ["capture", "replay", "info", "stats"] {
            assert!(script.contains(name), "{shell}: {name}");
        }
    }
    assert_eq!(run(&["completions", "tcsh"]).code, Some(2));
    bash_completes();
    let page = String::from_utf8(run(&["man", "capture"]).good().output).unwrap();
    assert!(page.contains(".TH") && page.contains("metrics"), "{page}");
}

/// As bash asks its script.
fn bash_completes() {
    let place = Place::new();
    let script = place.path("memif.bash");
    std::fs::write(&script, run(&["completions", "bash"]).good().output).unwrap();
    let ask = "source \"$0\"; COMP_WORDS=(memif capture --met) COMP_CWORD=2;
        _memif memif --met capture; echo \"${COMPREPLY[@]}\"";
    match Command::new("bash").args(["-c", ask]).arg(&script).output() {
        Ok(out) => assert_eq!(
            String::from_utf8_lossy(&out.stdout),
            "--metrics\n",
            "{out:?}"
        ),
        Err(e) => println!("skipped: bash: {e}"),
    }
}

#[test]
fn info_tells_both_sides_or_why_not_in_a_line() {
    let place = Place::new();
    let socket = place.socket();
    let context = Context::new("a peer").unwrap();
    let config = MemifConfig::new(&socket).role(Role::Master).secret("abra");
    let _master = context.create_interface(config.name("theirs")).unwrap();
    let info = |more: &[&str]| run(&[&["info", "-s", &socket], more].concat());
    let out = info(&["--secret", "abra", "--queues", "1"]).good();
    let text = String::from_utf8(out.output).unwrap();
    for part in [
        "a peer",
        "theirs",
        "memif 2.0",
        "receive 0",
        "2048 bytes",
        "region 0",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    for (args, says) in [
        (&["--secret", "x"][..], "--secret"),
        (&["--secret", "abra", "--id", "7"], "--id"),
        (&["--secret", "abra", "--mode", "ip"], "--mode"),
    ] {
        let out = info(args);
        assert_eq!(out.code, Some(1), "{}", out.said);
        assert!(out.said.contains(says), "{}", out.said);
        assert_eq!(out.said.trim_end().lines().count(), 1, "{}", out.said);
    }
    let out = run(&["info", "-s", &place.text("nobody.sock")]);
    assert_eq!(out.code, Some(1));
    assert!(out.said.contains("nobody listens"), "{}", out.said);
    assert_eq!(out.said.trim_end().lines().count(), 1, "{}", out.said);
}

/// Where it says that its metrics are.
pub(crate) fn port(process: &Process) -> u16 {
    process.wait_said("/metrics", 1);
    let said = process.said();
    let (_, address) = said.split_once("http://127.0.0.1:").unwrap();
    address.split('/').next().unwrap().parse().unwrap()
}

pub(crate) fn get(port: u16) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let request = "GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    Some(text)
}

#[test]
fn metrics_and_stats_agree_with_the_sender_to_the_packet() {
    const PACKETS: usize = 5000;
    let place = Place::new();
    let socket = place.socket();
    let file = place.text("x.pcap");
    let runtime = place.path("run");
    std::fs::create_dir(&runtime).unwrap();
    let mut command = memif(&[
        "capture",
        "-s",
        &socket,
        "--role",
        "master",
        "-w",
        &file,
        "--metrics",
        "0",
    ]);
    let capture = Process::spawn(command.env("XDG_RUNTIME_DIR", &runtime));
    let port = port(&capture);

    let context = Context::new("sender").unwrap();
    let slave = context.create_interface(MemifConfig::new(&socket)).unwrap();
    slave.wait_link_up(Some(PATIENCE)).unwrap();
    let mut handle = slave.packet_handle(0).unwrap().with_burst(1);
    for n in 0..PACKETS {
        let packet = vec![0; 60 + n % 100];
        handle
            .write_packet_timeout(&packet, Some(PATIENCE))
            .unwrap();
        if n == PACKETS / 2 {
            assert!(
                get(port).unwrap().contains("memif_link_up{"),
                "while it flows"
            );
        }
    }
    handle.flush(PATIENCE).unwrap();
    let sent = slave.stats().tx_queues[0];
    let values = || {
        let text = get(port).unwrap();
        ["packets", "bytes", "dropped_packets"].map(|name| {
            let line = text
                .lines()
                .find(|l| l.starts_with(&format!("memif_{name}_total")) && l.contains("\"rx\""));
            let line = line.unwrap_or_else(|| panic!("{name}: {text}"));
            line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()
        })
    };
    // Packets are counted a moment after they have left the ring.
    wait_until("the last packets to be counted", || {
        let [packets, bytes, _] = values();
        assert!(packets <= PACKETS as u64 && bytes <= sent.bytes);
        (packets, bytes) == (PACKETS as u64, sent.bytes)
    });
    assert_eq!(values(), [PACKETS as u64, sent.bytes, 0]);

    let stats = |args: &[&str]| {
        let mut command = Command::new(MEMIF);
        command
            .arg("stats")
            .args(args)
            .env("XDG_RUNTIME_DIR", &runtime);
        command.output().unwrap()
    };
    let out = stats(&["--json", "-n", "1"]);
    let json: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!(json["interfaces"][0]["queues"][0]["packets"], PACKETS);
    let table = stats(&["-n", "1", "-i", "0.05"]);
    let table = String::from_utf8(table.stdout).unwrap();
    assert!(
        table.contains("capture") && table.contains(" 5000\n"),
        "{table}"
    );

    capture.signal(Signal::SIGINT);
    capture
        .finish()
        .good()
        .says(&format!("{PACKETS} packets received"));
    let out = stats(&["-n", "1"]);
    assert_eq!(out.status.code(), Some(1));
}

#[test]
fn whatever_runs_long_serves_metrics_and_is_found() {
    let place = Place::new();
    let runtime = place.path("run");
    std::fs::create_dir(&runtime).unwrap();
    let socket = place.socket();
    let ends = ["a", "b"].map(|name| format!("memif:{},role=master", place.text(name)));
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../testdata/mixed.pcap");
    for (name, args) in [
        ("capture", &["-s", &socket][..]),
        ("replay", &["-s", &socket, file]),
        ("respond", &["-s", &socket, "--ip", "192.0.2.1/24"]),
        ("bridge", &[&ends[0], &ends[1]]),
    ] {
        let mut command = memif(&[name, "--metrics", "0"]);
        let process = Process::spawn(command.args(args).env("XDG_RUNTIME_DIR", &runtime));
        let interfaces = if name == "bridge" { 2 } else { 1 };
        let text = get(port(&process)).unwrap();
        let shown = text.lines().filter(|l| l.starts_with("memif_link_up{"));
        assert_eq!(shown.count(), interfaces, "{name}: {text}");
        let mut json = serde_json::Value::Null;
        wait_until("stats to find it", || {
            let mut stats = memif(&["stats", "--json", "-n", "1"]);
            let out = stats.env("XDG_RUNTIME_DIR", &runtime).output().unwrap();
            json = serde_json::from_slice(&out.stdout).unwrap_or_default();
            !json.is_null()
        });
        assert_eq!(json["command"], name);
        assert_eq!(json["interfaces"].as_array().unwrap().len(), interfaces);
        process.signal(Signal::SIGINT);
        process.finish();
    }
}

#[test]
fn idle_connections_to_the_metrics_are_bounded() {
    let place = Place::new();
    let socket = place.socket();
    let capture = start_capture(&place, "master", &["--metrics", "0", "--queues", "2"]);
    let port = port(&capture);
    // As a new one comes the oldest goes, so that others are served.
    let idle: Vec<_> = (0..200)
        .map(|_| TcpStream::connect(("127.0.0.1", port)).unwrap())
        .collect();
    assert!(get(port).unwrap().contains("memif_link_up{"));
    idle[0].set_read_timeout(Some(PATIENCE)).unwrap();
    idle[199].set_nonblocking(true).unwrap();
    let newest = (&idle[199]).read(&mut [0]).unwrap_err();
    assert_eq!(newest.kind(), std::io::ErrorKind::WouldBlock);
    assert_eq!((&idle[0]).read(&mut [0]).unwrap(), 0);
    let slave = Context::new("peer").unwrap();
    let slave = slave
        .create_interface(MemifConfig::new(&socket).queues(2, 2))
        .unwrap();
    slave.wait_link_up(Some(PATIENCE)).unwrap();
    capture.wait_said("connected to", 1);
    // One a queue, for events, for the link, to write, to close what peers bring: none for these.
    assert!(capture.status("Threads:") < 10);
    drop(idle);
}

#[test]
fn a_full_ring_is_in_the_metrics() {
    let place = Place::new();
    let (socket, file) = (place.socket(), place.text("in.pcap"));
    write_numbered(&file, 0, 2000, &[64]);
    let context = Context::new("peer").unwrap();
    let config = MemifConfig::new(&socket).role(Role::Master);
    let _reads_nothing = context.create_interface(config).unwrap();
    let replay = [
        "replay",
        "-s",
        &socket,
        "--topspeed",
        "--metrics",
        "0",
        &file,
    ];
    let replay = Process::start(&replay);
    wait_until("a full ring in the metrics", || {
        let text = get(port(&replay)).unwrap();
        let mut lines = text.lines();
        let full =
            |line: &str| line.starts_with("memif_ring_full_total{") && line.contains("\"tx\"");
        lines.any(|line| full(line) && !line.ends_with(" 0"))
    });
}

#[test]
fn tables_are_not_shown_without_a_pause() {
    run(&["stats", "-i", "0"]).refused("at least");
}

//! `memif info`, `memif stats`, `--metrics`, `completions`, `man`.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;

use memif::{Context, MemifConfig, Role};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::process::{MEMIF, PATIENCE, Place, memif, run};

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
    let page = String::from_utf8(run(&["man", "capture"]).good().output).unwrap();
    assert!(page.contains(".TH") && page.contains("metrics"), "{page}");
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

fn get(port: u16) -> Option<String> {
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
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let (address, file) = (port.to_string(), place.text("x.pcap"));
    let runtime = place.path("run");
    std::fs::create_dir(&runtime).unwrap();
    let mut capture = memif(&[
        "capture",
        "-s",
        &socket,
        "--role",
        "master",
        "-w",
        &file,
        "--metrics",
        &address,
    ])
    .env("XDG_RUNTIME_DIR", &runtime)
    .spawn()
    .unwrap();

    let context = Context::new("sender").unwrap();
    let slave = context.create_interface(MemifConfig::new(&socket)).unwrap();
    assert!(slave.wait_link_up(Some(PATIENCE)).unwrap());
    let mut handle = slave.packet_handle(0, 1).unwrap();
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
    assert!(handle.flush(PATIENCE).unwrap());
    let sent = slave.stats().tx_queues[0];
    let text = get(port).unwrap();
    let value = |name: &str| {
        let line = text
            .lines()
            .find(|l| l.starts_with(name) && l.contains("\"rx\""));
        let line = line.unwrap_or_else(|| panic!("{name}: {text}"));
        line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()
    };
    assert_eq!(value("memif_packets_total"), PACKETS as u64);
    assert_eq!(value("memif_bytes_total"), sent.bytes);
    assert_eq!(value("memif_dropped_packets_total"), 0);

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

    kill(Pid::from_raw(capture.id() as i32), Signal::SIGINT).unwrap();
    assert!(capture.wait().unwrap().success());
    let out = stats(&["-n", "1"]);
    assert_eq!(out.status.code(), Some(1));
}

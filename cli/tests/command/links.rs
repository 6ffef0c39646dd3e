//! Links between other processes: listed, and observed.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::helper::{self, KEEP_SENDING, LINKS, MANY_LINKS, SEND};
use crate::packets::{number, numbered, read};
use crate::process::{Place, Process, is_long, run, wait_until};
use crate::replay::start_capture;

/// What `memif list` says of the link on this socket.
fn listed(socket: &str) -> Option<serde_json::Value> {
    let ended = run(&["list", "--json", "--sample", "0.05"]).good();
    let links = ended.lines().into_iter();
    let mut links = links.map(|line| serde_json::from_str::<serde_json::Value>(&line).unwrap());
    links.find(|link| link["socket"] == socket)
}

fn wait_listed(socket: &str) -> serde_json::Value {
    let mut link = None;
    wait_until("a link in the list", || {
        link = listed(socket);
        link.is_some()
    });
    link.unwrap()
}

#[test]
fn a_link_is_listed_with_both_its_ends() {
    let place = Place::new();
    let socket = place.socket();
    let out = place.text("out.pcap");
    let capture = start_capture(&place, "master", &["-w", &out, "--queues", "2"]);
    let mut sender = helper::start(SEND, &socket, "slave");
    sender.wait_output("sent 100");
    let link = wait_listed(&socket);
    let process = |role: &str| {
        let all = link["processes"].as_array().unwrap();
        let one = all.iter().find(|p| p["role"] == role);
        one.unwrap_or_else(|| panic!("{link}"))["pid"]
            .as_i64()
            .unwrap()
    };
    assert_eq!(process("master"), i64::from(capture.pid().as_raw()));
    assert_eq!(process("slave"), i64::from(sender.pid().as_raw()));
    let rings = link["rings"].as_array().unwrap();
    let named = |r: &serde_json::Value| {
        (
            r["direction"].as_str().map(str::to_owned),
            r["slots"].as_u64(),
        )
    };
    assert_eq!(
        rings.iter().map(named).collect::<Vec<_>>(),
        [
            (Some("to_master".into()), Some(1024)),
            (Some("to_slave".into()), Some(1024)),
        ]
    );
    assert!(
        rings[0]["packets_per_second"].as_f64().unwrap() > 0.0,
        "{link}"
    );
    // And for people.
    let table = run(&["list"]).good();
    let line = table
        .lines()
        .into_iter()
        .find(|line| line.contains(&socket));
    let line = line.unwrap_or_else(|| panic!("{} {:#?}", table.said, table.lines()));
    assert!(line.contains(&format!("({})", sender.pid())), "{line}");
    sender.kill_now();
    capture.wait_said(": disconnected", 1);
    assert_eq!(listed(&socket), None);
}

/// Each packet whole, and after the one before.
#[track_caller]
fn assert_in_order(path: &str) -> usize {
    let packets = read(path);
    let mut last = None;
    for packet in &packets {
        let n = number(packet);
        assert_eq!(packet[..], numbered(n, 64), "packet {n}");
        assert!(last.is_none_or(|last| last < n), "{n} after {last:?}");
        last = Some(n);
    }
    packets.len()
}

fn observed(target: &str, role: &str, other: &str) {
    let place = Place::new();
    let socket = place.socket();
    let (out, seen) = (place.text("out.pcap"), place.text("seen.pcapng"));
    let capture = start_capture(&place, role, &["-w", &out]);
    let sender = helper::start(SEND, &socket, other);
    sender.wait_output("sent 100");
    let target = match target {
        "pid" => sender.pid().to_string(),
        "socket" => socket.clone(),
        other => other.to_owned(),
    };
    let observer = run(&["capture", "--observe", &target, "-c", "1000", "-w", &seen]).good();
    assert!(observer.said.contains("observing "), "{}", observer.said);
    assert!(observer.said.contains(" missed"), "{}", observer.said);
    assert_eq!(assert_in_order(&seen), 1000);
    capture.signal(Signal::SIGINT);
    capture.finish().good().says("0 packets dropped");
}

#[test]
fn packets_to_a_master_are_observed() {
    observed("socket", "master", "slave");
}

#[test]
fn packets_to_a_slave_are_observed() {
    observed("pid", "slave", "master");
}

#[test]
fn an_observer_ends_with_the_link() {
    let place = Place::new();
    let socket = place.socket();
    let seen = place.text("seen.pcap");
    let capture = start_capture(&place, "master", &["-w", &place.text("out.pcap")]);
    let mut sender = helper::start(SEND, &socket, "slave");
    sender.wait_output("sent 100");
    let observer = Process::start(&["capture", "--observe", &socket, "--once", "-w", &seen]);
    observer.wait_said("observing ", 1);
    sender.kill_now();
    observer.finish().good().says(" is gone");
    assert_in_order(&seen);
    capture.signal(Signal::SIGINT);
    capture.finish().good();
}

/// Both ends are killed in turn, so many times; 100 with MEMIF_LONG.
fn goes_on(role: &str, other: &str) {
    let rounds = if is_long() { 100 } else { 3 };
    let place = Place::new();
    let socket = place.socket();
    let (out, seen) = (place.text("out.pcap"), place.text("seen.pcapng"));
    let observer = Process::start(&["capture", "--observe", &socket, "-w", &seen]);
    observer.wait_said("waiting for a link of ", 1);
    let capture = || start_capture(&place, role, &["-w", &out]);
    let mut ends = (capture(), helper::start(KEEP_SENDING, &socket, other));
    observer.wait_said("observing ", 1);
    for gone in 1..=2 * rounds {
        if gone % 2 == 0 {
            ends.0.kill_now();
            observer.wait_said(" is gone", gone);
            ends.0 = capture();
        } else {
            ends.1.kill_now();
            observer.wait_said(" is gone", gone);
            ends.1 = helper::start(KEEP_SENDING, &socket, other);
        }
        observer.wait_said("observing ", gone + 1);
    }
    observer.signal(Signal::SIGINT);
    observer.finish().good();
    let packets = read(&seen);
    for packet in &packets {
        assert_eq!(packet[..], numbered(number(packet), 64));
    }
    assert!(!packets.is_empty());
}

#[test]
fn an_observer_goes_on_when_the_ends_return() {
    goes_on("master", "slave");
}

#[test]
fn an_observer_goes_on_when_ends_of_other_roles_return() {
    goes_on("slave", "master");
}

#[test]
fn two_hundred_links_take_a_second_and_little_of_a_core() {
    let place = Place::new();
    let socket = place.socket();
    let ends = ["master", "slave"].map(|role| {
        let end = helper::start(MANY_LINKS, &socket, role);
        end.wait_output("all there");
        end
    });
    ends.iter().for_each(|end| end.wait_output("all up"));
    let start = Instant::now();
    let list = run(&["list", "--json"]).good();
    let took = start.elapsed();
    let ours = |line: &&String| line.contains(&socket);
    assert_eq!(list.lines().iter().filter(ours).count(), LINKS as usize);
    let stats = Process::start(&["stats", "--all", "--json", "-i", "1"]);
    let start = Instant::now();
    let looks = || {
        stats
            .shown()
            .lines()
            .filter(|l| l.contains(&socket))
            .count()
            / LINKS as usize
    };
    wait_until("five looks", || looks() >= 5);
    let share = stats.processor_time().as_secs_f64() / start.elapsed().as_secs_f64();
    println!("listed in {took:?}; one look a second takes {share:.3} of a core");
    // This program is not optimized, and the machine is busy.
    assert!(took < Duration::from_secs(5), "{took:?}");
    assert!(share < 0.2, "{share}");
}

#[test]
fn wrong_usage_is_told() {
    run(&["capture", "--observe", "any", "-s", "/x"]).refused("cannot be used with");
    run(&["capture", "--observe", ""]).refused("PID, SOCKET or any");
    run(&["capture", "--observe", "/x", "--timeout", "0.05"]).failed(1, &["/x"]);
    run(&["stats", "--metrics", "0"]).refused("--all");
}

#[test]
fn all_links_are_served_to_prometheus() {
    let place = Place::new();
    let socket = place.socket();
    let capture = start_capture(&place, "master", &["-w", &place.text("out.pcap")]);
    let sender = helper::start(SEND, &socket, "slave");
    sender.wait_output("sent 100");
    let stats = Process::start(&["stats", "--all", "--metrics", "0"]);
    stats.wait_said("/metrics", 1);
    let said = stats.said();
    let address = said
        .split("http://")
        .nth(1)
        .unwrap()
        .split('/')
        .next()
        .unwrap();
    let labels = format!("socket=\"{socket}\"");
    wait_until("the link's packets", || {
        let text = get(address);
        let mut lines = text.lines().filter(|line| line.contains(&labels));
        let mut value = |name: &str| -> f64 {
            let line = lines.find(|line| line.starts_with(name));
            line.map_or(0.0, |l| l.rsplit(' ').next().unwrap().parse().unwrap())
        };
        value("memif_observed_link_up") == 1.0 && value("memif_observed_packets_total") > 0.0
    });
    let json = run(&["stats", "--all", "--json", "-n", "1", "-i", "0.1"]).good();
    let found = json.lines().iter().any(|line| line.contains(&socket));
    assert!(found, "{} {:#?}", json.said, json.lines());
    drop((stats, capture));
}

fn get(address: &str) -> String {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

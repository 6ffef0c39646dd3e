//! Whatever ends a command, or does not, for each command alike. Full disks, limits and pipes are in
//! the files of the commands that know them.

use memif::{Context, Memif, MemifConfig, Role};
use nix::sys::signal::Signal;

use crate::packets::{numbered, write_numbered};
use crate::process::{MEMIF, PATIENCE, Place, Process, run};

const COMMANDS: [&str; 4] = ["capture", "replay", "respond", "bridge"];

/// The arguments of one that would go on for ever, in this role on its socket.
fn arguments(command: &str, place: &Place, role: &str) -> Vec<String> {
    let (socket, file) = (place.socket(), place.text("in.pcap"));
    write_numbered(&file, 0, 100, &[64]);
    let ends = [socket.clone(), place.text("other.sock")].map(|s| format!("memif:{s},role="));
    let mut words = vec![command.to_owned()];
    match command {
        "bridge" => words.extend([format!("{}{role}", ends[0]), format!("{}master", ends[1])]),
        _ => words.extend(["-s".into(), socket, "--role".into(), role.into()]),
    }
    let more: &[&str] = match command {
        "capture" => &["-w", &place.text("out.pcap")],
        "replay" => &["--pps", "1000", "--loop", "0", &file],
        "respond" => &["--ip", "192.0.2.1/24"],
        _ => &[],
    };
    words.extend(more.iter().map(|&word| word.into()));
    words
}

fn start(command: &str, place: &Place) -> Process {
    let words = arguments(command, place, "master");
    let process = Process::start(&words.iter().map(|w| &w[..]).collect::<Vec<_>>());
    process.wait_said("no slave has connected", 1);
    process
}

/// The peers of a command: two of a bridge.
fn join(context: &Context, command: &str, place: &Place) -> Vec<Memif> {
    let sockets = [place.socket(), place.text("other.sock")];
    let count = if command == "bridge" { 2 } else { 1 };
    let join = |socket: &String| context.create_interface(MemifConfig::new(socket)).unwrap();
    let peers: Vec<_> = sockets[..count].iter().map(join).collect();
    for peer in &peers {
        peer.wait_link_up(Some(PATIENCE)).unwrap();
    }
    peers
}

/// A packet that the command takes, or the first of its own.
fn exchange(command: &str, peers: &[Memif]) {
    let mut handles = peers.iter().map(|peer| peer.packet_handle(0).unwrap());
    let mut first = handles.next().unwrap();
    if command == "replay" {
        first.read_packet_timeout(Some(PATIENCE)).unwrap();
        return;
    }
    let packet = numbered(0, 64);
    first.write_packet_timeout(&packet, Some(PATIENCE)).unwrap();
    first.flush(PATIENCE).unwrap();
    if let Some(mut second) = handles.next() {
        let got = second.read_packet_timeout(Some(PATIENCE)).unwrap();
        assert_eq!(got[..], packet);
    }
}

/// Of the last lines, after so many exchanges.
fn summary(command: &str, packets: &str) -> String {
    match command {
        "replay" => "sent ".into(),
        "bridge" => format!(": {packets}, "),
        _ => format!("{packets} received, "),
    }
}

#[test]
fn by_a_signal() {
    let context = Context::new("peer").unwrap();
    for command in COMMANDS {
        for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
            let place = Place::new();
            let process = start(command, &place);
            let peers = join(&context, command, &place);
            exchange(command, &peers);
            process.signal(signal);
            let ended = process.finish().good();
            ended.says(&summary(command, "1 packet"));
        }
    }
}

#[test]
fn by_its_peer_or_not() {
    let context = Context::new("peer").unwrap();
    for command in COMMANDS {
        let place = Place::new();
        let process = start(command, &place);
        let peers = join(&context, command, &place);
        exchange(command, &peers);
        drop(peers);
        if command == "replay" {
            process.finish().failed(1, &["the peer left after "]);
            continue;
        }
        process.wait_said(": disconnected", 1);
        let peers = join(&context, command, &place);
        // A slave's link is up a moment before its master's, and a bridge drops what has no link.
        process.wait_said(": connected to", 2 * peers.len());
        exchange(command, &peers);
        process.signal(Signal::SIGINT);
        let ended = process.finish().good();
        ended.says(&summary(command, "2 packets"));
    }
}

#[test]
fn by_a_refusal() {
    let context = Context::new("peer").unwrap();
    for command in COMMANDS {
        let place = Place::new();
        let config = MemifConfig::new(place.socket()).role(Role::Master);
        let _master = context.create_interface(config.secret("abra")).unwrap();
        let mut words = arguments(command, &place, "slave");
        match command {
            "bridge" => words[1].push_str(",secret=kadabra"),
            _ => words.extend(["--secret".into(), "kadabra".into()]),
        }
        let refused = |words: &[String]| {
            run(&words.iter().map(|w| &w[..]).collect::<Vec<_>>())
                .failed(1, &["incorrect secret", "--secret"]);
        };
        refused(&words);
        if command == "bridge" {
            // Whichever end it is, though the other has no peer.
            words.swap(1, 2);
            refused(&words);
        }
    }
}

/// That no peer comes; a bridge waits for ever.
#[test]
fn by_its_time() {
    for command in &COMMANDS[..3] {
        let place = Place::new();
        let mut words = arguments(command, &place, "master");
        words.extend(["--timeout".into(), "0.2".into()]);
        run(&words.iter().map(|w| &w[..]).collect::<Vec<_>>())
            .failed(1, &["no link within 0.2 s", "no slave has connected"]);
    }
}

/// A bridge is a wire first.
#[test]
fn by_the_reader_of_its_pipe_or_not() {
    let context = Context::new("peer").unwrap();
    for stops in [false, true] {
        let place = Place::new();
        let mut words = arguments("bridge", &place, "master");
        words.extend(["-w".into(), "-".into()]);
        if stops {
            words.push("--stop-with-recording".into());
        }
        let (process, pipe) = Process::with_stdout(std::process::Command::new(MEMIF).args(&words));
        process.wait_said("no slave has connected", 1);
        let peers = join(&context, "bridge", &place);
        exchange("bridge", &peers);
        drop(pipe);
        if !stops {
            process.wait_said("Recording has ended: nobody reads", 1);
            exchange("bridge", &peers);
            process.signal(Signal::SIGINT);
        }
        let ended = process.finish().good();
        ended.says(&summary(
            "bridge",
            if stops { "1 packet" } else { "2 packets" },
        ));
    }
}

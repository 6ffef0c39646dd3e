//! Captures over TCP: served, sent to a reader, and replayed.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

use memif::pcap::CaptureReader;
use nix::sys::signal::Signal;

use crate::packets::{all, assert_numbered, read, write_numbered};
use crate::process::{Place, Process, run, wait_until};
use crate::replay::{start_capture, start_replay};

/// A capture that serves its packets, and where.
fn serve(place: &Place, options: &[&str]) -> (Process, String) {
    let options = [&["-w", "tcp-listen:0"][..], options].concat();
    let capture = start_capture(place, "master", &options);
    capture.wait_said("served on 127.0.0.1:", 1);
    let said = capture.said();
    let at = said.split("served on ").nth(1).unwrap();
    let address = at.split_whitespace().next().unwrap().to_owned();
    (capture, address)
}

#[test]
fn each_reader_gets_a_whole_file() {
    for options in [&[][..], &["--pcap"]] {
        let place = Place::new();
        let file = place.text("in.pcap");
        write_numbered(&file, 0, 1000, &[64]);
        let (capture, address) = serve(&place, options);
        let replay = || {
            start_replay(&place, "slave", &["--topspeed", &file])
                .finish()
                .good();
        };
        let read_all = |mut stream: TcpStream| {
            thread::spawn(move || {
                let mut bytes = Vec::new();
                stream.read_to_end(&mut bytes).unwrap();
                all(CaptureReader::new(&bytes[..]).unwrap())
            })
        };
        // Once it has the header, it gets what follows.
        let connect = || {
            let mut stream = TcpStream::connect(&address).unwrap();
            wait_until("a header", || stream.peek(&mut [0; 24]).unwrap() == 24);
            stream.flush().unwrap();
            stream
        };
        let first = read_all(connect());
        replay();
        capture.wait_said("disconnected", 1);
        // The writer has dealt with all that came before.
        wait_until("packets that are written", || {
            capture.signal(Signal::SIGUSR1);
            capture
                .said()
                .contains("1000 packets written to tcp-listen:0")
        });
        let second = read_all(connect());
        replay();
        capture.wait_said("disconnected", 2);
        capture.signal(Signal::SIGINT);
        capture.finish().good().says("; 2 readers");
        let first = first.join().unwrap();
        assert_numbered(&first[..1000], 0, 1000);
        assert_numbered(&first[1000..], 0, 1000);
        assert_numbered(&second.join().unwrap(), 0, 1000);
    }
}

#[test]
fn a_reader_that_is_too_slow_is_dropped_by_itself() {
    /// What may wait for a reader, 16 MiB, has room for so many of 1500 bytes.
    const PART: u64 = 5000;
    const PARTS: u64 = 8;
    let place = Place::new();
    let file = place.text("in.pcap");
    let (capture, address) = serve(&place, &["--pcap"]);
    let connect = || {
        let stream = TcpStream::connect(&address).unwrap();
        wait_until("a header", || stream.peek(&mut [0; 24]).unwrap() == 24);
        stream
    };
    let (_slow, mut fast) = (connect(), connect());
    let mut bytes = vec![0; 24];
    fast.read_exact(&mut bytes).unwrap();
    for part in 0..PARTS {
        write_numbered(&file, part * PART, (part + 1) * PART, &[1500]);
        let options = ["--topspeed", &file];
        start_replay(&place, "slave", &options).finish().good();
        // So that it never has more than a part to read.
        let start = bytes.len();
        bytes.resize(start + PART as usize * (16 + 1500), 0);
        fast.read_exact(&mut bytes[start..]).unwrap();
    }
    capture.signal(Signal::SIGINT);
    let ended = capture.finish().good().says("40000 packets written");
    let ended = ended.says("2 readers, of which 1 dropped as too slow");
    ended.says("0 packets dropped by this side");
    assert_numbered(&all(CaptureReader::new(&bytes[..]).unwrap()), 0, 40_000);
}

#[test]
fn a_capture_is_sent_to_a_reader_that_listens() {
    let place = Place::new();
    let file = place.text("in.pcap");
    write_numbered(&file, 0, 1000, &[64]);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let to = format!("tcp:{}", listener.local_addr().unwrap());
    let capture = start_capture(&place, "master", &["--once", "-w", &to]);
    let (mut stream, _) = listener.accept().unwrap();
    start_replay(&place, "slave", &["--topspeed", &file])
        .finish()
        .good();
    let mut bytes = Vec::new();
    capture.finish().good().says("1000 packets written to tcp:");
    stream.read_to_end(&mut bytes).unwrap();
    assert_numbered(&all(CaptureReader::new(&bytes[..]).unwrap()), 0, 1000);
}

#[test]
fn what_comes_over_tcp_is_replayed() {
    let place = Place::new();
    let (file, out) = (place.text("in.pcap"), place.text("out.pcap"));
    write_numbered(&file, 0, 1000, &[64]);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let from = format!("tcp:{}", listener.local_addr().unwrap());
    let bytes = fs::read(&file).unwrap();
    let serving = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(&bytes).unwrap();
    });
    let capture = start_capture(&place, "master", &["--once", "-w", &out]);
    start_replay(&place, "slave", &["--topspeed", &from])
        .finish()
        .good();
    capture.finish().good();
    serving.join().unwrap();
    assert_numbered(&read(&out), 0, 1000);
}

#[test]
fn wrong_addresses_are_said() {
    run(&["capture", "-w", "tcp-listen:x"]).refused("ADDRESS:PORT");
    run(&[
        "capture",
        "-w",
        "tcp-listen:0",
        "-b",
        "files:2",
        "-b",
        "packets:1",
    ])
    .refused("tcp-listen");
    run(&["capture", "-w", "tcp:localhost"]).failed(1, &["a port is missing"]);
    // Nobody listens there once the listener is gone.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let to = format!("tcp:{}", listener.local_addr().unwrap());
    drop(listener);
    run(&["capture", "-s", "x", "-w", &to]).failed(1, &[&to, "refused"]);
}

//! Files that follow each other: names, limits, what is kept, what comes after.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use memif::pcap::CaptureReader;
use memif::{Error, PacketSource};
use nix::sys::signal::Signal;

use crate::packets::{assert_numbered, number, read, write_numbered};
use crate::process::{Ended, Place, Process, installed, memif, run, wait_until};
use crate::replay::{start_capture, start_replay};

/// Files of this ending, by name.
fn files(place: &Place, ending: &str) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(place.path(""))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_str().unwrap().ends_with(ending))
        .filter(|path| path.file_name().unwrap() != "in.pcap")
        .collect();
    files.sort();
    files
}

/// Sends so many packets of 64 bytes into a capture with these options.
fn capture(place: &Place, packets: u64, options: &[&str]) -> Ended {
    let file = place.text("in.pcap");
    write_numbered(&file, 0, packets, &[64]);
    let mut args = vec!["--once"];
    args.extend(options);
    let capture = start_capture(place, "master", &args);
    start_replay(place, "slave", &["--topspeed", &file]).finish();
    capture.finish()
}

#[test]
fn every_packet_is_in_one_of_the_files() {
    for name in ["out.pcap", "out.pcapng", "out.pcap.gz", "out.pcapng.zst"] {
        for limit in ["packets:1000", "filesize:100"] {
            let place = Place::new();
            let out = place.text(name);
            capture(&place, 10_500, &["-w", &out, "-b", limit])
                .good()
                .says("10500 packets written to")
                .says("0 packets dropped");
            let ending = name.strip_prefix("out").unwrap();
            let files = files(&place, ending);
            assert!(files.len() >= 9, "{files:?}");
            let mut all = Vec::new();
            for (at, file) in files.iter().enumerate() {
                let name = file.file_name().unwrap().to_str().unwrap();
                assert!(name.starts_with(&format!("out_{:05}_", at + 1)), "{name}");
                if limit == "filesize:100" && !ending.ends_with("gz") && !ending.ends_with("zst") {
                    assert!(fs::metadata(file).unwrap().len() <= 100_000);
                }
                all.extend(read(file));
            }
            assert_numbered(&all, 0, 10_500);
        }
    }
}

#[test]
fn the_newest_files_are_kept() {
    for limits in [
        &["-b", "packets:100", "-b", "files:3"][..],
        &["-C", "10k", "-W", "3"],
    ] {
        let place = Place::new();
        let out = place.text("out.pcap");
        capture(&place, 1050, &[&["-w", &out][..], limits].concat()).good();
        let files = files(&place, ".pcap");
        assert_eq!(files.len(), 3, "{files:?}");
        let all: Vec<_> = files.iter().flat_map(read).collect();
        let first = number(&all[0]);
        assert!(first >= 700, "{first}");
        assert_numbered(&all, first, 1050);
    }
}

#[test]
fn it_stops_where_it_was_told_to() {
    for (limits, packets) in [
        (&["-a", "packets:123"][..], 123),
        (&["-b", "packets:100", "-a", "files:3"], 300),
        (&["-a", "filesize:8"], (8000 - 24) / 80),
        (&["-c", "50", "-a", "packets:60"], 50),
    ] {
        let place = Place::new();
        let out = place.text("out.pcap");
        capture(&place, 5000, &[&["-w", &out][..], limits].concat()).good();
        let all: Vec<_> = files(&place, ".pcap").iter().flat_map(read).collect();
        // A limit in bytes leaves room for what a record may have beyond its packet.
        let all_there = all.len() as u64;
        assert!(
            all_there == packets || (limits[1] == "filesize:8" && all_there + 3 > packets),
            "{limits:?}: {all_there}"
        );
        assert_numbered(&all, 0, all_there);
    }
    // By the clock, without any packet or peer.
    let place = Place::new();
    let out = place.text("out.pcapng");
    start_capture(&place, "master", &["-w", &out, "-a", "duration:0.2"])
        .finish()
        .good();
    assert_eq!(read(&out).len(), 0);
}

#[test]
fn files_follow_each_other_by_the_clock_without_packets() {
    let place = Place::new();
    let out = place.text("out.pcapng");
    let options = ["-w", &out, "-b", "duration:0.05", "-a", "files:4"];
    start_capture(&place, "master", &options).finish().good();
    let files = files(&place, ".pcapng");
    assert_eq!(files.len(), 4, "{files:?}");
    for file in files {
        assert_eq!(read(file).len(), 0);
    }
}

#[test]
fn an_earlier_runs_files_are_left_alone() {
    let place = Place::new();
    let out = place.text("%Y.pcap");
    for _ in 0..2 {
        capture(&place, 150, &["-w", &out, "-b", "packets:100"]).good();
    }
    let files = files(&place, ".pcap");
    assert_eq!(files.len(), 4, "{files:?}");
    let counts: Vec<_> = files.iter().map(|file| read(file).len()).collect();
    assert_eq!(counts.iter().sum::<usize>(), 300, "{counts:?}");
}

#[test]
fn a_command_runs_after_each_file_even_with_an_odd_name() {
    let place = Place::new();
    let (out, list) = (place.text("a b;'c.pcap"), place.text("list"));
    let command = format!("printf '%s\\n' >>{list}");
    let options = ["-w", &out, "-b", "packets:100", "--after-file", &command];
    capture(&place, 250, &options).good();
    let mut listed: Vec<_> = fs::read_to_string(&list)
        .unwrap()
        .lines()
        .map(PathBuf::from)
        .collect();
    // Two may be told of at once.
    listed.sort();
    assert_eq!(listed, files(&place, ".pcap"));
}

#[test]
fn a_command_that_fails_is_told_of() {
    let place = Place::new();
    let out = place.text("out.pcap");
    capture(&place, 10, &["-w", &out, "--after-file", "false"])
        .good()
        .says("false")
        .says("exit status: 1");
}

#[test]
fn signals_ask_for_counts_and_for_what_is_held_back() {
    let place = Place::new();
    let (file, out) = (place.text("in.pcap"), place.text("out.pcap.gz"));
    write_numbered(&file, 0, 10, &[64]);
    let capture = start_capture(&place, "master", &["-w", &out]);
    capture.wait_said("waiting", 1);
    capture.signal(Signal::SIGUSR1);
    capture.wait_said("memif: 0 packets received", 1);
    start_replay(&place, "slave", &["--topspeed", &file])
        .finish()
        .good();
    // What has been taken from the ring is counted a moment later.
    wait_until("ten packets counted", || {
        capture.signal(Signal::SIGUSR1);
        capture.said().contains("10 packets received")
    });
    // Compressed, and so held back: what is there has no packet, or not all of them.
    capture.signal(Signal::SIGUSR2);
    wait_until("packets in the file", || {
        let mut found = 0;
        let Ok(mut reader) = CaptureReader::open(&out) else {
            return false;
        };
        loop {
            match reader.read_packet() {
                Ok(_) => found += 1,
                Err(Error::Eof(_) | Error::Io { .. } | Error::Capture { .. }) => break,
                Err(e) => panic!("{e}"),
            }
        }
        found == 10
    });
    capture.signal(Signal::SIGINT);
    capture.finish().good().says("10 packets written");
    assert_numbered(&read(&out), 0, 10);
}

#[test]
fn limits_that_make_no_sense() {
    let place = Place::new();
    let (socket, out) = (place.socket(), place.text("out.pcap"));
    for (options, names) in [
        (&["-w", "-", "-b", "packets:1"][..], "need a file name"),
        (&["-w", &out, "-b", "files:3"], "filesize:"),
        (&["-w", &out, "-a", "files:3"], "filesize:"),
        (&["-w", &out, "-b", "size:3"], "'size'"),
        (&["-w", &out, "-C", "0"], "'0'"),
        (&["-w", &out, "-a", "interval:3"], "interval"),
        (&["-b", "packets:1"], "--write"),
        (&["-a", "files:1"], "-w FILE"),
        (&["-w", &out, "--pcap", "--pcapng"], "--pcapng"),
        (&["-w", &place.text("%!.pcap"), "-b", "packets:1"], "%!"),
    ] {
        let ended = run(&[&["capture", "-s", &socket][..], options].concat());
        assert_eq!(ended.code, Some(2), "{options:?}: {}", ended.said);
        assert!(ended.said.contains(names), "{options:?}: {}", ended.said);
    }
    assert!(!place.path("out.pcap").exists());
}

/// Of 10,000,000 packets over 50 files; `cargo test` sends fewer.
fn over_fifty_files(packets: u64) {
    let place = Place::new();
    let (file, out) = (place.text("in.pcap"), place.text("out.pcap"));
    let a_loop = 100_000;
    write_numbered(&file, 0, a_loop, &[64]);
    let rounds = (packets / a_loop).to_string();
    let limit = format!("packets:{}", packets / 50);
    let options = ["--once", "-w", &out, "-b", &limit];
    let capture = start_capture(&place, "master", &options);
    let replay = ["--topspeed", "--preload", "--loop", &rounds, &file];
    start_replay(&place, "slave", &replay).finish().good();
    capture
        .finish()
        .good()
        .says(&format!("{packets} packets written to 50 files"))
        .says("0 packets dropped");
    let files = files(&place, ".pcap");
    assert_eq!(files.len(), 50);
    let mut next = 0;
    for file in files {
        let mut reader = CaptureReader::open(file).unwrap();
        while let Ok(packet) = reader.read_packet() {
            assert_eq!(number(&packet), next % a_loop, "after {next} packets");
            next += 1;
        }
    }
    assert_eq!(next, packets);
}

#[test]
fn no_packet_is_lost_over_fifty_files() {
    over_fifty_files(500_000);
}

/// With `--release` it takes seconds; else minutes.
#[test]
#[ignore = "ten million packets: for a release build"]
fn ten_million_packets_over_fifty_files() {
    over_fifty_files(10_000_000);
}

#[test]
fn other_programs_read_every_kind_of_file() {
    if !installed(&["tcpdump", "tshark", "capinfos"]) {
        return;
    }
    for name in ["out.pcap", "out.pcapng", "out.pcap.gz", "out.pcapng.zst"] {
        let place = Place::new();
        let out = place.text(name);
        capture(&place, 250, &["-w", &out, "-b", "packets:100"]).good();
        let ending = name.strip_prefix("out").unwrap();
        let files = files(&place, ending);
        assert_eq!(files.len(), 3);
        for (file, count) in files.iter().zip([100, 100, 50]) {
            let file = file.to_str().unwrap();
            let plain = unpacked(&place, file);
            let lines = output("tcpdump", &["-nr", &plain]);
            assert_eq!(lines.matches("ethertype").count(), count, "{lines}");
            let lines = output("tshark", &["-r", file]);
            assert_eq!(lines.lines().count(), count, "{lines}");
            let about = output("capinfos", &["-M", &plain]);
            assert!(
                about.contains(&format!("Number of packets:   {count}")),
                "{about}"
            );
            assert!(about.contains("nanoseconds (9)"), "{about}");
            if plain.ends_with("pcapng") {
                assert!(about.contains("Name = memif0"), "{about}");
                assert!(about.contains("peer memif memif"), "{about}");
                assert!(about.contains("Number of stat entries = 1"), "{about}");
                assert!(about.contains("Capture application: memif "), "{about}");
            }
        }
    }
}

/// As `gzip -d` and `zstd -d` do, by our own reader's crates' command.
fn unpacked(place: &Place, file: &str) -> String {
    let (program, plain) = if let Some(plain) = file.strip_suffix(".gz") {
        ("gzip", plain)
    } else if let Some(plain) = file.strip_suffix(".zst") {
        ("zstd", plain)
    } else {
        return file.to_owned();
    };
    let packed = fs::File::open(file).unwrap();
    let plain = place.text(&format!(
        "plain-{}",
        PathBuf::from(plain).file_name().unwrap().display()
    ));
    let status = Command::new(program)
        .args(["-dc"])
        .stdin(packed)
        .stdout(fs::File::create(&plain).unwrap())
        .status()
        .unwrap_or_else(|e| panic!("{program}: {e}"));
    assert!(status.success(), "{program} -dc {file}: {status}");
    plain
}

fn output(program: &str, args: &[&str]) -> String {
    let out = Command::new(program).args(args).output().unwrap();
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{program} {args:?}: {said}");
    String::from_utf8_lossy(&out.stdout).into_owned()
}

#[test]
fn a_plain_name_is_begun_anew_as_with_tcpdump() {
    let place = Place::new();
    let out = place.text("out.pcapng");
    for packets in [20, 10] {
        capture(&place, packets, &["-w", &out]).good();
        assert_numbered(&read(&out), 0, packets);
    }
}

#[test]
fn a_pipe_shows_what_has_come_even_in_pcapng() {
    let place = Place::new();
    let socket = place.socket();
    let args = ["capture", "-s", &socket, "--role", "master", "-w", "-"];
    let (capture, pipe) = Process::with_stdout(&mut memif(&args));
    let file = place.text("in.pcap");
    write_numbered(&file, 0, 3, &[64]);
    start_replay(&place, "slave", &["--topspeed", &file])
        .finish()
        .good();
    let mut reader = CaptureReader::new(pipe).unwrap();
    for n in 0..3 {
        assert_eq!(number(&reader.read_packet().unwrap()), n);
    }
    capture.signal(Signal::SIGTERM);
    capture.finish().good();
    assert!(reader.read_packet().unwrap_err().is_eof());
}

#[test]
fn the_summary_names_files_that_are_there() {
    let place = Place::new();
    let file = place.text("in.pcap");
    write_numbered(&file, 0, 10, &[64]);
    let out = place.text("out.pcap");
    let ended = run(&[
        "capture",
        "-r",
        &file,
        "-w",
        &out,
        "-b",
        "packets:3",
        "-b",
        "files:2",
    ])
    .good();
    let ended = ended
        .says("10 packets written to 4 files")
        .says("2 older files removed again");
    let line = ended
        .said
        .lines()
        .find(|line| line.contains("written to"))
        .unwrap();
    let (_, name) = line.split_once("the last is ").unwrap();
    let name = name.split(';').next().unwrap();
    assert_numbered(&read(name), 9, 10);
}

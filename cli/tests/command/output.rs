//! Where a capture goes, when it can't.

use std::fs::{self, File};
use std::process::Command;

use nix::unistd::geteuid;

use crate::packets::{assert_numbered, read, write_numbered};
use crate::process::{MEMIF, Place, Process, memif, run};
use crate::replay::start_replay;

#[test]
fn a_missing_folder() {
    let place = Place::new();
    let (socket, out) = (place.socket(), place.text("missing/out.pcap"));
    let ended = run(&["capture", "-s", &socket, "--role", "master", "-w", &out]);
    let ended = ended.failed(1, &[&out, "No such file"]);
    assert_eq!(ended.said.lines().count(), 1, "{}", ended.said);
    assert!(!place.path("memif.sock").exists());
}

#[test]
fn a_folder() {
    let place = Place::new();
    let (socket, out) = (place.socket(), place.text(""));
    run(&["capture", "-s", &socket, "-w", &out]).failed(1, &[&out, "directory"]);
}

#[test]
fn a_device_that_is_full() {
    let place = Place::new();
    let socket = place.socket();
    let ended = run(&["capture", "-s", &socket, "-w", "/dev/full"]);
    let ended = ended.failed(1, &["/dev/full", "No space left"]);
    assert_eq!(ended.said.lines().count(), 1, "{}", ended.said);
}

#[test]
fn lines_into_a_device_that_is_full() {
    let place = Place::new();
    let (socket, file) = (place.socket(), place.text("in.pcap"));
    write_numbered(&file, 0, 10, &[64]);
    let full = File::create("/dev/full").unwrap();
    let mut command = memif(&["capture", "-s", &socket, "--role", "master"]);
    let capture = Process::silent(command.stdout(full));
    let replay = start_replay(&place, "slave", &["--topspeed", &file]);
    capture
        .finish()
        .says("10 packets received")
        .failed(1, &["standard output", "No space left"]);
    replay.finish();
}

/// A disk of 256 KiB that only the capture's shell has; it brings out what was written to it.
const SMALL_DISK: &str = r#"
mount -t tmpfs -o size=256k none "$1/disk" || exit 77
"$2" capture -s "$1/memif.sock" --role master -w "$1/disk/out.pcap"
code=$?
cp "$1/disk/out.pcap" "$1/out.pcap"
exit $code
"#;

#[test]
fn a_disk_that_becomes_full() {
    if !geteuid().is_root() {
        eprintln!("skipped: only root may mount a small disk");
        return;
    }
    if Command::new("unshare").arg("--version").output().is_err() {
        let required = std::env::var("MEMIF_REQUIRE_INTEROP").is_ok_and(|v| v == "1");
        assert!(
            !required,
            "unshare is not installed, and MEMIF_REQUIRE_INTEROP=1"
        );
        eprintln!("skipped: unshare is not installed");
        return;
    }
    for size in [64, 1500] {
        let place = Place::new();
        let file = place.text("in.pcap");
        write_numbered(&file, 0, 10_000, &[size]);
        fs::create_dir(place.path("disk")).unwrap();
        let mut command = Command::new("unshare");
        command.args([
            "-mp",
            "--fork",
            "--kill-child",
            "sh",
            "-c",
            SMALL_DISK,
            "sh",
        ]);
        command.args([&place.text(""), MEMIF]);
        let capture = Process::spawn(&mut command);
        let replay = start_replay(&place, "slave", &["--topspeed", &file]);
        let ended = capture.finish();
        if ended.code == Some(77) || ended.said.starts_with("unshare") {
            eprintln!("skipped: {}", ended.said);
            return;
        }
        let ended = ended.failed(1, &["out.pcap", "No space left"]);
        replay.finish().failed(1, &["the peer left"]);

        // Readable to its last packet, and as many as it says.
        let got = read(place.path("out.pcap"));
        assert_numbered(&got, 0, got.len() as u64);
        let full = 256 * 1024;
        let length = fs::metadata(place.path("out.pcap")).unwrap().len();
        assert!(
            length <= full && length + 16 + size as u64 > full,
            "{length}"
        );
        let ended = ended.says(&format!("{} packets written", got.len()));
        ended.says("because the output failed");
    }
}

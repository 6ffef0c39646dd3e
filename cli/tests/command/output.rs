//! Where a capture goes, when it can't.

use std::fs::{self, File};
use std::process::Command;

use nix::unistd::geteuid;

use crate::packets::{assert_numbered, read, write_numbered};
use crate::process::{Ended, MEMIF, Place, Process, installed, memif, run};
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
"$2" capture -s "$1/memif.sock" --role master -w "$1/disk/out.pcap" --buffer 256k
code=$?
cp "$1/disk/out.pcap" "$1/out.pcap"
exit $code
"#;

/// A level that is right for the other compression.
#[test]
fn a_wrong_level_leaves_the_file_as_it_is() {
    let place = Place::new();
    let (file, old) = (place.text("in.pcap"), place.text("old.pcap.gz"));
    write_numbered(&file, 0, 1, &[64]);
    fs::write(&old, "as it is").unwrap();
    let ended = run(&["capture", "-r", &file, "-w", &old, "--level", "10"]);
    ended.failed(2, &["--level", "10", "0 to 9"]);
    assert_eq!(fs::read(&old).unwrap(), b"as it is");
}

#[test]
fn a_disk_that_becomes_full() {
    if !geteuid().is_root() {
        eprintln!("skipped: only root may mount a small disk");
        return;
    }
    if !installed(&["unshare"]) {
        return;
    }
    for size in [64, 1500] {
        let place = Place::new();
        let file = place.text("in.pcap");
        // More than the disk, the buffer and the ring hold.
        write_numbered(&file, 0, 30_000, &[size]);
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

/// Runs a line of the shell, in which `$0` is the command.
fn shell(line: &str, args: &[&str]) -> Ended {
    let mut command = Command::new("bash");
    Process::spawn(
        command
            .args(["-c", line, MEMIF])
            .args(args)
            .env("TZ", "UTC"),
    )
    .finish()
}

#[test]
fn only_what_came_out_counts_as_printed() {
    if !installed(&["bash", "head"]) {
        return;
    }
    let place = Place::new();
    let file = place.text("in.pcap");
    write_numbered(&file, 0, 98, &[64]);
    shell(r#""$0" capture -r "$1" >/dev/full"#, &[&file])
        .says(" 0 packets printed")
        .says("98 packets dropped because the output failed")
        .failed(1, &["standard output", "No space left"]);
    // What the pipe took may have been read, or not.
    write_numbered(&file, 0, 100_000, &[64]);
    shell(r#""$0" capture -r "$1" | head -2"#, &[&file])
        .good()
        .says("packets printed at most; the reader has closed the pipe");
}

#[test]
fn a_closed_standard_output_takes_no_capture() {
    if !installed(&["bash", "head"]) {
        return;
    }
    let place = Place::new();
    let file = place.text("in.pcap");
    write_numbered(&file, 0, 98, &[64]);
    let args = [&file[..]];
    shell(r#""$0" capture -r "$1" -w - >&-"#, &args).failed(1, &["standard output is closed"]);
    shell(r#""$0" capture -r "$1" -w - >/dev/null"#, &args).good();
}

#[test]
fn nothing_panics_on_standard_output() {
    if !installed(&["bash", "head"]) {
        return;
    }
    let form = "--extcap-interface memif --extcap-config";
    for args in [
        "bench loop --secs 0.01",
        "--extcap-interfaces",
        form,
        "man",
        "completions bash",
    ] {
        for (to, code) in [(">/dev/full", 1), ("> >(exec <&-)", 0)] {
            // The reader goes before anything is written.
            let wait = if code == 0 { "sleep 0.3;" } else { "" };
            let ended = shell(&format!("exec {to}; {wait} exec \"$0\" {args}"), &[]);
            assert_eq!(ended.code, Some(code), "{args} {to}: {}", ended.said);
            assert!(!ended.said.contains("panicked"), "{}", ended.said);
        }
    }
}

#[test]
fn a_file_that_was_cut_before_is_not_cut_again() {
    let place = Place::new();
    let (file, cut) = (place.text("in.pcap"), place.text("cut.pcap"));
    write_numbered(&file, 0, 10, &[64]);
    run(&["capture", "-r", &file, "--snaplen", "40", "-w", &cut])
        .good()
        .says("10 packets cut to the snap length of 40");
    run(&["capture", "-r", &cut, "--count-only"])
        .good()
        .says(" 0 packets cut to the snap length of 262144")
        .says("10 packets were already cut in the file");
}

#[test]
fn a_compression_that_is_not_known_is_refused() {
    for end in ["xz", "bz2", "lz4"] {
        let name = format!("x.pcap.{end}");
        run(&["capture", "-s", "x", "-w", &name]).refused(".zst");
    }
}

#[test]
fn names_need_not_be_text() {
    use std::os::unix::ffi::OsStrExt;
    let place = Place::new();
    let file = place
        .path("")
        .join(std::ffi::OsStr::from_bytes(b"in\xff.pcap"));
    write_numbered(&file, 0, 10, &[64]);
    let out = place
        .path("")
        .join(std::ffi::OsStr::from_bytes(b"out\xff.pcap"));
    for rotates in [false, true] {
        let mut command = memif(&["capture", "-r"]);
        command.arg(&file).arg("-w").arg(&out);
        if rotates {
            command.args(["-b", "packets:3"]);
        }
        Process::spawn(&mut command)
            .finish()
            .good()
            .says("10 packets written");
    }
    assert_numbered(&read(&out), 0, 10);
    let capture = Process::start(&[
        "capture",
        "-s",
        &place.socket(),
        "--role",
        "master",
        "--once",
    ]);
    let mut replay = memif(&["replay", "-s", &place.socket()]);
    Process::spawn(replay.arg(&file)).finish().good();
    capture.finish().good().says("10 packets printed");
}

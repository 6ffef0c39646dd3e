//! Links in another network namespace.

use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::unistd::geteuid;

use crate::packets::{assert_numbered, read, write_numbered};
use crate::process::{MEMIF, Place, Process, installed, memif, run};

#[test]
fn a_slave_in_a_namespace_of_its_own_is_reached_by_its_abstract_name() {
    if !installed(&["unshare"]) {
        return;
    }
    if !geteuid().is_root() {
        eprintln!("skipped: only root may enter a network namespace");
        return;
    }
    let place = Place::new();
    let (file, out) = (place.text("in.pcap"), place.text("out.pcap"));
    write_numbered(&file, 0, 500, &[64]);
    let socket = format!("@memif-test-{}", place.path("").display());
    // Not forked, so that it is the command's own namespace.
    let mut command = Command::new("unshare");
    command.args(["-n", MEMIF, "capture", "-s", &socket, "--role", "master"]);
    command.args(["--once", "-w", &out]);
    let inside = Process::spawn(&mut command);
    inside.wait_said("waiting", 1);
    let replay = [
        "replay",
        "-s",
        &socket,
        "--topspeed",
        "--timeout",
        "0.3",
        &file,
    ];
    run(&replay).failed(1, &["nobody listens"]);

    let pid = inside.pid().to_string();
    let path = format!("/proc/{pid}/ns/net");
    let nobody = |netns: &str| {
        let mut command = memif(&[&["--netns", netns][..], &replay].concat());
        Process::spawn(command.uid(65534).gid(65534)).finish()
    };
    // Not even its file may be looked at.
    if memif(&["--version"]).uid(65534).output().is_ok() {
        nobody(&path).failed(1, &[&path, "ermission denied"]);
        nobody("/proc/self/ns/net").failed(1, &["CAP_SYS_ADMIN"]);
    }
    run(&[&["--netns", &pid][..], &replay].concat()).good();
    inside.finish().good().says("500 packets written");
    assert_numbered(&read(&out), 0, 500);
}

#[test]
fn what_is_no_namespace_is_said() {
    for (netns, why) in [
        ("no-such-name", "/run/netns/no-such-name: No such file"),
        ("/dev/null", "not a network namespace"),
    ] {
        run(&["--netns", netns, "list"]).failed(1, &[netns, why]);
    }
}

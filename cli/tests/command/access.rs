//! Other users: the socket's file, and lists of who may be a peer.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;

use nix::unistd::geteuid;

use crate::process::{Ended, Place, Process, memif, run};
use crate::refusals::in_file;
use crate::replay::start_capture;

/// Runs it as nobody; `None`, and a printed reason, where that can't be.
fn as_nobody(args: &[&str]) -> Option<Ended> {
    let nobody = |args: &[&str]| {
        let mut command = memif(args);
        command.uid(65534).gid(65534);
        command
    };
    if !geteuid().is_root() || nobody(&["--version"]).output().is_err() {
        eprintln!("skipped: another user may not start the command from here");
        return None;
    }
    Some(Process::spawn(&mut nobody(args)).finish())
}

#[test]
fn another_user_comes_in_by_mode_and_list() {
    let place = Place::new();
    let (socket, file) = (place.socket(), in_file(&place));
    fs::set_permissions(place.path(""), Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
    let replay = ["replay", &file, "-q", "-s", &socket, "--timeout", "0.3"];

    let closed = start_capture(&place, "master", &[]);
    closed.wait_said("waiting", 1);
    if let Some(ended) = as_nobody(&replay) {
        ended.failed(1, &[&socket, "permission denied", "--socket-mode"]);
    }
    // By itself: that will not mend.
    if let Some(ended) = as_nobody(&["capture", "-s", &socket]) {
        ended.failed(1, &[&socket, "permission denied", "--socket-mode"]);
    }
    drop(closed);

    let mode = ["--socket-mode", "0666", "--once"];
    let listed = [&mode[..], &["--allow-user", "root", "--allow-group", "7"]].concat();
    let other = start_capture(&place, "master", &listed);
    other.wait_said("waiting", 1);
    if let Some(ended) = as_nobody(&replay) {
        ended.failed(1, &["user 65534, group 65534 may not be a peer"]);
    }
    drop(other);

    let listed = [
        &mode[..],
        &["--allow-user", "root", "--allow-user", "65534"],
    ]
    .concat();
    let open = start_capture(&place, "master", &listed);
    open.wait_said("waiting", 1);
    if let Some(ended) = as_nobody(&replay) {
        ended.good();
        open.finish().good().says("10 packets printed");
    }
}

#[test]
fn owners_and_modes_that_are_none_are_refused() {
    let place = Place::new();
    let socket = place.socket();
    for (option, value, says) in [
        ("--socket-mode", "0888", "octal"),
        ("--socket-owner", "no such user", "no such user"),
        ("--allow-user", "no such user", "no such user"),
        ("--allow-group", "no such group", "no such group"),
    ] {
        run(&["capture", "-s", &socket, option, value]).refused(says);
    }
    let args = ["-q", "-s", &socket, "--role", "master", "--socket-owner"];
    if let Some(ended) = as_nobody(&[&["capture"][..], &args[..], &["root"]].concat()) {
        ended.failed(1, &[&socket]);
    }
    let end = format!("memif:{socket},role=master,socket-mode=rw");
    run(&["bridge", &end, "tap:x"]).refused("octal");
}

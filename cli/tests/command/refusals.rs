//! Sockets that are none, and peers that refuse, or say nothing.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;

use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, listen, socket,
};
use nix::unistd::geteuid;

use crate::packets::write_numbered;
use crate::process::{Place, Process, memif, run};
use crate::replay::start_capture;

const IP: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../testdata/ip.pcap");

pub(crate) fn in_file(place: &Place) -> String {
    let file = place.text("in.pcap");
    write_numbered(&file, 0, 10, &[64]);
    file
}

#[test]
fn nobody_listens() {
    let place = Place::new();
    let (socket, file) = (place.socket(), in_file(&place));
    for command in [&["capture"][..], &["replay", &file]] {
        let args = [command, &["-q", "-s", &socket, "--timeout", "0.3"]].concat();
        run(&args).failed(1, &["0.3 s", "nobody listens on", &socket, "--role master"]);
    }
    // A socket that a dead master has left.
    let dead = start_capture(&place, "master", &[]);
    dead.wait_said("waiting", 1);
    drop(dead);
    assert!(place.path("memif.sock").exists());
    run(&["replay", &file, "-s", &socket, "--timeout", "0.3"])
        .failed(1, &["nobody listens on", &socket]);
    // The next master takes its place.
    let next = start_capture(&place, "master", &["--once"]);
    run(&["replay", &file, "-s", &socket]).good();
    next.finish().good();
}

#[test]
fn an_abstract_name_and_a_path_are_mistaken() {
    let place = Place::new();
    let (socket, file) = (place.socket(), in_file(&place));
    let abstract_name = format!("@{socket}");
    for (there, given) in [(&abstract_name, &socket), (&socket, &abstract_name)] {
        let args = ["capture", "-s", there, "--role", "master"];
        let master = Process::start(&args);
        master.wait_said("no slave has connected", 1);
        for command in [&["info"][..], &["replay", &file]] {
            let ended = run(&[command, &["-s", given, "--timeout", "0.3"]].concat());
            let (nobody, but) = (format!("listens on {given}"), format!("but {there} exists"));
            ended.failed(1, &[&nobody, &but, "--socket"]);
        }
    }
}

/// As VPP writes them.
#[test]
fn an_abstract_name_in_vpp_s_words() {
    let place = Place::new();
    let socket = place.socket();
    let args = [
        "info",
        "-s",
        &format!("abstract:{socket}"),
        "--timeout",
        "0.1",
    ];
    run(&args).failed(1, &[&format!("nobody listens on @{socket}")]);
}

#[test]
fn a_second_master() {
    let place = Place::new();
    let (socket, file) = (place.socket(), in_file(&place));
    let first = start_capture(&place, "master", &["--once"]);
    first.wait_said("waiting", 1);
    for command in [&["capture"][..], &["replay", &file]] {
        let args = [command, &["-s", &socket, "--role", "master"]].concat();
        let ended = run(&args).failed(1, &[&socket, "in use by another program", "--role slave"]);
        assert_eq!(ended.said.lines().count(), 1, "{}", ended.said);
    }
    // The first is not disturbed.
    run(&["replay", &file, "-s", &socket]).good();
    first.finish().good().says("10 packets printed");
}

#[test]
fn a_folder_or_a_file_instead_of_a_socket() {
    let place = Place::new();
    let file = in_file(&place);
    let folder = place.text("folder");
    fs::create_dir(&folder).unwrap();
    let plain = place.text("plain");
    fs::write(&plain, "something dear").unwrap();
    for path in [&folder, &plain] {
        for role in ["master", "slave"] {
            for command in [&["capture"][..], &["replay", &file]] {
                let options = ["-q", "-s", path, "--role", role, "--timeout", "0.3"];
                run(&[command, &options].concat()).failed(1, &[path, " not a socket"]);
            }
        }
    }
    assert!(fs::metadata(&folder).unwrap().is_dir());
    assert_eq!(fs::read_to_string(&plain).unwrap(), "something dear");
}

#[test]
fn a_folder_that_is_not_there() {
    let place = Place::new();
    let file = in_file(&place);
    let path = place.text("missing/memif.sock");
    for command in [&["capture"][..], &["replay", &file]] {
        let options = ["-q", "-s", &path, "--timeout", "0.3"];
        let ended = run(&[command, &options, &["--role", "master"]].concat());
        ended.failed(1, &[&path, "no such file"]);
        let ended = run(&[command, &options].concat());
        ended.failed(1, &[&path, "no folder", "--socket"]);
    }
}

#[test]
fn no_permission() {
    let place = Place::new();
    let file = in_file(&place);
    let folder = place.path("closed");
    fs::create_dir(&folder).unwrap();
    let path = place.text("closed/memif.sock");
    let root = geteuid().is_root();
    if root {
        // Root may do anything, so another user tries, and may come as far as the folder.
        fs::set_permissions(place.path(""), Permissions::from_mode(0o755)).unwrap();
        fs::set_permissions(&folder, Permissions::from_mode(0o700)).unwrap();
    } else {
        fs::set_permissions(&folder, Permissions::from_mode(0o000)).unwrap();
    }
    for role in ["master", "slave"] {
        for command in [&["capture"][..], &["replay", &file]] {
            let options = ["-q", "-s", &path, "--role", role, "--timeout", "0.3"];
            let mut command = memif(&[command, &options].concat());
            if root {
                command.uid(65534).gid(65534);
                if command.output().is_err() {
                    eprintln!("skipped: another user may not start the command from here");
                    return;
                }
            }
            let ended = Process::spawn(&mut command).finish();
            ended.failed(1, &[&path, "permission denied"]);
        }
    }
    fs::set_permissions(&folder, Permissions::from_mode(0o700)).unwrap();
}

#[test]
fn a_wrong_secret() {
    let place = Place::new();
    let (socket, file) = (place.socket(), in_file(&place));
    let master = start_capture(&place, "master", &["--once", "--secret", "abra"]);
    for secret in [&[][..], &["--secret", "kadabra"]] {
        for command in [&["capture"][..], &["replay", &file]] {
            let options = ["-q", "-s", &socket, "--timeout", "60"];
            let ended = run(&[command, &options, secret].concat());
            let ended = ended.failed(1, &[&socket, "secret", "--secret"]);
            assert!(!ended.said.contains("abra"), "{}", ended.said);
        }
    }
    // The environment is the better place for it.
    let mut right = memif(&["replay", &file, "-s", &socket]);
    Process::spawn(right.env("MEMIF_SECRET", "abra"))
        .finish()
        .good();
    let ended = master.finish().good().says("10 packets printed");
    assert!(!ended.said.contains("abra"), "{}", ended.said);
}

#[test]
fn a_wrong_id() {
    let place = Place::new();
    let (socket, file) = (place.socket(), in_file(&place));
    let _master = start_capture(&place, "master", &["--id", "3"]);
    let start = |command: &[&str]| {
        Process::start(&[command, &["-s", &socket, "--id", "7", "--timeout", "60"]].concat())
    };
    let both = [start(&["capture"]), start(&["replay", &file])];
    for process in both {
        process.finish().failed(1, &[&socket, "id 7", "--id"]);
    }
    run(&["replay", &file, "-s", &socket, "--id", "3"]).good();
}

#[test]
fn a_wrong_mode() {
    let place = Place::new();
    let socket = place.socket();
    let _master = start_capture(&place, "master", &[]);
    for command in [&["capture"][..], &["replay", IP]] {
        let options = ["-q", "-s", &socket, "--mode", "ip", "--timeout", "60"];
        run(&[command, &options].concat()).failed(1, &[&socket, "mode", "--mode"]);
    }
}

#[test]
fn a_peer_that_never_answers() {
    let place = Place::new();
    let (path, file) = (place.socket(), in_file(&place));
    let silent = socket(
        AddressFamily::Unix,
        SockType::SeqPacket,
        SockFlag::SOCK_CLOEXEC,
        None,
    )
    .unwrap();
    bind(
        std::os::fd::AsRawFd::as_raw_fd(&silent),
        &UnixAddr::new(&place.path("memif.sock")).unwrap(),
    )
    .unwrap();
    listen(&silent, Backlog::new(4).unwrap()).unwrap();
    for command in [&["capture"][..], &["replay", &file]] {
        let options = ["-q", "-s", &path, "--timeout", "0.3"];
        run(&[command, &options].concat()).failed(1, &[&path, "does not answer"]);
    }
}

#[test]
fn a_socket_of_another_kind() {
    let place = Place::new();
    let (path, file) = (place.socket(), in_file(&place));
    let _stream = std::os::unix::net::UnixListener::bind(&path).unwrap();
    for role in ["master", "slave"] {
        for command in [&["capture"][..], &["replay", &file]] {
            let options = ["-q", "-s", &path, "--role", role, "--timeout", "0.3"];
            run(&[command, &options].concat()).failed(1, &[&path, "memif"]);
        }
    }
    assert!(place.path("memif.sock").exists());
}

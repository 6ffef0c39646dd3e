//! The ends of a link do not notice that it is observed.

use std::fs;
use std::os::unix::fs::MetadataExt;

use nix::sys::signal::Signal;

use crate::helper::{self, SEND};
use crate::process::{Place, Process, installed, memif, run, wait_until};
use crate::replay::start_capture;

/// The sockets and shared mappings of a process: all that a link could add to.
fn held(process: &Process) -> [Vec<String>; 2] {
    let folder = format!("/proc/{}/fd", process.pid());
    let open = fs::read_dir(folder).unwrap().flatten();
    let target = |entry: fs::DirEntry| fs::read_link(entry.path()).unwrap_or_default();
    let names = open.map(|entry| target(entry).display().to_string());
    // A master closes what it has mapped, a moment later.
    let mut files: Vec<String> = names.filter(|name| name.contains("socket")).collect();
    files.sort();
    let maps = fs::read_to_string(format!("/proc/{}/maps", process.pid())).unwrap();
    let shared = maps.lines().filter(|line| line.contains("memfd"));
    [files, shared.map(str::to_owned).collect()]
}

/// How much memory the files of the link take, of those that the process has open.
fn blocks(process: &Process) -> Vec<u64> {
    let folder = format!("/proc/{}/fd", process.pid());
    let open = fs::read_dir(folder).unwrap().flatten();
    let is_memory = |path: &std::path::PathBuf| {
        fs::read_link(path).is_ok_and(|to| to.to_string_lossy().contains("memif"))
    };
    let paths = open.map(|entry| entry.path()).filter(is_memory);
    paths
        .map(|path| fs::metadata(path).unwrap().blocks())
        .collect()
}

#[test]
fn an_observer_that_is_killed_leaves_nothing() {
    let place = Place::new();
    let socket = place.socket();
    let capture = start_capture(&place, "master", &["-w", &place.text("out.pcap")]);
    let sender = helper::start(SEND, &socket, "slave");
    sender.wait_output("sent 100");
    let before = [held(&capture), held(&sender)];
    let seen = place.text("seen.pcap");
    for _ in 0..3 {
        let mut observer = Process::start(&["capture", "--observe", &socket, "-w", &seen]);
        observer.wait_said("observing ", 1);
        wait_until("observed packets", || {
            fs::metadata(&seen).is_ok_and(|m| m.len() > 10_000)
        });
        assert_eq!(
            before,
            [held(&capture), held(&sender)],
            "while it is observed"
        );
        observer.kill_now();
        assert_eq!(before, [held(&capture), held(&sender)], "after that");
        fs::remove_file(&seen).unwrap();
    }
    capture.signal(Signal::SIGINT);
    capture.finish().good().says("0 packets dropped");
}

/// Nobody is woken: the ends of an idle link wait on.
#[test]
fn an_idle_link_is_left_alone() {
    if !installed(&["strace"]) {
        return;
    }
    let place = Place::new();
    let socket = place.socket();
    let ends = ["a", "b"].map(|name| place.text(name));
    // Where no other `stats` of this user finds them, and asks.
    let capture = |role: &str, file: &str| {
        let mut command = memif(&["capture", "-s", &socket, "--role", role, "-w", file]);
        Process::spawn(command.env("XDG_RUNTIME_DIR", place.path("")))
    };
    let (capture, other) = (capture("master", &ends[0]), capture("slave", &ends[1]));
    other.wait_said("connected", 1);
    // The slave keeps all of them open.
    let size = blocks(&other);
    let traces = [&capture, &other].map(|end| {
        end.wait_idle();
        let calls = place.text(&format!("calls{}", end.pid()));
        let pid = end.pid().to_string();
        let mut strace = std::process::Command::new("strace");
        let strace = Process::spawn(strace.args(["-f", "-o", &calls, "-p", &pid]));
        strace.wait_said("attached", 1);
        (strace, calls)
    });
    let list = run(&["list"]).good();
    assert!(list.lines().iter().any(|line| line.contains(&socket)));
    let seen = place.text("seen.pcapng");
    let observer = Process::start(&["capture", "--observe", &socket, "-w", &seen]);
    observer.wait_said("observing ", 1);
    // It looks 500 times a second.
    observer.wait_sleeping(100);
    assert_eq!(blocks(&other), size, "memory of the link");
    observer.signal(Signal::SIGINT);
    observer.finish().good();
    for (strace, calls) in traces {
        strace.signal(Signal::SIGINT);
        // By that signal, so it does not count as ended well.
        wait_until("the end of strace", || {
            let stat = fs::read_to_string(format!("/proc/{}/stat", strace.pid())).unwrap();
            stat.contains(") Z ")
        });
        // Threads wait, some until a time of their own comes: `= 0`. Those look then, and find
        // nothing. Whoever is woken finds something.
        let calls = fs::read_to_string(calls).unwrap();
        let nothing = |line: &str| {
            line.ends_with(" = 0") || line.ends_with(" = 0 (Timeout)") || line.contains(" EAGAIN ")
        };
        let woken = |line: &&str| line.contains(" = ") && !nothing(line);
        let calls: Vec<&str> = calls.lines().filter(woken).collect();
        assert!(calls.is_empty(), "{calls:#?}");
    }
}

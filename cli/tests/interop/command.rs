//! Our own command as a process of its own, in a network namespace where it is to have one.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::MutexGuard;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::time::Instant;

use nix::sched::{CloneFlags, setns};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::peers::{PATIENCE, installed, one_at_a_time};

pub(crate) const MEMIF: &str = env!("CARGO_BIN_EXE_memif");

/// A running `memif`, ended by Ctrl-C.
pub(crate) struct Running {
    child: Child,
    lines: Receiver<String>,
}

impl Running {
    pub(crate) fn start(namespace: Option<&Namespace>, args: &[&str]) -> Self {
        let mut command = match namespace {
            Some(namespace) => namespace.command(MEMIF),
            None => Command::new(MEMIF),
        };
        let mut child = command.args(args).stderr(Stdio::piped()).spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (to, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                eprintln!("{line}");
                if to.send(line).is_err() {
                    return;
                }
            }
        });
        Self { child, lines }
    }

    /// Waits until it has said this on standard error.
    pub(crate) fn says(&self, what: &str) -> String {
        let end = Instant::now() + PATIENCE;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let line = self.lines.recv_timeout(left);
            let line = line.unwrap_or_else(|_| panic!("it never said '{what}'"));
            if line.contains(what) {
                return line;
            }
        }
    }

    /// Ends it; what it says last.
    pub(crate) fn stop(&mut self) -> Vec<String> {
        let _ = kill(Pid::from_raw(self.child.id() as i32), Signal::SIGINT);
        assert!(self.child.wait().unwrap().success());
        self.lines.iter().collect()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Where a test with a TAP takes place.
pub(crate) struct Scene {
    pub(crate) namespace: Namespace,
    pub(crate) dir: TempDir,
    /// In the folder.
    pub(crate) socket: String,
    _turn: MutexGuard<'static, ()>,
}

impl Scene {
    /// `None`, with the reason said, where one of these programs, or the right, is missing.
    pub(crate) fn new(programs: &[&str]) -> Option<Self> {
        if !installed(programs) {
            return None;
        }
        let turn = one_at_a_time();
        let namespace = Namespace::new()?;
        let dir = tempfile::tempdir().unwrap();
        Some(Self {
            namespace,
            socket: dir.path().join("s").display().to_string(),
            dir,
            _turn: turn,
        })
    }

    /// A bridge in the namespace from a TAP to the socket, on which it is the master.
    pub(crate) fn bridge(&self, tap: &str, more: &[&str]) -> Running {
        let master = format!("memif:{},role=master", self.socket);
        let args = [&["bridge", tap, &master], more].concat();
        Running::start(Some(&self.namespace), &args)
    }
}

/// A network namespace of the test's own.
pub(crate) struct Namespace(String);

impl Namespace {
    /// `None`, with the reason said, where it may not be made; a failure when it must.
    pub(crate) fn new() -> Option<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let n = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("memif-{}-{n}", std::process::id());
        let out = Command::new("ip").args(["netns", "add", &name]).output();
        let problem = match out {
            Ok(out) if out.status.success() && std::path::Path::new("/dev/net/tun").exists() => {
                return Some(Self(name));
            }
            Ok(out) => String::from_utf8_lossy(&out.stderr).into_owned(),
            Err(e) => e.to_string(),
        };
        assert!(
            std::env::var_os("MEMIF_REQUIRE_INTEROP").is_none_or(|v| v != "1" && v != "all"),
            "no network namespace with a TAP: {problem}"
        );
        eprintln!("skipped: no network namespace with a TAP: {problem}");
        None
    }

    /// A program in it.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.0, program]);
        command
    }

    /// Does this on a thread that is in it: sockets that are made there belong to it.
    pub(crate) fn enter<T: Send>(&self, what: impl FnOnce() -> T + Send) -> T {
        let path = format!("/run/netns/{}", self.0);
        std::thread::scope(|scope| {
            let inside = scope.spawn(|| {
                let namespace = std::fs::File::open(path).unwrap();
                setns(namespace, CloneFlags::CLONE_NEWNET).unwrap();
                what()
            });
            inside.join().unwrap()
        })
    }

    /// Pings from it, with more of ping's options; fails unless every request is answered.
    #[track_caller]
    pub(crate) fn pings(&self, count: usize, options: &str, address: &str) {
        // With a limit of time ping goes on until it has so many answers: a last one that is late
        // is not lost, and one that is lost leaves a gap.
        let args = format!("-n -c {count} -w 60 -i 0.01 {options} {address}");
        let out = self.command("ping").args(args.split(' ')).output().unwrap();
        let said = String::from_utf8_lossy(&out.stdout);
        let answered: Vec<usize> = said
            .lines()
            .filter_map(|line| line.split_once("icmp_seq="))
            .filter_map(|(_, rest)| rest.split(' ').next()?.parse().ok())
            .collect();
        // The last answers may come together.
        let all: Vec<usize> = (1..=answered.len()).collect();
        assert!(answered.len() >= count, "ping {args}: {said}");
        assert_eq!(answered, all, "ping {args}: {said}");
    }

    /// As `pings`, each after the last is answered. For packets that the answering smoltcp has to
    /// fragment: while it sends one, it drops the next.
    #[track_caller]
    pub(crate) fn pings_one_by_one(&self, count: usize, size: usize, address: &str) {
        let args = format!("-n -c 1 -W 20 -s {size} {address}");
        for n in 1..=count {
            let out = self.command("ping").args(args.split(' ')).output().unwrap();
            assert!(out.status.success(), "ping {args}, number {n}: {out:?}");
        }
    }

    /// Whether one ping from it was answered.
    pub(crate) fn reaches(&self, address: &str) -> bool {
        let args = ["-c", "1", "-W", "1", address];
        let out = self.command("ping").args(args).output().unwrap();
        out.status.success()
    }

    /// Whether `ip` did this in it.
    pub(crate) fn ip(&self, args: &str) -> bool {
        let mut command = Command::new("ip");
        command.args(["-n", &self.0]).args(args.split(' '));
        command.output().unwrap().status.success()
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.0]).status();
    }
}

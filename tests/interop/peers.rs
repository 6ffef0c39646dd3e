//! Real peers: each is started on a path of its own, and stopped by its process id.

// Two test programs use it, each a part of it.
#![allow(dead_code)]

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// How long a peer may take to do anything: only a hang takes so long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Whether the programs are there; says why not, or fails when they must be.
pub(crate) fn installed(programs: &[&str]) -> bool {
    for program in programs {
        let found = std::env::var_os("PATH").is_some_and(|path| {
            std::env::split_paths(&path).any(|dir| dir.join(program).is_file())
        }) || *program == "dpdk-testpmd" && std::env::var_os("MEMIF_TESTPMD").is_some();
        if !there(program, found) {
            return false;
        }
    }
    true
}

/// The program that this variable names, or of this name; `None`, with the reason said, where there
/// is none. Only MEMIF_REQUIRE_INTEROP=all demands it: no distribution has these.
pub(crate) fn program(variable: &str, name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let named = std::env::var_os(variable).map(PathBuf::from);
    let found = named.or_else(|| {
        let mut programs = std::env::split_paths(&path).map(|dir| dir.join(name));
        programs.find(|program| program.is_file())
    });
    if found.is_none() {
        assert!(
            std::env::var_os("MEMIF_REQUIRE_INTEROP").is_none_or(|v| v != "all"),
            "{name} is not there, MEMIF_REQUIRE_INTEROP=all demands it: {variable} may name it"
        );
        eprintln!("skipped: {name} is not installed, nor named by {variable}");
    }
    found
}

/// Whether the peers that a distribution has must be there.
pub(crate) fn required() -> bool {
    std::env::var_os("MEMIF_REQUIRE_INTEROP").is_some_and(|v| v == "1" || v == "all")
}

/// Whether it was found; says that it was not, or fails when it must be there.
pub(crate) fn there(what: &str, found: bool) -> bool {
    if !found {
        assert!(
            !required(),
            "{what} is not installed, and MEMIF_REQUIRE_INTEROP demands it"
        );
        eprintln!("skipped: {what} is not installed");
    }
    found
}

/// An example of the library: `cargo test` builds them, `cargo test --test interop` alone does not.
pub(crate) fn example(name: &str) -> Option<PathBuf> {
    // This test is beside them, in a folder of its own.
    let test = std::env::current_exe().unwrap();
    let folder = test.parent().and_then(Path::parent).unwrap();
    let program = folder.join("examples").join(name);
    if program.exists() {
        return Some(program);
    }
    assert!(!required(), "the example {name} is not built");
    eprintln!("skipped: the example {name} is not built");
    None
}

/// A polling peer takes a whole core, so these tests go one at a time.
pub(crate) fn one_at_a_time() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A running DPDK program.
pub(crate) struct Dpdk {
    child: Child,
    log: PathBuf,
    /// testpmd ends when its standard input does.
    _stdin: ChildStdin,
}

/// `dpdk-testpmd` with memif ports.
pub(crate) struct Testpmd;

impl Testpmd {
    /// `role`: server or client; `vdev`: more of the device's arguments, `options`: of testpmd's.
    pub(crate) fn start(
        dir: &Path,
        role: &str,
        socket: &str,
        vdev: &str,
        mode: &str,
        options: &[&str],
    ) -> Dpdk {
        let abstracted = if socket.starts_with('@') { "yes" } else { "no" };
        let path = socket.trim_start_matches('@');
        let device = format!("role={role},socket={path},id=0,socket-abstract={abstracted}{vdev}");
        Self::with_devices(dir, &[device], mode, options)
    }

    /// With a port for each of these devices' arguments.
    pub(crate) fn with_devices(
        dir: &Path,
        devices: &[String],
        mode: &str,
        options: &[&str],
    ) -> Dpdk {
        Self::with_memory(&["--no-huge", "-m", "256"], dir, devices, mode, options)
    }

    /// With other options for its memory.
    pub(crate) fn with_memory(
        memory: &[&str],
        dir: &Path,
        devices: &[String],
        mode: &str,
        options: &[&str],
    ) -> Dpdk {
        let mode = format!("--forward-mode={mode}");
        // Without --no-flush-rx, what arrives before forwarding starts is thrown away.
        let mut all = vec!["--total-num-mbufs=16384", "--auto-start", "--no-flush-rx"];
        all.extend(["--stats-period=1", &mode]);
        all.extend(options);
        let program = std::env::var_os("MEMIF_TESTPMD").unwrap_or_else(|| "dpdk-testpmd".into());
        Dpdk::with_memory(memory, program.as_ref(), dir, devices, &all)
    }
}

impl Dpdk {
    /// With a port for each of these devices' arguments, and options of the program's own.
    pub(crate) fn start(program: &Path, dir: &Path, devices: &[String], options: &[&str]) -> Self {
        Self::with_memory(&["--no-huge", "-m", "256"], program, dir, devices, options)
    }

    /// With other options for its memory.
    pub(crate) fn with_memory(
        memory: &[&str],
        program: &Path,
        dir: &Path,
        devices: &[String],
        options: &[&str],
    ) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let n = COUNT.fetch_add(1, Ordering::Relaxed);
        let log = dir.join(format!("dpdk{n}.log"));
        let out = File::create(&log).unwrap();
        let devices = devices.iter().enumerate();
        let mut child = Command::new(program)
            .args(memory)
            .args(["--lcores", "0@0,1@0", "--no-pci"])
            .arg(format!(
                "--file-prefix=memif-test-{}-{n}",
                std::process::id()
            ))
            .args(devices.map(|(n, device)| format!("--vdev=net_memif{n},{device}")))
            .arg("--")
            .args(options)
            .stdin(Stdio::piped())
            .stdout(out.try_clone().unwrap())
            .stderr(out)
            .spawn()
            .unwrap();
        let stdin = child.stdin.take().unwrap();
        Self {
            child,
            log,
            _stdin: stdin,
        }
    }

    /// Ends it in good order; all that it has said.
    pub(crate) fn stop(&mut self) -> String {
        kill(Pid::from_raw(self.child.id() as i32), Signal::SIGINT).unwrap();
        self.child.wait().unwrap();
        std::fs::read_to_string(&self.log).unwrap()
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Dpdk {
    fn drop(&mut self) {
        let ended = |child: &mut Child| matches!(child.try_wait(), Ok(Some(_)));
        if !ended(&mut self.child) {
            let _ = kill(Pid::from_raw(self.child.id() as i32), Signal::SIGINT);
            wait_until(Duration::from_secs(10), || ended(&mut self.child));
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        if std::thread::panicking() {
            let mut text = String::new();
            let _ = File::open(&self.log).and_then(|mut f| f.read_to_string(&mut text));
            eprintln!("--- {}:\n{text}", self.log.display());
        }
    }
}

/// Looks again and again; whether the condition came true in time.
pub(crate) fn wait_until(limit: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + limit;
    while !condition() {
        if Instant::now() > end {
            return false;
        }
        std::thread::yield_now();
        std::thread::park_timeout(Duration::from_millis(5));
    }
    true
}

/// Runs a program to its end; its standard output. Fails when it does, or complains.
pub(crate) fn output(program: &str, args: &[&str]) -> String {
    let out = Command::new(program).args(args).output().unwrap();
    let complaints: String = String::from_utf8_lossy(&out.stderr)
        .lines()
        .filter(|l| !l.contains("Running as user \"root\""))
        .collect();
    assert!(
        out.status.success() && complaints.is_empty(),
        "{program} {args:?}: {complaints}"
    );
    String::from_utf8_lossy(&out.stdout).into_owned()
}

/// Whether full counts are asked for, as in CI: MEMIF_LONG=1.
pub(crate) fn is_long() -> bool {
    std::env::var_os("MEMIF_LONG").is_some_and(|v| v == "1")
}

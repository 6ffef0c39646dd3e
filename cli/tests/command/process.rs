//! Child processes: started, waited for with a limit, stopped by their own id.

use std::ffi::OsStr;
use std::fs;
use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

pub(crate) const MEMIF: &str = env!("CARGO_BIN_EXE_memif");

/// Only a hang takes so long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// A folder for one test: its socket, its files.
pub(crate) struct Place(TempDir);

impl Place {
    pub(crate) fn new() -> Self {
        Self(tempfile::Builder::new().prefix("memif").tempdir().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    pub(crate) fn socket(&self) -> String {
        self.text("memif.sock")
    }
}

/// The command with these arguments, and nothing of the tester's environment that it would look at.
pub(crate) fn memif(args: &[&str]) -> Command {
    let mut command = Command::new(MEMIF);
    command
        .args(args)
        .env_remove("MEMIF_SECRET")
        .env_remove("RUST_LOG")
        .env("TZ", "UTC")
        .stdin(Stdio::null());
    command
}

/// Whether these programs are there; says which is missing, or fails with MEMIF_REQUIRE_INTEROP.
pub(crate) fn installed(programs: &[&str]) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_there =
        |name: &&str| std::env::split_paths(&path).any(|folder| folder.join(name).is_file());
    is_installed(programs.iter().find(|name| !is_there(name)).copied())
}

/// The same of libpcap, without which there are no filters.
pub(crate) fn has_filters() -> bool {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../testdata/mixed.pcap");
    let said = run(&["capture", "-r", file, "--count-only", "udp"]).said;
    is_installed(said.contains("libpcap, which is not").then_some("libpcap"))
}

fn is_installed(missing: Option<&str>) -> bool {
    let Some(missing) = missing else {
        return true;
    };
    let required = std::env::var("MEMIF_REQUIRE_INTEROP").is_ok_and(|v| v == "1" || v == "all");
    assert!(
        !required,
        "{missing} is not installed, and MEMIF_REQUIRE_INTEROP demands it"
    );
    eprintln!("skipped: {missing} is not installed");
    false
}

/// Whether full counts are asked for, as in CI: MEMIF_LONG=1.
pub(crate) fn is_long() -> bool {
    std::env::var_os("MEMIF_LONG").is_some_and(|v| v == "1")
}

/// Runs it to its end.
pub(crate) fn run(args: &[&str]) -> Ended {
    Process::start(args).finish()
}

/// A running program; killed when dropped.
pub(crate) struct Process {
    child: Child,
    name: String,
    error: Reader,
    output: Option<Reader>,
}

/// How a program ended, and what it wrote.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) said: String,
    pub(crate) output: Vec<u8>,
}

impl Ended {
    #[track_caller]
    pub(crate) fn good(self) -> Self {
        assert_eq!(self.code, Some(0), "{}", self.said);
        self
    }

    /// Failed with this code, and the last line has all of these words.
    #[track_caller]
    pub(crate) fn failed(self, code: i32, words: &[&str]) -> Self {
        assert_eq!(self.code, Some(code), "{}", self.said);
        let last = self.said.lines().last().unwrap_or_default();
        for word in words {
            assert!(last.contains(word), "no {word:?} in:\n{}", self.said);
        }
        self
    }

    /// Wrong usage, told with this word.
    #[track_caller]
    pub(crate) fn refused(self, word: &str) -> Self {
        assert_eq!(self.code, Some(2), "{}", self.said);
        self.says(word)
    }

    #[track_caller]
    pub(crate) fn says(self, words: &str) -> Self {
        assert!(self.said.contains(words), "no {words:?} in:\n{}", self.said);
        self
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        let text = String::from_utf8_lossy(&self.output);
        text.lines().map(str::to_owned).collect()
    }
}

impl Process {
    pub(crate) fn start(args: &[&str]) -> Self {
        Self::spawn(&mut memif(args))
    }

    /// What it writes is collected, so that it never waits for us.
    pub(crate) fn spawn(command: &mut Command) -> Self {
        let (mut this, stdout) = Self::with_stdout(command);
        this.output = Some(Reader::new(stdout));
        this
    }

    /// With its standard output for the caller to read, or not.
    pub(crate) fn with_stdout(command: &mut Command) -> (Self, ChildStdout) {
        let mut this = Self::silent(command.stdout(Stdio::piped()));
        let stdout = this.child.stdout.take().unwrap();
        (this, stdout)
    }

    /// With the standard output that the command has been given.
    pub(crate) fn silent(command: &mut Command) -> Self {
        let args: Vec<_> = command.get_args().map(OsStr::to_string_lossy).collect();
        let name = args.join(" ");
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let error = Reader::new(child.stderr.take().unwrap());
        Self {
            child,
            name,
            error,
            output: None,
        }
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id() as i32)
    }

    pub(crate) fn stdin(&mut self) -> ChildStdin {
        self.child.stdin.take().unwrap()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).unwrap();
    }

    /// Until it has said this on standard error, so many times.
    #[track_caller]
    pub(crate) fn wait_said(&self, words: &str, times: usize) {
        let found = self.error.wait(|text| text.matches(words).count() >= times);
        assert!(found, "{}: no {words:?} in:\n{}", self.name, self.said());
    }

    /// Until this is on standard output.
    #[track_caller]
    pub(crate) fn wait_output(&self, words: &str) {
        let found = self.output.as_ref().unwrap().wait(|t| t.contains(words));
        assert!(found, "{}: no {words:?}:\n{}", self.name, self.said());
    }

    pub(crate) fn said(&self) -> String {
        self.error.text()
    }

    /// What is on standard output so far.
    pub(crate) fn shown(&self) -> String {
        self.output.as_ref().map(Reader::text).unwrap_or_default()
    }

    /// Halts it; returns when it is halted.
    #[track_caller]
    pub(crate) fn halt(&self) {
        self.signal(Signal::SIGSTOP);
        wait_until("a halted process", || {
            let stat = fs::read_to_string(self.proc("stat")).unwrap();
            stat.rsplit_once(") ").unwrap().1.starts_with('T')
        });
    }

    pub(crate) fn go_on(&self) {
        self.signal(Signal::SIGCONT);
    }

    /// Until the main thread has slept, and so waited, this many times more.
    #[track_caller]
    pub(crate) fn wait_sleeping(&self, times: u64) {
        let start = self.status("voluntary_ctxt_switches:");
        wait_until("a process that waits", || {
            self.status("voluntary_ctxt_switches:") >= start + times
        });
    }

    /// Until all its threads are asleep.
    #[track_caller]
    pub(crate) fn wait_idle(&self) {
        let tasks = self.proc("task");
        wait_until("threads that sleep", || {
            fs::read_dir(&tasks).unwrap().flatten().all(|task| {
                let stat = fs::read_to_string(task.path().join("stat")).unwrap_or_default();
                stat.contains(") S ")
            })
        });
    }

    /// A number of /proc/PID/status.
    pub(crate) fn status(&self, name: &str) -> u64 {
        let status = fs::read_to_string(self.proc("status")).unwrap();
        let line = status.lines().find_map(|l| l.strip_prefix(name)).unwrap();
        line.split_whitespace().next().unwrap().parse().unwrap()
    }

    /// That all its threads have used.
    pub(crate) fn processor_time(&self) -> Duration {
        let stat = fs::read_to_string(self.proc("stat")).unwrap();
        let fields = stat.rsplit_once(") ").unwrap().1.split(' ');
        let ticks = fields.skip(11).take(2).map(|t| t.parse::<u64>().unwrap());
        Duration::from_millis(ticks.sum::<u64>() * 10)
    }

    pub(crate) fn descriptors(&self) -> usize {
        fs::read_dir(self.proc("fd")).unwrap().count()
    }

    /// Kills it with SIGKILL; returns when it is gone.
    pub(crate) fn kill_now(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits for its end.
    #[track_caller]
    pub(crate) fn finish(mut self) -> Ended {
        let end = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(
                Instant::now() < end,
                "{} does not end:\n{}",
                self.name,
                self.said()
            );
            pause();
        };
        self.error.wait_end();
        let output = self.output.as_ref().map(Reader::wait_end);
        assert_eq!(status.signal().map(|_| self.said()), None, "{status}");
        Ended {
            code: status.code(),
            said: self.said(),
            output: output.unwrap_or_default(),
        }
    }

    fn proc(&self, file: &str) -> String {
        format!("/proc/{}/{file}", self.child.id())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Fails when it has ended; its number is not another's before `wait`.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!("--- {}:\n{}", self.name, self.said());
        }
    }
}

/// Collects what comes out of a pipe.
struct Reader {
    shared: Arc<(Mutex<Text>, Condvar)>,
    _thread: JoinHandle<()>,
}

#[derive(Default)]
struct Text {
    bytes: Vec<u8>,
    ended: bool,
}

impl Reader {
    fn new(mut pipe: impl Read + Send + 'static) -> Self {
        let shared = Arc::<(Mutex<Text>, Condvar)>::default();
        let ours = Arc::clone(&shared);
        let thread = thread::spawn(move || {
            let mut buffer = [0; 65536];
            loop {
                let n = pipe.read(&mut buffer).unwrap_or(0);
                let mut text = ours.0.lock().unwrap_or_else(PoisonError::into_inner);
                text.bytes.extend_from_slice(&buffer[..n]);
                text.ended = n == 0;
                ours.1.notify_all();
                if n == 0 {
                    return;
                }
            }
        });
        Self {
            shared,
            _thread: thread,
        }
    }

    fn wait(&self, mut found: impl FnMut(&str) -> bool) -> bool {
        let end = Instant::now() + PATIENCE;
        let mut text = self.shared.0.lock().unwrap();
        loop {
            if found(&String::from_utf8_lossy(&text.bytes)) {
                return true;
            }
            let left = end.saturating_duration_since(Instant::now());
            if text.ended || left.is_zero() {
                return false;
            }
            text = self.shared.1.wait_timeout(text, left).unwrap().0;
        }
    }

    fn wait_end(&self) -> Vec<u8> {
        let text = self.shared.0.lock().unwrap();
        let wait = self
            .shared
            .1
            .wait_timeout_while(text, PATIENCE, |t| !t.ended);
        wait.unwrap().0.bytes.clone()
    }

    fn text(&self) -> String {
        let text = self.shared.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&text.bytes).into_owned()
    }
}

/// Looks again and again.
#[track_caller]
pub(crate) fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < end, "waiting for {what}");
        pause();
    }
}

fn pause() {
    thread::park_timeout(Duration::from_millis(2));
}

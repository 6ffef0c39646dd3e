//! One thread for all that happens beside the packets: signals, timers, the reader of a pipe,
//! requests for numbers. It polls their descriptors, and never blocks elsewhere.

use std::fs;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::process;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2};
use signal_hook::iterator::backend::{Handle, SignalDelivery};
use signal_hook::iterator::exfiltrator::SignalOnly;

use crate::failure::Failure;
use crate::lock::lock;
use crate::report;

/// What a signal asks of a command that goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    /// SIGUSR1
    Statistics,
    /// SIGUSR2
    Flush,
}

/// Something that is done when a descriptor is ready, or its time has come.
pub(crate) trait Task: Send {
    /// What it waits for.
    fn polled<'a>(&'a self, _fds: &mut Vec<PollFd<'a>>) {}

    /// When it is to run, whatever is ready.
    fn deadline(&self) -> Option<Instant> {
        None
    }

    /// Does what can be done without blocking; false when there will be nothing more to do.
    fn run(&mut self, ready: bool) -> bool;
}

type Closer = Box<dyn FnOnce() + Send>;
type OnRequest = Box<dyn FnMut(Request) + Send>;

/// The thread, and whether the command is to end. Clones are the same.
#[derive(Clone)]
pub(crate) struct Events(Arc<Shared>);

struct Shared {
    stopped: AtomicBool,
    /// Held while the command's links are closed.
    closing: Mutex<()>,
    /// A byte in it, never taken out, ends every blocked read.
    interrupt: Pipe,
    wake: Pipe,
    signals: Handle,
    given: Mutex<Given>,
}

/// What the thread has not taken up yet.
#[derive(Default)]
struct Given {
    tasks: Vec<Box<dyn Task>>,
    closers: Vec<Closer>,
    on_request: Option<OnRequest>,
}

impl std::fmt::Debug for Events {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Events").field(&self.is_stopped()).finish()
    }
}

impl Events {
    /// Starts the thread. SIGINT, SIGTERM and SIGHUP stop the command, once; a second one ends it
    /// at once. Those that this process was started to ignore (`nohup`) stay ignored.
    pub(crate) fn start() -> Result<Self, Failure> {
        let failed = |e: io::Error| Failure::Failed(format!("catching signals: {e}"));
        let caught = not_ignored([SIGINT, SIGTERM, SIGHUP]);
        let (read, write) = UnixStream::pair().map_err(failed)?;
        let signals = SignalDelivery::with_pipe(read, write, SignalOnly, caught);
        let mut signals = signals.map_err(failed)?;
        let this = Self(Arc::new(Shared {
            stopped: AtomicBool::new(false),
            closing: Mutex::default(),
            interrupt: Pipe::new().map_err(failed)?,
            wake: Pipe::new().map_err(failed)?,
            signals: signals.handle(),
            given: Mutex::default(),
        }));
        let woken = this.clone();
        report::write_later(move || woken.0.wake.ring());
        let shared = this.clone();
        thread::spawn(move || shared.run(&mut signals));
        Ok(this)
    }

    /// Ends the command's work: closes what was to be closed, interrupts blocked reads.
    pub(crate) fn stop(&self) {
        let _closing = self.closing();
        // In one order with what others look at before or after it.
        self.0.stopped.store(true, Ordering::SeqCst);
        self.interrupt();
        let closers = std::mem::take(&mut self.given().closers);
        closers.into_iter().for_each(|close| close());
    }

    /// Waits, after a stop, until all that was to be closed is: peers have a second to read.
    pub(crate) fn closing(&self) -> MutexGuard<'_, ()> {
        lock(&self.0.closing)
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.0.stopped.load(Ordering::SeqCst)
    }

    /// Is called when the command is stopped, at once where it was before.
    pub(crate) fn on_stop(&self, close: impl FnOnce() + Send + 'static) {
        self.given().closers.push(Box::new(close));
        if self.is_stopped() {
            self.stop();
        }
    }

    /// Ends reads that are blocked, now and later.
    pub(crate) fn interrupt(&self) {
        self.0.interrupt.ring();
    }

    /// Sleeps so long, or until the command is stopped.
    pub(crate) fn sleep(&self, time: Duration) {
        let mut fds = [PollFd::new(self.interrupted(), PollFlags::POLLIN)];
        let _ = poll(&mut fds, timeout(Instant::now().checked_add(time)));
    }

    /// Is readable once reads are to end.
    pub(crate) fn interrupted(&self) -> BorrowedFd<'_> {
        self.0.interrupt.read.as_fd()
    }

    pub(crate) fn add(&self, task: impl Task + 'static) {
        self.given().tasks.push(Box::new(task));
        self.0.wake.ring();
    }

    /// Stops the command then.
    pub(crate) fn stop_at(&self, time: Instant) {
        self.add(StopAt(time, self.clone()));
    }

    /// Calls it again and again.
    pub(crate) fn every(&self, time: Duration, call: impl FnMut() + Send + 'static) {
        if let Some(first) = Instant::now().checked_add(time) {
            self.add(Every(time, first, call));
        }
    }

    /// From now on SIGUSR1 and SIGUSR2 are requests.
    pub(crate) fn on_request(
        &self,
        call: impl FnMut(Request) + Send + 'static,
    ) -> Result<(), Failure> {
        self.given().on_request = Some(Box::new(call));
        [SIGUSR1, SIGUSR2]
            .into_iter()
            .try_for_each(|signal| self.0.signals.add_signal(signal))
            .map_err(|e| Failure::Failed(format!("catching signals: {e}")))
    }

    fn given(&self) -> MutexGuard<'_, Given> {
        lock(&self.0.given)
    }

    fn run(&self, signals: &mut SignalDelivery<UnixStream, SignalOnly>) {
        let mut tasks: Vec<Box<dyn Task>> = Vec::new();
        loop {
            tasks.append(&mut self.given().tasks);
            let ready = wait(&tasks, signals.get_read(), &self.0.wake.read);
            self.0.wake.clear();
            report::write_what_fits();
            for signal in signals.pending() {
                self.signal(signal);
            }
            let mut ready = ready.into_iter();
            tasks.retain_mut(|task| {
                let ready = ready.next().unwrap_or(false);
                let due = || task.deadline().is_some_and(|due| due <= Instant::now());
                !(ready || due()) || task.run(ready)
            });
        }
    }

    fn signal(&self, signal: i32) {
        let request = match signal {
            SIGUSR1 => Request::Statistics,
            SIGUSR2 => Request::Flush,
            _ if self.is_stopped() => process::exit(128 + signal),
            _ => return self.stop(),
        };
        // Called without the lock.
        let call = self.given().on_request.take();
        if let Some(mut call) = call {
            call(request);
            self.given().on_request.get_or_insert(call);
        }
    }
}

struct Every<F>(Duration, Instant, F);

impl<F: FnMut() + Send> Task for Every<F> {
    fn deadline(&self) -> Option<Instant> {
        Some(self.1)
    }

    fn run(&mut self, _ready: bool) -> bool {
        self.1 += self.0;
        (self.2)();
        true
    }
}

struct StopAt(Instant, Events);

impl Task for StopAt {
    fn deadline(&self) -> Option<Instant> {
        Some(self.0)
    }

    fn run(&mut self, _ready: bool) -> bool {
        self.1.stop();
        false
    }
}

/// Waits for the first of all; which of the tasks have something to do.
fn wait(tasks: &[Box<dyn Task>], signals: &UnixStream, wake: &UnixStream) -> Vec<bool> {
    let stderr = io::stderr();
    let mut fds = [signals, wake]
        .map(|fd| PollFd::new(fd.as_fd(), PollFlags::POLLIN))
        .to_vec();
    if report::is_waiting() {
        fds.push(PollFd::new(stderr.as_fd(), PollFlags::POLLOUT));
    }
    let mut ends = Vec::with_capacity(tasks.len());
    for task in tasks {
        let start = fds.len();
        task.polled(&mut fds);
        ends.push(start..fds.len());
    }
    let first = tasks.iter().filter_map(|task| task.deadline()).min();
    if poll(&mut fds, timeout(first)).is_err() {
        return Vec::new(); // EINTR
    }
    let ready = |fd: &PollFd<'_>| fd.any().unwrap_or(true);
    ends.into_iter()
        .map(|range| fds[range].iter().any(ready))
        .collect()
}

/// Until that moment, rounded up, so that the deadline has passed afterwards.
fn timeout(deadline: Option<Instant>) -> PollTimeout {
    let Some(deadline) = deadline else {
        return PollTimeout::NONE;
    };
    let left = deadline.saturating_duration_since(Instant::now());
    PollTimeout::try_from(left + Duration::from_micros(999)).unwrap_or(PollTimeout::MAX)
}

/// Without those that this process was started to ignore.
fn not_ignored<const N: usize>(signals: [i32; N]) -> Vec<i32> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask
        .and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok())
        .unwrap_or(0);
    signals
        .into_iter()
        .filter(|signal| mask >> (signal - 1) & 1 == 0)
        .collect()
}

/// Wakes whoever polls its end.
struct Pipe {
    read: UnixStream,
    write: UnixStream,
}

impl Pipe {
    fn new() -> io::Result<Self> {
        let (read, write) = UnixStream::pair()?;
        read.set_nonblocking(true)?;
        write.set_nonblocking(true)?;
        Ok(Self { read, write })
    }

    /// A full pipe has woken already.
    fn ring(&self) {
        let _ = (&self.write).write(&[0]);
    }

    fn clear(&self) {
        while (&self.read)
            .read(&mut [0; 64])
            .is_ok_and(|count| count == 64)
        {}
    }
}

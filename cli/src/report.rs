//! What the commands say on standard error: notices, and the log.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::lock::lock;

/// Lines that are not written yet.
static WAITING: Mutex<VecDeque<Vec<u8>>> = Mutex::new(VecDeque::new());
/// Held while one is written, so that they stay in order.
static WRITING: Mutex<()> = Mutex::new(());
/// Wakes the thread that writes what others must not wait for.
static WAKE: OnceLock<Box<dyn Fn() + Send + Sync>> = OnceLock::new();

/// The last line of the terminal is a progress bar, which draws itself anew below what is said.
static BAR: AtomicBool = AtomicBool::new(false);

/// Whether a progress bar is drawn on standard error from now on.
pub(crate) fn has_bar(shown: bool) {
    BAR.store(shown, Ordering::Relaxed);
}

/// A line for the user; a closed standard error is nobody's problem.
pub(crate) fn notice(text: impl fmt::Display) {
    push(format!("memif: {text}\n").into_bytes());
    flush();
}

/// As `notice`, without waiting for a standard error that blocks. For the control thread.
pub(crate) fn notice_later(text: impl fmt::Display) {
    push(format!("memif: {text}\n").into_bytes());
    match WAKE.get() {
        Some(wake) => wake(),
        None => flush(),
    }
}

/// From now on there is a thread that writes when it is woken.
pub(crate) fn write_later(wake: impl Fn() + Send + Sync + 'static) {
    let _ = WAKE.set(Box::new(wake)); // the first is as good
}

fn push(line: Vec<u8>) {
    /// Of those that nobody reads the oldest are forgotten.
    const MOST: usize = 1000;
    let mut waiting = lock(&WAITING);
    if waiting.len() >= MOST {
        waiting.pop_front();
    }
    waiting.push_back(line);
}

pub(crate) fn is_waiting() -> bool {
    !lock(&WAITING).is_empty()
}

/// Writes all lines, in order, each in one piece as others may write there too.
pub(crate) fn flush() {
    let _writing = lock(&WRITING);
    while let Some(line) = lock(&WAITING).pop_front() {
        write(&line);
    }
}

/// Writes what standard error takes without blocking. A line is shorter than what a pipe has room
/// for when it is ready.
pub(crate) fn write_what_fits() {
    // Whoever writes now writes everything.
    let Ok(_writing) = WRITING.try_lock() else {
        return;
    };
    let stderr = io::stderr();
    let ready = || {
        let mut fds = [PollFd::new(stderr.as_fd(), PollFlags::POLLOUT)];
        poll(&mut fds, PollTimeout::ZERO).is_ok_and(|ready| ready > 0)
    };
    while is_waiting() && ready() {
        if let Some(line) = lock(&WAITING).pop_front() {
            write(&line);
        }
    }
}

/// In place of the bar, if there is one.
fn write(line: &[u8]) {
    const CLEAR: &[u8] = b"\r\x1b[2K";
    let _ = match BAR.load(Ordering::Relaxed) {
        true => io::stderr().write_all(&[CLEAR, line].concat()),
        false => io::stderr().write_all(line),
    };
}

/// The last warnings: a peer that is refused comes again ten times a second, and the first time
/// says it all.
#[derive(Debug, Default)]
pub(crate) struct Repeats(Mutex<VecDeque<(String, Instant)>>);

impl Repeats {
    /// Whether it was not said in the last ten seconds.
    pub(crate) fn is_new(&self, line: &str, now: Instant) -> bool {
        const AGAIN_AFTER: Duration = Duration::from_secs(10);
        const KEPT: usize = 16;
        let mut said = lock(&self.0);
        said.retain(|(_, at)| now.saturating_duration_since(*at) < AGAIN_AFTER);
        if said.iter().any(|(before, _)| before == line) {
            return false;
        }
        said.truncate(KEPT - 1);
        said.push_front((line.to_owned(), now));
        true
    }
}

/// The library's log goes to standard error, in the command's own form.
pub(crate) fn start_log(verbose: u8) {
    let level = match verbose {
        0 => log::LevelFilter::Warn,
        1 => log::LevelFilter::Info,
        _ => log::LevelFilter::Debug,
    };
    let repeats = Repeats::default();
    env_logger::Builder::new()
        .filter_level(level)
        .parse_default_env()
        .format(move |_, record| {
            let line = record.args().to_string();
            if record.level() > log::Level::Warn || repeats.is_new(&line, Instant::now()) {
                notice_later(line);
            }
            Ok(())
        })
        .init();
}

/// As in `2 packets rejected by the filter`, where there are any.
pub(crate) fn notice_some(n: u64, what: &str, became: impl fmt::Display) {
    if n > 0 {
        notice_later(format_args!("{} {became}", count(n, what)));
    }
}

/// `1 packet`, `2 packets`.
pub(crate) fn count(n: u64, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

/// What passed in a time: `12000 packets, 960000 bytes in 1.500 s (8000 packets/s, 5.12 Mbit/s)`.
pub(crate) fn rate(packets: u64, bytes: u64, time: Duration) -> String {
    let seconds = time.as_secs_f64();
    let per_second = |n: f64| if seconds > 0.0 { n / seconds } else { 0.0 };
    format!(
        "{}, {} in {seconds:.3} s ({:.0} packets/s, {:.2} Mbit/s)",
        count(packets, "packet"),
        count(bytes, "byte"),
        per_second(packets as f64),
        per_second(bytes as f64 * 8e-6),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_is_said_again_after_a_while() {
        let (repeats, start) = (Repeats::default(), Instant::now());
        let at = |line: &str, seconds| repeats.is_new(line, start + Duration::from_secs(seconds));
        assert!(at("a", 0) && at("b", 0));
        assert!(!at("a", 9) && !at("b", 9));
        assert!(at("a", 10) && !at("a", 19) && at("a", 20));
        for n in 0..100 {
            assert!(at(&n.to_string(), 20), "{n}");
        }
        assert!(at("a", 20), "only the last ones are known");
    }

    #[test]
    fn rates_are_those_of_the_time() {
        assert_eq!(
            rate(12_000, 960_000, Duration::from_millis(1500)),
            "12000 packets, 960000 bytes in 1.500 s (8000 packets/s, 5.12 Mbit/s)"
        );
        assert_eq!(
            rate(1, 1, Duration::ZERO),
            "1 packet, 1 byte in 0.000 s (0 packets/s, 0.00 Mbit/s)"
        );
    }
}

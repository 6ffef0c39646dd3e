//! Our end of a link, on a thread of its own, over all the processes at the other one.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};

use memif::{Memif, PacketHandle};

use crate::peer::{PAUSE, last_words, numbers, send};

pub(crate) struct Side {
    received: Arc<AtomicU64>,
    thread: JoinHandle<Told>,
}

#[derive(Debug, Default)]
pub(crate) struct Told {
    sent: u64,
    received: u64,
    /// Processes whose packets came.
    peers: u64,
    links: u64,
    pub(crate) faults: Vec<String>,
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} links, {} packets sent, {} received from {} processes",
            self.links, self.sent, self.received, self.peers
        )
    }
}

impl Side {
    pub(crate) fn start(memif: Memif, folder: PathBuf, ending: Arc<AtomicBool>) -> Self {
        let received = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&received);
        let thread = thread::spawn(move || run(&memif, &folder, &ending, &count));
        Self { received, thread }
    }

    pub(crate) fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    pub(crate) fn finish(self) -> Told {
        self.thread.join().unwrap_or_else(|_| Told {
            faults: vec!["its thread panicked".into()],
            ..Told::default()
        })
    }
}

fn run(memif: &Memif, folder: &Path, ending: &AtomicBool, count: &AtomicU64) -> Told {
    let mut handle = memif.packet_handle(0).unwrap();
    let mut told = Told::default();
    let mut sender = 0;
    let mut next = 0;
    loop {
        // Before the last look.
        let last = ending.load(Ordering::Acquire);
        read_all(&mut handle, folder, &mut sender, &mut next, &mut told);
        count.store(told.received, Ordering::Relaxed);
        if last {
            break;
        }
        told.sent += send(&mut handle, 0, told.sent);
        thread::sleep(PAUSE);
    }
    complete(folder, sender, next, &mut told);
    told.links = memif.stats().links;
    told
}

fn read_all(
    handle: &mut PacketHandle,
    folder: &Path,
    sender: &mut u64,
    next: &mut u64,
    told: &mut Told,
) {
    loop {
        let (from, number) = match handle.read_packet() {
            Ok(packet) => numbers(&packet),
            Err(e) if e.is_eof() => return,
            Err(e) => return told.faults.push(e.to_string()),
        };
        told.received += 1;
        if from != *sender {
            if from < *sender {
                told.faults.push(format!("process {from} after {sender}"));
            }
            complete(folder, *sender, *next, told);
            told.peers += 1;
            (*sender, *next) = (from, 0);
        }
        if number != *next {
            told.faults
                .push(format!("of process {from}: {number}, not {next}"));
        }
        *next = number + 1;
    }
}

/// A process is gone: all that it had published has come.
fn complete(folder: &Path, sender: u64, next: u64, told: &mut Told) {
    if sender == 0 {
        return;
    }
    let (published, broken) = last_words(folder, sender);
    if next < published {
        let fault = format!("process {sender} had published {published}, {next} came");
        told.faults.push(fault);
    }
    if broken > 0 {
        let fault = format!("process {sender} received {broken} packets out of order");
        told.faults.push(fault);
    }
}

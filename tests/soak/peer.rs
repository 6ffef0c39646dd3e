//! The processes at the other ends.
//!
//! Each has a file, of which every word outlives it: how many packets it has published, how many it
//! has received, and how many of those were not the next one.

use std::fs::{self, File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use memif::{Context, Error, MemifConfig, PacketHandle};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::common::{LONG, assert_same, pattern};

const PUBLISHED: u64 = 0;
const RECEIVED: u64 = 8;
const BROKEN: u64 = 16;

/// Packets of one turn; between two turns it sleeps.
pub(crate) const BURST: u64 = 16;
pub(crate) const PAUSE: Duration = Duration::from_millis(1);

/// Who sends it (a process's number, or 0), and its number there.
pub(crate) fn packet(sender: u64, number: u64) -> Vec<u8> {
    let length = 16 + (number.wrapping_mul(7919) % 300) as usize;
    let mut bytes = pattern(sender << 40 | number, length);
    bytes[..8].copy_from_slice(&sender.to_ne_bytes());
    bytes[8..16].copy_from_slice(&number.to_ne_bytes());
    bytes
}

/// Its sender and number; the rest of it must be as they say.
pub(crate) fn numbers(bytes: &[u8]) -> (u64, u64) {
    let word = |at: usize| u64::from_ne_bytes(bytes[at..at + 8].try_into().unwrap());
    let (sender, number) = (word(0), word(8));
    assert_same(
        bytes,
        &packet(sender, number),
        format!("{number} of {sender}"),
    );
    (sender, number)
}

/// Sends as many as there is room for, up to a burst.
pub(crate) fn send(handle: &mut PacketHandle, sender: u64, next: u64) -> u64 {
    let packets: Vec<_> = (next..next + BURST).map(|n| packet(sender, n)).collect();
    match handle.write_packets(&packets) {
        Ok(sent) => sent as u64,
        Err(e) if e.is_eof() || e == Error::Full => 0,
        Err(e) => panic!("sending: {e}"),
    }
}

pub(crate) struct Process {
    child: Child,
    file: File,
}

impl Process {
    pub(crate) fn start(role: memif::Role, socket: &str, folder: &Path) -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(1);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = file_of(folder, number);
        fs::write(&path, [0; 24]).unwrap();
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--peer", &role.to_string(), socket])
            .args([path.as_os_str(), number.to_string().as_ref()])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        Self {
            child,
            file: File::open(&path).unwrap(),
        }
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id() as i32), signal).unwrap();
    }

    pub(crate) fn stop(&self) {
        self.signal(Signal::SIGSTOP);
    }

    pub(crate) fn go_on(&self) {
        self.signal(Signal::SIGCONT);
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// It sends no more, waits until all is taken, and closes.
    pub(crate) fn leave(&mut self) {
        drop(self.child.stdin.take());
        assert!(self.child.wait().unwrap().success());
    }

    pub(crate) fn received(&self) -> u64 {
        word(&self.file, RECEIVED)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Nothing of it is left after a failure either.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn word(file: &File, at: u64) -> u64 {
    let mut bytes = [0; 8];
    file.read_exact_at(&mut bytes, at).unwrap();
    u64::from_ne_bytes(bytes)
}

fn file_of(folder: &Path, number: u64) -> PathBuf {
    folder.join(number.to_string())
}

/// Of a process that is gone: what it said it has published, and what reached it out of order.
/// Its file goes.
pub(crate) fn last_words(folder: &Path, number: u64) -> (u64, u64) {
    let path = file_of(folder, number);
    let file = File::open(&path).unwrap();
    fs::remove_file(&path).unwrap();
    (word(&file, PUBLISHED), word(&file, BROKEN))
}

/// Processes that nobody has heard of, though they had published packets.
pub(crate) fn left(folder: &Path) -> Vec<String> {
    let files = fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().path());
    let unheard = files.filter_map(|path| {
        let published = word(&File::open(&path).unwrap(), PUBLISHED);
        (published > 0).then(|| format!("{}: {published} packets, none came", path.display()))
    });
    unheard.collect()
}

pub(crate) fn main(role: &str, socket: &str, file: &str, number: &str) {
    let number: u64 = number.parse().unwrap();
    let file = OpenOptions::new().write(true).open(file).unwrap();
    let say = |at, value: u64| file.write_all_at(&value.to_ne_bytes(), at).unwrap();
    let leaving = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&leaving);
    thread::spawn(move || {
        let _ = std::io::stdin().read(&mut [0]);
        told.store(true, Ordering::Release);
    });
    let context = Context::builder("peer").reconnect_interval(Duration::from_millis(20));
    let context = context.build().unwrap();
    let config = MemifConfig::new(socket).role(role.parse().unwrap());
    let memif = context.create_interface(config.log2_ring_size(8)).unwrap();
    let mut handle = memif.packet_handle(0).unwrap();
    let (mut published, mut received, mut broken) = (0, 0, 0);
    let mut last = None;
    while !leaving.load(Ordering::Acquire) {
        let sent = send(&mut handle, number, published);
        if sent > 0 {
            published += sent;
            say(PUBLISHED, published);
        }
        while let Ok(packet) = handle.read_packet() {
            let (sender, n) = numbers(&packet);
            if sender != 0 || last.is_some_and(|last| n != last + 1) {
                broken += 1;
                say(BROKEN, broken);
            }
            last = Some(n);
            received += 1;
            say(RECEIVED, received);
        }
        thread::sleep(PAUSE);
    }
    if memif.is_link_up() {
        handle.flush(LONG).unwrap();
    }
}

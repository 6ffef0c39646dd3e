//! A file system in user space with one file, whose daemon stops answering when it is told to.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write, stdin};
use std::os::fd::{AsFd, AsRawFd};
use std::process::{Child, ExitCode};

use nix::libc::{ENOSYS, S_IFDIR, S_IFREG};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::alarm;

use crate::child;
use crate::target::Target;

// Of the kernel's protocol.
const LOOKUP: u32 = 1;
const FORGET: u32 = 2;
const GETATTR: u32 = 3;
const OPEN: u32 = 14;
const RELEASE: u32 = 18;
const FLUSH: u32 = 25;
const INIT: u32 = 26;
const INTERRUPT: u32 = 36;
const BATCH_FORGET: u32 = 42;

const ROOT: u64 = 1;
const FILE: u64 = 2;

/// After that it ends by itself: a process that is killed while it waits for it could not end.
const AT_MOST_SECONDS: u32 = 5;

/// A daemon, a process of its own. When it goes, what waits for it goes on with an error.
pub(crate) struct Fuse(Child);

impl Fuse {
    /// As many open files, whose daemon answers no more from now on. `None` where mounting is not
    /// allowed.
    pub(crate) fn files(target: &Target, count: usize) -> Option<(Self, Vec<File>)> {
        let folder = tempfile::tempdir().ok()?;
        let path = folder.path().to_str()?;
        let mut daemon = Self(child::start(target, &["fuse", path]));
        let mut says = BufReader::new(daemon.0.stdout.take()?);
        let mut line = String::new();
        says.read_line(&mut line).ok()?;
        if line != "mounted\n" {
            return None;
        }
        let open = || File::open(folder.path().join("file"));
        let files = (0..count).map(|_| open().expect("a file of ours"));
        let files = files.collect();
        // Open files are all that is needed: so nothing stays when we are killed.
        umount2(folder.path(), MntFlags::MNT_DETACH).expect("unmounting");
        daemon.0.stdin.as_mut()?.write_all(b"\n").ok()?;
        says.read_line(&mut line).ok()?;
        Some((daemon, files))
    }
}

impl Drop for Fuse {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The process itself: serves until it is told to stop, and is silent then.
pub(crate) fn daemon(folder: &str) -> ExitCode {
    alarm::set(AT_MOST_SECONDS);
    let Some(device) = mounted(folder) else {
        return ExitCode::FAILURE;
    };
    println!("mounted");
    serve(device.try_clone().expect("a descriptor"));
    println!("silent");
    let _ = stdin().read(&mut [0; 2]);
    ExitCode::SUCCESS
}

fn mounted(folder: &str) -> Option<File> {
    let mut device = OpenOptions::new();
    let device = device.read(true).write(true).open("/dev/fuse").ok()?;
    let number = device.as_raw_fd();
    let options = format!("fd={number},rootmode={S_IFDIR:o},user_id=0,group_id=0");
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    let (kind, options) = (Some("fuse"), Some(options.as_str()));
    mount(Some("memif-hostile"), folder, kind, flags, options).ok()?;
    Some(device)
}

fn serve(mut device: File) {
    let mut request = vec![0; 1 << 17];
    loop {
        let input = stdin();
        let mut fds = [input.as_fd(), device.as_fd()].map(|fd| PollFd::new(fd, PollFlags::POLLIN));
        poll(&mut fds, PollTimeout::NONE).expect("poll");
        if fds[0].any().unwrap_or_default() {
            return;
        }
        if device.read(&mut request).is_err() {
            return;
        }
        let u32_at = |at: usize| u32::from_ne_bytes(request[at..at + 4].try_into().unwrap());
        let u64_at = |at: usize| u64::from_ne_bytes(request[at..at + 8].try_into().unwrap());
        let body = match u32_at(4) {
            FORGET | INTERRUPT | BATCH_FORGET => continue,
            INIT => Ok(init()),
            // Nothing of it may be kept.
            LOOKUP => Ok([&numbers64(&[FILE, 0, 0, 0, 0])[..], &attributes(FILE)].concat()),
            GETATTR => Ok([&numbers64(&[0, 0])[..], &attributes(u64_at(16))].concat()),
            OPEN => Ok(vec![0; 16]),
            RELEASE | FLUSH => Ok(Vec::new()),
            _ => Err(-ENOSYS),
        };
        let (error, body) = match body {
            Ok(body) => (0, body),
            Err(error) => (error, Vec::new()),
        };
        let mut answer = Vec::new();
        answer.extend((16 + body.len() as u32).to_ne_bytes());
        answer.extend(i32::to_ne_bytes(error));
        answer.extend(&request[8..16]);
        answer.extend(body);
        let _ = device.write(&answer);
    }
}

fn numbers64(numbers: &[u64]) -> Vec<u8> {
    numbers.iter().flat_map(|n| n.to_ne_bytes()).collect()
}

fn numbers32(numbers: &[u32]) -> Vec<u8> {
    numbers.iter().flat_map(|n| n.to_ne_bytes()).collect()
}

/// Version 7.31, and else the least.
fn init() -> Vec<u8> {
    let mut body = numbers32(&[7, 31, 0, 0, 0, 4096, 1]);
    body.resize(64, 0);
    body
}

fn attributes(node: u64) -> Vec<u8> {
    let kind = if node == ROOT { S_IFDIR } else { S_IFREG };
    let (mode, size) = (kind | 0o755, 1 << 20);
    let times = numbers64(&[node, size, 0, 0, 0, 0]);
    let rest = numbers32(&[0, 0, 0, mode, 1, 0, 0, 0, 4096, 0]);
    [times, rest].concat()
}

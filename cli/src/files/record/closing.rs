//! What happens to files that are full, beside the writing of the next: they are ended and closed,
//! commands run, the oldest are removed.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};

use super::file::OpenFile;
use super::options::Plan;
use crate::failure::Failure;
use crate::lock::lock;

/// Full files that may wait; then the writer waits for them.
const WAITING: usize = 2;

pub(super) struct Closing {
    /// There once a file was full, until the end.
    thread: Option<(SyncSender<OpenFile>, JoinHandle<()>)>,
    after_file: Option<Arc<str>>,
    closed: Arc<Mutex<Closed>>,
}

/// The writer asks for its numbers all the time: nobody holds its lock for long.
pub(super) struct Closed {
    /// Files that are kept.
    keep: Option<usize>,
    /// Files that are there, the oldest first.
    files: VecDeque<PathBuf>,
    commands: Vec<(Child, String)>,
    /// Packets that are where they belong.
    pub(super) packets: u64,
    /// Files that are not there any more.
    pub(super) removed: u64,
    /// Of the first file that could not be written to its end.
    pub(super) failure: Option<Failure>,
}

impl Closing {
    pub(super) fn new(plan: &Plan) -> Self {
        let closed = Closed {
            keep: plan.keep,
            files: VecDeque::new(),
            commands: Vec::new(),
            packets: 0,
            removed: 0,
            failure: None,
        };
        Self {
            thread: None,
            after_file: plan.after_file.as_deref().map(Arc::from),
            closed: Arc::new(Mutex::new(closed)),
        }
    }

    pub(super) fn closed(&self) -> MutexGuard<'_, Closed> {
        lock(&self.closed)
    }

    /// Closes a file that is full, now or later.
    pub(super) fn add(&mut self, file: OpenFile) {
        if self.thread.is_none() {
            let (files, full) = sync_channel::<OpenFile>(WAITING);
            let (closed, command) = (Arc::clone(&self.closed), self.after_file.clone());
            let close = move || {
                for file in full {
                    close(&closed, command.as_deref(), file);
                }
            };
            let started = thread::Builder::new().name("closer".into()).spawn(close);
            self.thread = started.ok().map(|thread| (files, thread));
        }
        let left = match &self.thread {
            Some((files, _)) => files.send(file).err().map(|unsent| unsent.0),
            None => Some(file),
        };
        if let Some(file) = left {
            close(&self.closed, self.after_file.as_deref(), file);
        }
    }

    /// Returns when all files have been closed; with the failure, if there was one.
    pub(super) fn finish(&mut self) -> Result<(), Failure> {
        if let Some((files, thread)) = self.thread.take() {
            drop(files);
            let panicked = |_| Failure::Failed("closing files panicked".into());
            thread.join().map_err(panicked)?;
        }
        self.closed().failure.take().map_or(Ok(()), Err)
    }

    /// Runs the command for the last file, and waits for all commands.
    pub(super) fn run_last(&self, path: &Path) {
        if let Some(command) = &self.after_file {
            run_command(&self.closed, command, path);
        }
    }

    pub(super) fn wait(&self) {
        for (mut child, what) in self.closed().commands.drain(..) {
            tell_failed(child.wait(), &what);
        }
    }
}

fn close(all: &Mutex<Closed>, command: Option<&str>, mut file: OpenFile) {
    let result = file.end();
    let (path, packets) = (file.path.clone(), file.packets_written());
    drop(file);
    let mut closed = lock(all);
    closed.packets += packets;
    if let Err(failure) = result {
        closed.failure.get_or_insert(failure);
    }
    drop(closed);
    if let Some(command) = command {
        run_command(all, command, &path);
    }
    let mut closed = lock(all);
    closed.files.push_back(path);
    // The one that is being written counts too.
    let full = closed
        .keep
        .map_or(0, |keep| (closed.files.len() + 1).saturating_sub(keep));
    let oldest: Vec<PathBuf> = closed.files.drain(..full).collect();
    drop(closed);
    for oldest in oldest {
        match std::fs::remove_file(&oldest) {
            Ok(()) => lock(all).removed += 1,
            Err(e) => log::warn!("removing {}: {e}", oldest.display()),
        }
    }
}

fn run_command(all: &Mutex<Closed>, command: &str, path: &Path) {
    // The name is an argument of the shell's, so that nothing in it is a command.
    let started = Command::new("sh")
        .args(["-c", &format!("{command} \"$1\""), "sh"])
        .arg(path)
        .stdin(Stdio::null())
        .spawn();
    let what = format!("{command} {}", path.display());
    let commands = &mut lock(all).commands;
    commands.retain_mut(|(child, what)| match child.try_wait().transpose() {
        None => true,
        Some(ended) => {
            tell_failed(ended, what);
            false
        }
    });
    match started {
        Ok(child) => commands.push((child, what)),
        Err(e) => log::warn!("{what}: {e}"),
    }
}

/// Of a command after a file, should it have failed.
fn tell_failed(ended: io::Result<ExitStatus>, what: &str) {
    match ended {
        Ok(status) if status.success() => {}
        Ok(status) => log::warn!("{what}: {status}"),
        Err(e) => log::warn!("{what}: {e}"),
    }
}

//! Where packets are recorded: one file, or many one after the other.

use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};

use jiff::Zoned;
use memif::pcap::{Direction, InterfaceInfo, InterfaceStatistics};
use memif::{Error, LinkType, Packet, Timestamp};

use crate::failure::Failure;

mod file;
mod names;
mod options;
mod timer;

use file::OpenFile;
pub(crate) use file::pipe_of;
pub(crate) use options::{Plan, RecordArgs};
pub(crate) use timer::{Next, Timer};

/// Bytes that a packet has in a file beyond its own, at most.
const OVERHEAD: u64 = 48;
/// Bytes that the counts of an interface have at the file's end.
const COUNTS: u64 = 96;

/// What became of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Put {
    Taken,
    /// The last file is full.
    Full,
}

pub(crate) struct Recorder {
    plan: Plan,
    link_type: LinkType,
    snaplen: u32,
    interfaces: Vec<InterfaceInfo>,
    /// Of each interface, since the capture began or the interface was first described.
    pub(crate) counts: Vec<InterfaceStatistics>,
    current: OpenFile,
    /// When the file is to be followed by the next, whatever is in it.
    deadline: Option<Instant>,
    /// How many files there have been.
    number: u64,
    /// Files that are complete, the oldest first.
    complete: VecDeque<PathBuf>,
    /// In files that are complete.
    packets_before: u64,
    commands: Vec<JoinHandle<()>>,
}

impl Recorder {
    /// Creates the first file.
    pub(crate) fn create(plan: Plan, link_type: LinkType, snaplen: u32) -> Result<Self, Failure> {
        let current = OpenFile::create(&plan, 1, &Zoned::now(), link_type, snaplen)?;
        let mut this = Self {
            plan,
            link_type,
            snaplen,
            interfaces: Vec::new(),
            counts: Vec::new(),
            current,
            deadline: None,
            number: 1,
            complete: VecDeque::new(),
            packets_before: 0,
            commands: Vec::new(),
        };
        this.set_deadline();
        Ok(this)
    }

    /// From now on packets come from these interfaces. The same as before change nothing.
    pub(crate) fn describe(&mut self, interfaces: Vec<InterfaceInfo>) -> Result<(), Failure> {
        if interfaces == self.interfaces {
            return Ok(());
        }
        self.end_counts()
            .and_then(|()| self.current.describe(&interfaces))
            .map_err(|e| self.failure(e))?;
        let start = Timestamp::now();
        let count = InterfaceStatistics {
            start,
            ..InterfaceStatistics::default()
        };
        self.counts = vec![count; interfaces.len()];
        self.interfaces = interfaces;
        Ok(())
    }

    #[inline]
    pub(crate) fn put(
        &mut self,
        packet: &Packet<'_>,
        interface: u32,
        direction: Direction,
    ) -> Result<Put, Failure> {
        let packets = self.current.packets_accepted();
        if packets > 0 {
            let end = self.counts.len() as u64 * COUNTS;
            let bytes = self.current.bytes_accepted() + packet.len() as u64 + OVERHEAD;
            if bytes + end > self.plan.bytes || packets >= self.plan.packets {
                if self.number >= self.plan.last {
                    return Ok(Put::Full);
                }
                self.next_file()?;
            }
        }
        match self.current.put(packet, interface, direction) {
            Ok(()) => Ok(Put::Taken),
            Err(e) => Err(self.failure(e)),
        }
    }

    /// When `tick` is to be called.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Goes on to the next file if the time has come.
    pub(crate) fn tick(&mut self) -> Result<Put, Failure> {
        if self.deadline.is_some_and(|due| due <= Instant::now()) {
            if self.number >= self.plan.last {
                return Ok(Put::Full);
            }
            self.next_file()?;
        }
        Ok(Put::Taken)
    }

    /// Nothing is waiting: what is held back goes out.
    pub(crate) fn idle(&mut self) -> Result<(), Failure> {
        if self.current.is_compressed() && !self.current.is_pipe() {
            return Ok(());
        }
        self.flush()
    }

    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        self.current.flush().map_err(|e| self.failure(e))
    }

    /// Whether somebody reads along.
    pub(crate) fn is_pipe(&self) -> bool {
        self.current.is_pipe()
    }

    /// Ends the last file, waits for the commands after files. After a failure only what is sound is kept.
    pub(crate) fn end(&mut self, failed: bool) -> Result<(), Failure> {
        let result = if failed {
            self.current.drop_half_record();
            Ok(())
        } else {
            self.end_counts()
                .and_then(|()| self.current.finish())
                .map_err(|e| {
                    self.current.drop_half_record();
                    self.failure(e)
                })
        };
        self.current.abandon();
        self.run_command(&self.current.path.clone());
        for command in self.commands.drain(..) {
            // Tells by itself what went wrong.
            let _ = command.join();
        }
        result
    }

    /// The pipe that it goes to, if it does.
    pub(crate) fn pipe(&self) -> Option<OwnedFd> {
        self.current.pipe()
    }

    /// Packets that are in the files, whole.
    pub(crate) fn packets_written(&self) -> u64 {
        self.packets_before + self.current.packets_written()
    }

    /// Packets that were taken.
    pub(crate) fn packets(&self) -> u64 {
        self.packets_before + self.current.packets_accepted()
    }

    /// How many files there are or were, and what they are called.
    pub(crate) fn files(&self) -> (u64, String) {
        (self.number, self.plan.names.given())
    }

    fn next_file(&mut self) -> Result<(), Failure> {
        self.end_counts()
            .and_then(|()| self.current.finish())
            .map_err(|e| self.failure(e))?;
        let mut next = OpenFile::create(
            &self.plan,
            self.number + 1,
            &Zoned::now(),
            self.link_type,
            self.snaplen,
        )?;
        next.describe(&self.interfaces)
            .map_err(|e| self.failure(e))?;
        let last = std::mem::replace(&mut self.current, next);
        self.number += 1;
        self.packets_before += last.packets_accepted();
        let path = last.path.clone();
        drop(last);
        self.run_command(&path);
        self.complete.push_back(path);
        // The one that is being written counts too.
        while let Some(keep) = self.plan.keep
            && self.complete.len() >= keep
            && let Some(oldest) = self.complete.pop_front()
        {
            if let Err(e) = std::fs::remove_file(&oldest) {
                log::warn!("removing {}: {e}", oldest.display());
            }
        }
        self.set_deadline();
        Ok(())
    }

    fn end_counts(&mut self) -> Result<(), Error> {
        let end = Timestamp::now();
        for counts in &mut self.counts {
            counts.end = end;
        }
        self.current.statistics(&self.counts)
    }

    fn set_deadline(&mut self) {
        let now = Instant::now();
        let at_multiple = self.plan.interval.map(|interval| {
            let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
            let since = since.unwrap_or_default().as_nanos();
            let interval = interval.as_nanos();
            Duration::from_nanos(u64::try_from(interval - since % interval).unwrap_or(u64::MAX))
        });
        let left = match (self.plan.duration, at_multiple) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        self.deadline = left.and_then(|left| now.checked_add(left));
    }

    fn run_command(&mut self, path: &Path) {
        let Some(command) = &self.plan.after_file else {
            return;
        };
        self.commands.retain(|running| !running.is_finished());
        // The name is an argument of the shell's, so that nothing in it is a command.
        let started = Command::new("sh")
            .args(["-c", &format!("{command} \"$1\""), "sh"])
            .arg(path)
            .stdin(Stdio::null())
            .spawn();
        let what = format!("{command} {}", path.display());
        match started {
            Ok(mut child) => self
                .commands
                .push(thread::spawn(move || match child.wait() {
                    Ok(status) if status.success() => {}
                    Ok(status) => log::warn!("{what}: {status}"),
                    Err(e) => log::warn!("{what}: {e}"),
                })),
            Err(e) => log::warn!("{what}: {e}"),
        }
    }

    /// By the name that the user gave.
    fn failure(&self, error: Error) -> Failure {
        let Error::Io { source, .. } = error else {
            return error.into();
        };
        if source.kind() == std::io::ErrorKind::BrokenPipe {
            return Failure::NobodyReads;
        }
        let path = self.current.path.display();
        let whole = crate::report::count(self.current.packets_written(), "packet");
        Failure::Failed(format!("writing {path}: {source}; {whole} written whole"))
    }
}

//! A link as it is seen from outside.

use std::fmt;
use std::sync::Arc;

use super::processes::{self, FileId};
use crate::config::Role;
use crate::error::{Error, ErrorKind};
use crate::ffi::view::{RingState, View, ViewRing};

/// Which way the packets of a ring go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From the slave to the master.
    ToMaster,
    /// From the master to the slave.
    ToSlave,
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ToMaster => "to master",
            Self::ToSlave => "to slave",
        })
    }
}

/// What tells a link from all others on the host, as long as it lives: its file of rings.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LinkId(pub(super) FileId);

impl LinkId {
    /// The inode of the file.
    pub fn inode(self) -> u64 {
        self.0.inode
    }
}

impl fmt::Debug for LinkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LinkId({}:{})", self.0.device, self.0.inode)
    }
}

/// A process that has the memory of a link mapped.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Process {
    /// Its id.
    pub pid: u32,
    /// Its program.
    pub program: String,
    /// Its role, where its sockets tell.
    pub role: Option<Role>,
    /// When it began, in the kernel's clock ticks: ids are used again.
    pub(super) started: u64,
    /// By which it has the file of rings open.
    pub(super) descriptor: Option<i32>,
}

/// A ring at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Ring {
    /// Which way its packets go; `None` while it can't be told.
    pub direction: Option<Direction>,
    /// The queue of that direction, from 0. Without a direction, the number of the ring.
    pub queue: u16,
    /// Its slots.
    pub size: u32,
    /// The ring's `head`: a counter of 16 bits.
    pub head: u16,
    /// The ring's `tail`: a counter of 16 bits.
    pub tail: u16,
}

impl Ring {
    /// Slots with packets that their receiver has not taken, at most the ring's size. Of a ring to
    /// the slave, what is not offered counts, unless the slave has never offered anything: some
    /// that only send do not.
    pub fn used(&self) -> u32 {
        let ahead = u32::from(self.head.wrapping_sub(self.tail)).min(self.size);
        match self.direction {
            Some(Direction::ToSlave) if (self.head, self.tail) == (0, 0) => 0,
            Some(Direction::ToSlave) => self.size - ahead,
            _ => ahead,
        }
    }

    /// The counter of its sender: it grows with each slot that was sent.
    pub fn sent(&self) -> u16 {
        match self.direction {
            Some(Direction::ToSlave) => self.tail,
            _ => self.head,
        }
    }
}

/// A link of this host, between any two processes.
///
/// [`links`](super::links) finds them.
#[derive(Clone)]
pub struct Link {
    pub(super) id: LinkId,
    pub(super) processes: Vec<Process>,
    pub(super) sockets: Vec<String>,
    pub(super) memory: u64,
    pub(super) rings: Vec<ViewRing>,
    pub(super) directions: Vec<(Option<Direction>, u16)>,
    /// Its file of rings.
    pub(super) view: Result<Arc<View>, &'static str>,
}

impl Link {
    /// What it is.
    pub fn id(&self) -> LinkId {
        self.id
    }

    /// Who has it mapped: its two ends, or one process that is both; with more, some were forked.
    /// The master comes first where it is known.
    pub fn processes(&self) -> &[Process] {
        &self.processes
    }

    /// The master's socket, where only one can be meant.
    pub fn socket(&self) -> Option<&str> {
        match &self.sockets[..] {
            [only] => Some(only),
            _ => None,
        }
    }

    /// All the master's sockets that its slave may be connected to.
    pub fn sockets(&self) -> &[String] {
        &self.sockets
    }

    /// Bytes of its memory: the rings, and those buffers that can be told from other links'.
    pub fn memory(&self) -> u64 {
        self.memory
    }

    /// Why its rings can't be looked at.
    pub fn problem(&self) -> Option<&str> {
        self.view.as_ref().err().copied()
    }

    /// Its rings as they are now, also after its end. Empty where they can't be looked at.
    pub fn rings(&self) -> Vec<Ring> {
        let Ok(view) = &self.view else {
            return Vec::new();
        };
        let ring = |(ring, (direction, queue)): (&ViewRing, &(Option<Direction>, u16))| {
            let state = view.state(*ring)?;
            Some(Ring {
                direction: *direction,
                queue: *queue,
                size: 1 << ring.log2_size,
                head: state.head,
                tail: state.tail,
            })
        };
        let rings = self.rings.iter().zip(&self.directions);
        rings.filter_map(ring).collect()
    }

    /// Whether it is still there: looks at its processes.
    pub fn is_up(&self) -> bool {
        let LinkId(file) = self.id;
        let is_open = |p: &Process| Some(processes::is_open(p.pid, p.descriptor?, file));
        let mut open = self.processes.iter().filter_map(is_open);
        if open.clone().all(|is| is) {
            return true;
        }
        // One may have closed it, or is gone. An end that reads on what had arrived closes it too.
        let times = |p: &Process| processes::times_mapped(p.pid, p.started, file);
        open.any(|is| is) && self.processes.iter().map(times).sum::<usize>() >= 2
    }

    /// One end or the other, whichever has the role.
    pub fn process(&self, role: Role) -> Option<&Process> {
        self.processes.iter().find(|p| p.role == Some(role))
    }

    pub(super) fn states(&self, view: &View) -> Vec<(ViewRing, RingState)> {
        let state = |ring: &ViewRing| Some((*ring, view.state(*ring)?));
        self.rings.iter().filter_map(state).collect()
    }
}

/// As a user knows it: `vpp ↔ testpmd on /run/vpp/memif.sock`.
impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, process) in self.processes.iter().enumerate() {
            let between = if n > 0 { " ↔ " } else { "" };
            write!(f, "{between}{} ({})", process.program, process.pid)?;
        }
        match self.socket() {
            Some(socket) => write!(f, " on {socket}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link")
            .field("id", &self.id)
            .field("processes", &self.processes)
            .field("sockets", &self.sockets)
            .field("rings", &self.rings.len())
            .finish_non_exhaustive()
    }
}

pub(super) fn refused(link: &Link, why: &str) -> Error {
    let text = format!("observing {link}: {why}");
    Error::memif(ErrorKind::Unsupported, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_that_were_never_offered_hold_no_packets() {
        let ring = |direction, head, tail| Ring {
            direction: Some(direction),
            queue: 0,
            size: 64,
            head,
            tail,
        };
        assert_eq!(ring(Direction::ToSlave, 0, 0).used(), 0);
        assert_eq!(ring(Direction::ToSlave, 64, 0).used(), 0);
        assert_eq!(ring(Direction::ToSlave, 64, 64).used(), 64);
        assert_eq!(ring(Direction::ToMaster, 3, 65535).used(), 4);
    }
}

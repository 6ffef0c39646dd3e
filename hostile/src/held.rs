//! What a process holds.

use std::fs;
use std::io;
use std::process;

/// The descriptors and mappings of shared memory that a process holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    pub descriptors: usize,
    pub mappings: usize,
}

impl Held {
    /// What this process holds.
    pub fn here() -> Self {
        Self::of(process::id()).expect("/proc of this process")
    }

    /// What another process holds, if this one may look.
    pub fn of(pid: u32) -> io::Result<Self> {
        let maps = fs::read_to_string(format!("/proc/{pid}/maps"))?;
        let folder = fs::read_dir(format!("/proc/{pid}/fd"))?;
        // Without the one that counts.
        let counting = usize::from(pid == process::id());
        Ok(Self {
            descriptors: folder.count() - counting,
            mappings: maps.lines().filter(|line| line.contains("memfd:")).count(),
        })
    }

    /// Whether no more is held than this.
    pub fn is_within(self, before: Self) -> bool {
        self.descriptors <= before.descriptors && self.mappings <= before.mappings
    }
}

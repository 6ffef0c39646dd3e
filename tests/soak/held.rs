//! What this process holds and uses.

use std::fmt;
use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};

use crate::common::heap;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Held {
    descriptors: usize,
    mappings: usize,
    resident_kib: usize,
    heap_bytes: usize,
    /// Of a core, over the time that was looked.
    cpu_percent: Option<f64>,
}

impl Held {
    pub(crate) fn now() -> Self {
        let status = fs::read_to_string("/proc/self/status").unwrap();
        let resident = status.lines().find_map(|l| l.strip_prefix("VmRSS:"));
        let resident = resident.unwrap().trim().trim_end_matches(" kB").parse();
        let maps = fs::read_to_string("/proc/self/maps").unwrap();
        Self {
            descriptors: fs::read_dir("/proc/self/fd").unwrap().count() - 1,
            mappings: maps.lines().filter(|line| line.contains("memfd:")).count(),
            resident_kib: resident.unwrap(),
            heap_bytes: heap::used(),
            cpu_percent: None,
        }
    }

    /// With the time on a CPU meanwhile.
    pub(crate) fn over(time: Duration) -> Self {
        let used = || {
            let usage = getrusage(UsageWho::RUSAGE_SELF).unwrap();
            let times = [usage.user_time(), usage.system_time()];
            let us = times.map(|t| t.tv_sec() as f64 * 1e6 + t.tv_usec() as f64);
            us.iter().sum::<f64>()
        };
        let (before, start) = (used(), Instant::now());
        thread::sleep(time);
        let cpu_percent = (used() - before) / start.elapsed().as_micros() as f64 * 100.0;
        Self {
            cpu_percent: Some(cpu_percent),
            ..Self::now()
        }
    }

    /// What has grown beyond what differs from look to look.
    pub(crate) fn grown_to(&self, after: &Self) -> Vec<String> {
        let cpu = |held: &Self| held.cpu_percent.unwrap_or_default() as usize;
        let looks = [
            ("descriptors", self.descriptors, after.descriptors, 0),
            ("mappings", self.mappings, after.mappings, 0),
            ("KiB of memory", self.resident_kib, after.resident_kib, 4096),
            // A link that is about to be made, or is gone, is some 10 KiB.
            ("bytes of heap", self.heap_bytes, after.heap_bytes, 32 << 10),
            ("percent of a core", cpu(self), cpu(after), cpu(self) + 10),
        ];
        let grown = looks
            .into_iter()
            .filter(|(_, was, is, slack)| *is > was + slack);
        grown
            .map(|(what, was, is, _)| format!("{is} {what}, it was {was}"))
            .collect()
    }
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} descriptors, {} mappings, {} KiB resident, {} bytes of heap",
            self.descriptors, self.mappings, self.resident_kib, self.heap_bytes
        )?;
        match self.cpu_percent {
            Some(percent) => write!(f, ", {percent:.1} % of a core"),
            None => Ok(()),
        }
    }
}

//! Capture files: one, or many one after the other.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use jiff::Zoned;
use memif::pcap::{InterfaceInfo, InterfaceStatistics, RecordFormat};
use memif::{Error, LinkType, Timestamp};

use super::closing::Closing;
use super::file::OpenFile;
use super::options::Plan;
use super::output::{Output, Put, Records, Rings};
use super::summary::Load;
use crate::failure::Failure;
use crate::report::count;

/// Writes files, a new one when the last is full.
pub(crate) struct Recorder {
    plan: Plan,
    link_type: LinkType,
    snaplen: u32,
    interfaces: Vec<InterfaceInfo>,
    /// Of each interface, since the capture began or the interface was first described.
    counts: Vec<InterfaceStatistics>,
    rings: Option<Rings>,
    /// How often these were found full, when the interfaces were described.
    full_before: Vec<u64>,
    current: OpenFile,
    /// When the file is to be followed by the next, whatever is in it.
    deadline: Option<Instant>,
    /// How many files there have been.
    number: u64,
    /// Files that are full.
    closing: Closing,
    /// In those.
    packets_before: u64,
    /// It ended with a failure, and what it counts may not have left the compressor.
    held_back: bool,
}

impl Recorder {
    /// Creates the first file.
    pub(crate) fn create(plan: Plan, link_type: LinkType, snaplen: u32) -> Result<Self, Failure> {
        let current = OpenFile::create(&plan, 1, &Zoned::now(), link_type, snaplen)?;
        let mut this = Self {
            link_type,
            snaplen,
            interfaces: Vec::new(),
            counts: Vec::new(),
            rings: None,
            full_before: Vec::new(),
            current,
            deadline: None,
            number: 1,
            closing: Closing::new(&plan),
            plan,
            packets_before: 0,
            held_back: false,
        };
        this.set_deadline();
        Ok(this)
    }

    fn next_file(&mut self) -> Result<(), Failure> {
        if let Some(failure) = self.closing.closed().failure.take() {
            return Err(failure);
        }
        self.end_counts().map_err(|e| self.current.failure(e))?;
        let mut next = OpenFile::create(
            &self.plan,
            self.number + 1,
            &Zoned::now(),
            self.link_type,
            self.snaplen,
        )?;
        next.describe(&self.interfaces)
            .map_err(|e| next.failure(e))?;
        let last = std::mem::replace(&mut self.current, next);
        self.number += 1;
        self.packets_before += last.packets_accepted();
        self.closing.add(last);
        self.set_deadline();
        Ok(())
    }

    /// How many of these the file has room for: one at least.
    fn fitting(&self, records: &Records<'_>) -> (usize, u64) {
        let before = self.current.packets_accepted();
        let end = self.counts.len() as u64 * self.current.counts_size();
        let bytes = (self.plan.bytes).saturating_sub(self.current.bytes_accepted() + end);
        let fits = records.within(bytes, self.plan.packets.saturating_sub(before));
        match before {
            0 if fits.1 == 0 => records.within(u64::MAX, 1),
            _ => fits,
        }
    }

    fn end_counts(&mut self) -> Result<(), Error> {
        let (full, load) = self.look_at_rings();
        for (number, counts) in self.counts.iter_mut().enumerate() {
            let times = |full: &[u64]| full.get(number).copied().unwrap_or(0);
            counts.end = Timestamp::now();
            counts.found_full = times(&full).saturating_sub(times(&self.full_before));
            if let Some(load) = &load {
                counts.longest_pause = Duration::from_secs_f64(load.longest_pause);
                counts.buffered = load.highest as u64;
            }
        }
        self.current.statistics(&self.counts)
    }

    fn look_at_rings(&self) -> (Vec<u64>, Option<Load>) {
        self.rings
            .as_ref()
            .map_or_else(Default::default, |rings| rings())
    }

    fn set_deadline(&mut self) {
        let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let since_epoch = since_epoch.unwrap_or_default();
        let at_multiple = self.plan.interval.map(|of| until_multiple(of, since_epoch));
        let left = match (self.plan.duration, at_multiple) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        self.deadline = left.and_then(|left| Instant::now().checked_add(left));
    }
}

impl Output for Recorder {
    /// The same as before change nothing.
    fn describe(&mut self, interfaces: Vec<InterfaceInfo>) -> Result<(), Failure> {
        if interfaces == self.interfaces {
            return Ok(());
        }
        self.end_counts()
            .and_then(|()| self.current.describe(&interfaces))
            .map_err(|e| self.current.failure(e))?;
        let mut count = InterfaceStatistics::default();
        count.start = Timestamp::now();
        self.counts = vec![count; interfaces.len()];
        self.interfaces = interfaces;
        self.full_before = self.look_at_rings().0;
        Ok(())
    }

    fn watch_rings(&mut self, rings: &Rings) {
        self.rings = Some(Arc::clone(rings));
    }

    fn counts(&mut self, interface: u32) -> Option<&mut InterfaceStatistics> {
        self.counts.get_mut(interface as usize)
    }

    fn format(&self) -> Option<RecordFormat> {
        Some(self.plan.format)
    }

    fn put_records(&mut self, mut records: Records<'_>) -> Result<Put, Failure> {
        let (number, described) = (records.interface, self.interfaces.len());
        if self.plan.format == RecordFormat::PcapNg && number as usize >= described {
            let problem = format!("interface {number} of {described} was not described");
            return Err(Failure::Failed(problem));
        }
        while records.packets > 0 {
            let (bytes, packets) = self.fitting(&records);
            if packets == 0 {
                if self.number >= self.plan.last {
                    return Ok(Put::Full);
                }
                self.next_file()?;
                continue;
            }
            let (now, later) = records.split(bytes, packets);
            self.current.put(now).map_err(|e| self.current.failure(e))?;
            records = later;
        }
        Ok(Put::Taken)
    }

    fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    fn tick(&mut self) -> Result<Put, Failure> {
        if self.deadline.is_some_and(|due| due <= Instant::now()) {
            if self.number >= self.plan.last {
                return Ok(Put::Full);
            }
            self.next_file()?;
        }
        Ok(Put::Taken)
    }

    /// Flushing often would spoil a compressed file.
    fn idle(&mut self) -> Result<(), Failure> {
        if self.current.is_compressed() && !self.current.is_pipe() {
            return Ok(());
        }
        self.flush()
    }

    fn flush(&mut self) -> Result<(), Failure> {
        self.current.flush().map_err(|e| self.current.failure(e))
    }

    fn is_read_along(&self) -> bool {
        self.current.is_pipe()
    }

    fn pipe(&self) -> Option<OwnedFd> {
        self.current.pipe()
    }

    fn end(&mut self, failed: bool) -> Result<(), Failure> {
        let result = match failed {
            true => {
                self.current.drop_half_record();
                Ok(())
            }
            false => self
                .end_counts()
                .map_err(|e| self.current.failure(e))
                .and_then(|()| self.current.end()),
        };
        self.current.abandon();
        let closed = self.closing.finish();
        self.closing.run_last(&self.current.path);
        let result = result.and(closed);
        self.held_back = self.current.is_compressed() && (failed || result.is_err());
        result
    }

    /// For readers, and for the commands after files.
    fn wait(&mut self) {
        self.current.linger();
        self.closing.wait();
    }

    fn packets(&self) -> (u64, u64) {
        let (taken, whole) = (
            self.current.packets_accepted(),
            self.current.packets_written(),
        );
        let closed = self.closing.closed().packets;
        (self.packets_before + taken, closed + whole)
    }

    fn what_was_done(&self) -> String {
        let path = self.current.path.display();
        let removed = match self.closing.closed().removed {
            0 => String::new(),
            removed => format!("; {} removed again", count(removed, "older file")),
        };
        let at_most = match self.held_back {
            true => " at most; the compressor may hold some of them back",
            false => "",
        };
        match self.number {
            1 => format!("written to {path}{}{at_most}", self.current.readers()),
            files => {
                format!("written to {files} files, the last is {path}{removed}{at_most}")
            }
        }
    }
}

/// How long until the clock shows a whole multiple of the interval.
fn until_multiple(of: Duration, since_epoch: Duration) -> Duration {
    let of = of.as_nanos().max(1);
    let left = of - since_epoch.as_nanos() % of;
    Duration::from_nanos(u64::try_from(left).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_end_at_whole_multiples_of_the_clock() {
        let minute = Duration::from_secs(60);
        for (now, left) in [(0, 60_000), (1, 59_999), (59_999, 1), (60_000, 60_000)] {
            let got = until_multiple(minute, Duration::from_millis(now));
            assert_eq!(got, Duration::from_millis(left), "{now}");
        }
    }
}

//! What becomes of packets: filtered, counted, written, or past a limit.

use std::borrow::Borrow;
use std::time::{Duration, Instant};

use memif::pcap::InterfaceInfo;
use memif::{Direction, Packet, Timestamp};

use super::buffer::Note;
use super::output::{Output, Put, Rings};
use super::summary::Summary;
use crate::failure::Failure;
use crate::files::filter::PacketFilter;

/// Tells of packets of an interface that went nowhere.
pub(super) type OnDropped = Box<dyn Fn(u32, u64) + Send>;

pub(super) struct State {
    pub(super) output: Box<dyn Output>,
    pub(super) filter: PacketFilter,
    pub(super) snaplen: u32,
    pub(super) left: Option<u64>,
    /// Without a buffer.
    pub(super) stop_at: Option<Instant>,
    pub(super) seen: Summary,
    pub(super) first: Option<Instant>,
    pub(super) failure: Option<Failure>,
    /// A limit has been reached.
    pub(super) full: bool,
    /// With a buffer: the time ended then. What came before is still written.
    pub(super) over: Option<Timestamp>,
    pub(super) ended: bool,
    /// Whoever writes to the pipe is to flush it.
    pub(super) flush: bool,
    pub(super) on_dropped: Option<OnDropped>,
    pub(super) rings: Option<Rings>,
}

impl State {
    /// Nothing more is to be read.
    pub(super) fn is_done(&self) -> bool {
        self.is_finished() || self.over.is_some()
    }

    /// Nothing more is to be written.
    pub(super) fn is_finished(&self) -> bool {
        self.left == Some(0) || self.failure.is_some() || self.full
    }

    pub(super) fn fail(&mut self, failure: Failure) {
        self.failure.get_or_insert(failure);
    }

    pub(super) fn take<'p, P: Borrow<Packet<'p>>>(
        &mut self,
        interface: u32,
        way: Direction,
        packets: impl IntoIterator<Item = P>,
    ) -> u64 {
        self.first.get_or_insert_with(Instant::now);
        let before = (self.seen.received, self.seen.rejected, self.missing());
        for packet in packets {
            self.put(interface, way, packet.borrow());
        }
        let received = self.seen.received - before.0;
        let rejected = self.seen.rejected.unwrap_or(0) - before.1.unwrap_or(0);
        let missing = self.missing() - before.2;
        if let Some(counts) = self.output.counts(interface) {
            counts.received += received;
            counts.accepted += received - rejected;
            counts.dropped += missing;
        }
        if missing > 0
            && let Some(tell) = &self.on_dropped
        {
            tell(interface, missing);
        }
        if self.output.is_read_along() || std::mem::take(&mut self.flush) {
            self.let_out(|output| output.idle());
        }
        missing
    }

    pub(super) fn describe(&mut self, interfaces: Vec<InterfaceInfo>) {
        if !self.is_finished()
            && let Err(failure) = self.output.describe(interfaces)
        {
            self.fail(failure);
        }
    }

    pub(super) fn note(&mut self, note: Note) {
        let (interface, packets) = match note {
            Note::Interfaces(interfaces) => return self.describe(interfaces),
            Note::Failed(failure) => return self.fail(failure),
            Note::Missed(interface, packets, at_least) => {
                let (before, uncertain) = self.seen.missed.unwrap_or_default();
                self.seen.missed = Some((before + packets, uncertain || at_least));
                (interface, packets)
            }
            Note::Lost(interface, packets, error) => {
                self.seen.received += packets;
                self.seen.lost += packets;
                self.fail(Failure::Failed(format!("memory for packets: {error}")));
                (interface, packets)
            }
        };
        if let Some(counts) = self.output.counts(interface) {
            counts.received += packets;
            counts.dropped += packets;
        }
    }

    fn missing(&self) -> u64 {
        self.seen.discarded + self.seen.lost
    }

    #[inline]
    fn put(&mut self, interface: u32, way: Direction, packet: &Packet<'_>) {
        let info = packet.info();
        self.seen.received += 1;
        self.seen.bytes += info.length as u64;
        if !self.filter.matches(packet) {
            self.seen.rejected = self.seen.rejected.map(|n| n + 1);
            return;
        }
        if self.failure.is_some() {
            self.seen.lost += 1;
            return;
        }
        self.full |= self.over.is_some_and(|over| over < info.timestamp);
        if self.is_finished() {
            self.seen.discarded += 1;
            return;
        }
        let most = self.snaplen as usize;
        let data = &packet.data()[..packet.data().len().min(most)];
        if data.len() < info.length {
            match data.len() == most {
                true => self.seen.cut += 1,
                false => self.seen.cut_before += 1,
            }
        }
        let packet = Packet::new(data, info);
        match self.output.put(&packet, interface, way) {
            Ok(Put::Taken) => self.left = self.left.map(|n| n - 1),
            Ok(Put::Full) => {
                self.full = true;
                self.seen.discarded += 1;
            }
            Err(failure) => {
                self.seen.lost += 1;
                self.fail(failure);
            }
        }
    }

    pub(super) fn let_out(&mut self, out: impl FnOnce(&mut dyn Output) -> Result<(), Failure>) {
        if self.failure.is_none()
            && !self.ended
            && let Err(failure) = out(self.output.as_mut())
        {
            self.fail(failure);
        }
    }

    /// The first moment at which the clock decides something.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let times = [self.stop_at, self.output.deadline()];
        times
            .into_iter()
            .flatten()
            .min()
            .filter(|_| !self.is_done())
    }

    pub(super) fn tick(&mut self) {
        if self.is_done() || self.ended {
            return;
        }
        match self.output.tick() {
            Ok(Put::Taken) if self.stop_at.is_some_and(|at| at <= Instant::now()) => {
                self.full = true
            }
            Ok(Put::Taken) => {}
            Ok(Put::Full) => self.full = true,
            Err(failure) => self.fail(failure),
        }
    }

    pub(super) fn end(&mut self) {
        if !self.ended {
            self.let_out(|output| output.idle());
            self.ended = true;
            if let Err(failure) = self.output.end(self.failure.is_some()) {
                self.fail(failure);
            }
        }
    }

    /// What can be told without the output.
    pub(super) fn passed_on(&self) -> Summary {
        Summary {
            time: self.first.map_or(Duration::ZERO, |first| first.elapsed()),
            done: self.output.packets().0,
            ..self.seen.clone()
        }
    }

    /// At the end only what has reached the output counts as done.
    pub(super) fn summary(&self, at_end: bool) -> Summary {
        let (taken, whole) = self.output.packets();
        let done = if at_end { whole } else { taken };
        Summary {
            time: self.first.map_or(Duration::ZERO, |first| first.elapsed()),
            lost: self.seen.lost + (taken - done),
            done,
            what: self.output.what_was_done(),
            found_full: self.rings.as_ref().map_or(0, |rings| rings().iter().sum()),
            ..self.seen.clone()
        }
    }
}

#[cfg(test)]
mod tests;

//! What becomes of packets: filtered, counted, written, or past a limit.

use std::borrow::Borrow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use memif::pcap::{InterfaceInfo, RecordFormat};
use memif::{Direction, Error, Packet, Timestamp};

use super::buffer::{Group, Note};
use super::intake::{Intake, Looked, cut};
use super::output::{Output, Put, Records, Rings};
use super::summary::Summary;
use crate::failure::Failure;

/// Tells of packets of an interface that went nowhere.
pub(super) type OnDropped = Box<dyn Fn(u32, u64) + Send>;

pub(super) struct State {
    pub(super) output: Box<dyn Output>,
    pub(super) intake: Arc<Intake>,
    pub(super) left: Option<u64>,
    /// Without a buffer.
    pub(super) stop_at: Option<Instant>,
    pub(super) seen: Summary,
    pub(super) first: Option<Instant>,
    pub(super) failure: Option<Failure>,
    /// Why a reader has ended.
    pub(super) unread: Option<Failure>,
    /// A limit has been reached.
    pub(super) full: bool,
    /// With a buffer: the time ended then. What came before is still written.
    pub(super) over: Option<Timestamp>,
    pub(super) ended: bool,
    /// Whoever writes to the pipe is to flush it.
    pub(super) flush: bool,
    pub(super) on_dropped: Option<OnDropped>,
    pub(super) rings: Option<Rings>,
    /// For records.
    pub(super) room: Vec<u8>,
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
        way: Option<Direction>,
        packets: impl IntoIterator<Item = P>,
    ) {
        if let Some(format) = self.output.format() {
            return self.take_records(format, interface, way, packets);
        }
        self.tick();
        let intake = Arc::clone(&self.intake);
        let (mut looked, before) = (Looked::default(), self.missing());
        for packet in packets {
            let packet = packet.borrow();
            let kept = intake.look(packet);
            intake.count(&mut looked, packet, kept);
            if let Some(bytes) = kept {
                self.put(interface, way, &cut(packet, bytes));
            }
        }
        self.looked(interface, &looked, before);
    }

    /// As `take`: their records are laid down side by side, and put together.
    fn take_records<'p, P: Borrow<Packet<'p>>>(
        &mut self,
        format: RecordFormat,
        interface: u32,
        way: Option<Direction>,
        packets: impl IntoIterator<Item = P>,
    ) {
        let intake = Arc::clone(&self.intake);
        let mut room = std::mem::take(&mut self.room);
        let (mut looked, mut used, mut failed) = (Looked::default(), 0, None);
        for packet in packets {
            let packet = packet.borrow();
            if let Some((lost, _)) = &mut failed {
                *lost += 1;
                continue;
            }
            let kept = intake.look(packet);
            if let Some(bytes) = kept {
                let packet = cut(packet, bytes);
                match lay_down(format, &mut room, used, (interface, way), &packet) {
                    Ok(size) => used += size,
                    Err(error) => {
                        failed = Some((1, error));
                        continue;
                    }
                }
            }
            intake.count(&mut looked, packet, kept);
        }
        self.take_group(Group {
            time: Timestamp::default(),
            records: Records {
                format,
                bytes: &mut room[..used],
                packets: looked.accepted,
                interface,
            },
            looked,
        });
        self.room = room;
        if let Some((lost, error)) = failed {
            self.note(Note::Lost(interface, lost, error.into()));
        }
    }

    /// As `take`, of what a reader has looked at.
    pub(super) fn take_group(&mut self, group: Group<'_>) {
        self.tick();
        let (interface, packets) = (group.records.interface, group.records.packets);
        let before = self.missing();
        self.full |= packets > 0 && self.over.is_some_and(|over| over < group.time);
        if self.failure.is_some() {
            self.seen.lost += packets;
        } else if self.is_finished() {
            self.seen.discarded += packets;
        } else if packets > 0 {
            let (bytes, wanted) = group
                .records
                .within(u64::MAX, self.left.unwrap_or(u64::MAX));
            let taken = self.output.packets().0;
            let put = self
                .output
                .put_records(group.records.split(bytes, wanted).0);
            let taken = self.output.packets().0 - taken;
            self.left = self.left.map(|left| left - taken);
            match put {
                Ok(put) => {
                    self.full |= put == Put::Full;
                    self.seen.discarded += packets - taken;
                }
                Err(failure) => {
                    self.seen.lost += packets - taken;
                    self.fail(failure);
                }
            }
        }
        self.looked(interface, &group.looked, before);
    }

    /// Counts what has been dealt with.
    fn looked(&mut self, interface: u32, looked: &Looked, missing_before: u64) {
        self.first.get_or_insert_with(Instant::now);
        self.seen.received += looked.packets;
        self.seen.bytes += looked.bytes;
        let rejected = looked.packets - looked.accepted;
        self.seen.rejected = self.seen.rejected.map(|n| n + rejected);
        self.seen.cut += looked.cut;
        self.seen.cut_before += looked.cut_before;
        let missing = self.missing() - missing_before;
        if let Some(counts) = self.output.counts(interface) {
            counts.received += looked.packets;
            counts.accepted += looked.accepted;
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
            Note::Failed(failure) => {
                // What was brought is still written, whatever its time.
                self.over.get_or_insert(Timestamp::from_nanos(u64::MAX));
                self.unread.get_or_insert(failure);
                return;
            }
            Note::Missed(interface, packets, at_least) => {
                let (before, uncertain) = self.seen.missed.unwrap_or_default();
                self.seen.missed = Some((before + packets, uncertain || at_least));
                (interface, packets)
            }
            Note::Lost(interface, packets, failure) => {
                self.seen.received += packets;
                self.seen.lost += packets;
                self.fail(failure);
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
    fn put(&mut self, interface: u32, way: Option<Direction>, packet: &Packet<'_>) {
        if self.failure.is_some() {
            self.seen.lost += 1;
            return;
        }
        self.full |= self.over.is_some_and(|over| over < packet.info().timestamp);
        if self.is_finished() {
            self.seen.discarded += 1;
            return;
        }
        let way = way.unwrap_or(packet.info().direction);
        match self.output.put(packet, interface, way) {
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

    /// Also before packets are written: a writer that always has some leaves the clock no time.
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
            found_full: self
                .rings
                .as_ref()
                .map_or(0, |rings| rings().0.iter().sum()),
            ..self.seen.clone()
        }
    }
}

/// Behind so many bytes, making room for it. How many more there are then.
#[inline]
fn lay_down(
    format: RecordFormat,
    room: &mut Vec<u8>,
    used: usize,
    (interface, way): (u32, Option<Direction>),
    packet: &Packet<'_>,
) -> Result<usize, Error> {
    let way = way.unwrap_or(packet.info().direction);
    loop {
        let size = format.put(&mut room[used..], interface, way, packet)?;
        if size <= room.len() - used {
            return Ok(size);
        }
        room.resize(used + 2 * size, 0);
    }
}

#[cfg(test)]
mod tests;

//! Private memory for packets on their way to a file, laid down as they will be in it.

use std::io;
use std::ops::Range;

use memif::pcap::RecordFormat;
use memif::{Direction, Error, Packet, Timestamp};
use memmap2::MmapMut;

use crate::files::record::intake::{Intake, Looked, cut};
use crate::files::record::output::Records;

/// What a block has at least. Its pages are there once they are written to.
pub(super) const BLOCK: usize = 128 << 10;

/// What is known of a run, at the end of the block's memory.
const RUN: usize = 7 * size_of::<u64>();

/// Nanoseconds after which the writer gets what there is, of a ring that is never found empty too.
const LONGEST: u64 = 100_000_000;

/// Records from the front, what is known of them from the back. Its memory is given back when it is
/// dropped.
pub(super) struct Block {
    memory: MmapMut,
    used: usize,
    /// Those at the end; the last is still open.
    runs: usize,
    open: Run,
    /// When its first packet came, be it wanted or not.
    since: Timestamp,
    /// Bytes of records, and runs, that were taken.
    taken: (usize, usize),
}

/// What became of a packet.
pub(super) enum Fate {
    Kept,
    Rejected,
    /// For so many bytes.
    NoRoom(usize),
}

/// Packets of one interface and time, as those of a burst are; and what was rejected after them.
#[derive(Clone, Copy, Default)]
struct Run {
    time: Timestamp,
    interface: u32,
    /// Of its records.
    end: usize,
    looked: Looked,
}

/// Packets of an interface.
pub(in super::super) struct Group<'a> {
    /// Of the first.
    pub(in super::super) time: Timestamp,
    pub(in super::super) looked: Looked,
    /// Those that were accepted.
    pub(in super::super) records: Records<'a>,
}

impl Block {
    /// With room for a record of so many bytes.
    pub(super) fn for_record(bytes: usize) -> io::Result<Self> {
        Ok(Self {
            memory: MmapMut::map_anon(BLOCK.max(bytes + 2 * RUN))?,
            used: 0,
            runs: 0,
            open: Run::default(),
            since: Timestamp::default(),
            taken: (0, 0),
        })
    }

    pub(super) fn size(&self) -> usize {
        self.memory.len()
    }

    /// Whether this one record would have room, were there no others.
    pub(super) fn suits(&self, bytes: usize) -> bool {
        self.memory.len() >= bytes + 2 * RUN
    }

    pub(super) fn is_empty(&self) -> bool {
        self.runs == 0
    }

    pub(super) fn clear(&mut self) {
        (self.used, self.runs, self.taken) = (0, 0, (0, 0));
    }

    /// Looks at a packet, and keeps what is to be recorded of it.
    #[inline]
    pub(super) fn put(
        &mut self,
        format: RecordFormat,
        intake: &Intake,
        (interface, way): (u32, Option<Direction>),
        packet: &Packet<'_>,
    ) -> Result<Fate, Error> {
        let kept = intake.look(packet);
        let time = packet.info().timestamp;
        let is_apart = kept.is_some() && self.open.looked.accepted > 0 && self.open.time != time;
        let is_new = self.runs == 0 || self.open.interface != interface || is_apart;
        let end = (self.runs + usize::from(is_new)) * RUN;
        let end = self.memory.len().saturating_sub(end);
        let age = time.as_nanos().abs_diff(self.since.as_nanos());
        let room = match self.memory.get_mut(self.used..end) {
            Some(room) if self.runs == 0 || age < LONGEST => room,
            _ => return Ok(Fate::NoRoom(0)),
        };
        let mut size = 0;
        if let Some(bytes) = kept {
            let way = way.unwrap_or(packet.info().direction);
            size = format.put(room, interface, way, &cut(packet, bytes))?;
            if size > room.len() {
                return Ok(Fate::NoRoom(size));
            }
        }
        if is_new {
            self.begin_run(interface, time);
        }
        if self.open.looked.accepted == 0 {
            self.open.time = time;
        }
        self.used += size;
        self.open.end = self.used;
        intake.count(&mut self.open.looked, packet, kept);
        Ok(kept.map_or(Fate::Rejected, |_| Fate::Kept))
    }

    #[inline(never)]
    fn begin_run(&mut self, interface: u32, time: Timestamp) {
        self.close();
        if self.runs == 0 {
            self.since = time;
        }
        self.runs += 1;
        self.open.interface = interface;
        self.open.looked = Looked::default();
    }

    /// The last run will not grow.
    pub(super) fn close(&mut self) {
        if self.runs > 0 {
            let (at, run) = (self.run_at(self.runs - 1), self.open);
            if let Some(to) = self.memory.get_mut(at) {
                run.save(to);
            }
        }
    }

    fn run_at(&self, number: usize) -> Range<usize> {
        let end = self.memory.len() - number * RUN;
        end - RUN..end
    }

    /// Of a block that is closed.
    fn next_run(&self) -> Option<Run> {
        let (_, number) = self.taken;
        let at = (number < self.runs).then(|| self.run_at(number))?;
        self.memory.get(at).map(Run::load)
    }

    /// The time of what comes next, if anything does.
    pub(super) fn time(&self) -> Option<Timestamp> {
        self.next_run().map(|run| run.time)
    }

    /// Takes what comes next: of one interface, and such that all of it or nothing came after each
    /// of these moments.
    pub(super) fn take(
        &mut self,
        format: RecordFormat,
        moments: [Option<Timestamp>; 2],
    ) -> Option<Group<'_>> {
        let first = self.next_run()?;
        let (start, mut looked) = (self.taken.0, Looked::default());
        let is_after = |run: &Run| moments.map(|moment| moment.is_some_and(|at| at < run.time));
        while let Some(run) = self.next_run()
            && run.interface == first.interface
            && is_after(&run) == is_after(&first)
        {
            looked += run.looked;
            self.taken = (run.end, self.taken.1 + 1);
        }
        let bytes = self.memory.get_mut(start..self.taken.0)?;
        Some(Group {
            time: first.time,
            looked,
            records: Records {
                format,
                bytes,
                packets: looked.accepted,
                interface: first.interface,
            },
        })
    }
}

impl Run {
    fn save(&self, to: &mut [u8]) {
        let Looked {
            packets,
            bytes,
            accepted,
            cut,
            cut_before,
        } = self.looked;
        let place = u64::from(self.interface) << 32 | self.end as u64;
        let time = self.time.as_nanos();
        let numbers = [time, place, packets, bytes, accepted, cut, cut_before];
        for (to, number) in to.chunks_exact_mut(8).zip(numbers) {
            to.copy_from_slice(&number.to_ne_bytes());
        }
    }

    fn load(from: &[u8]) -> Self {
        let mut numbers = [0; RUN / 8];
        for (number, from) in numbers.iter_mut().zip(from.as_chunks().0) {
            *number = u64::from_ne_bytes(*from);
        }
        let [time, place, packets, bytes, accepted, cut, cut_before] = numbers;
        Self {
            time: Timestamp::from_nanos(time),
            interface: (place >> 32) as u32,
            end: place as u32 as usize,
            looked: Looked {
                packets,
                bytes,
                accepted,
                cut,
                cut_before,
            },
        }
    }
}

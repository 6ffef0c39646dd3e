//! Where a recording goes.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Instant;

use memif::pcap::{InterfaceInfo, InterfaceStatistics, RecordFormat};
use memif::{Direction, Packet};

use super::summary::Load;
use crate::failure::Failure;

/// What became of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Put {
    Taken,
    /// The last file is full.
    Full,
}

/// How often the ring of each interface was found full, since the command began, and how it went
/// with the buffer, where there is one.
pub(crate) type Rings = Arc<dyn Fn() -> (Vec<u64>, Option<Load>) + Send + Sync>;

/// Records of packets of one interface.
pub(crate) struct Records<'a> {
    pub(super) format: RecordFormat,
    pub(super) bytes: &'a mut [u8],
    pub(super) packets: u64,
    pub(super) interface: u32,
}

impl<'a> Records<'a> {
    /// How many of the first have no more than so many bytes together, and are no more than so many
    /// packets: their bytes, and how many they are.
    pub(super) fn within(&self, bytes: u64, packets: u64) -> (usize, u64) {
        if self.bytes.len() as u64 <= bytes && self.packets <= packets {
            return (self.bytes.len(), self.packets);
        }
        let (mut end, mut count) = (0, 0);
        while count < packets.min(self.packets)
            && let Some(size) = self.format.first(&self.bytes[end..])
            && (end + size) as u64 <= bytes
            && end + size <= self.bytes.len()
        {
            end += size;
            count += 1;
        }
        (end, count)
    }

    /// So many of the first, and the others.
    pub(super) fn split(self, bytes: usize, packets: u64) -> (Self, Self) {
        let (first, others) = self.bytes.split_at_mut(bytes);
        let part = |bytes, packets| Self {
            bytes,
            packets,
            ..self
        };
        (part(first, packets), part(others, self.packets - packets))
    }
}

/// Where a recording goes: files, or lines on standard output.
pub(crate) trait Output: Send {
    /// Puts a packet, where it takes packets and not records.
    fn put(&mut self, _packet: &Packet<'_>, _from: u32, _way: Direction) -> Result<Put, Failure> {
        Ok(Put::Full)
    }

    /// What records are made of packets; `None` where it takes only packets.
    fn format(&self) -> Option<RecordFormat> {
        None
    }

    /// Puts records, until one finds the last file full. How many were taken, `packets` tells.
    fn put_records(&mut self, _records: Records<'_>) -> Result<Put, Failure> {
        Ok(Put::Full)
    }

    /// Everything goes out.
    fn flush(&mut self) -> Result<(), Failure>;

    /// Nothing is waiting: what is held back goes out, unless that would spoil it.
    fn idle(&mut self) -> Result<(), Failure> {
        self.flush()
    }

    /// Whether somebody reads along.
    fn is_read_along(&self) -> bool;

    /// The pipe that it goes to, if it does.
    fn pipe(&self) -> Option<OwnedFd>;

    /// When `tick` is to be called.
    fn deadline(&self) -> Option<Instant> {
        None
    }

    /// Goes on to the next file if the time has come.
    fn tick(&mut self) -> Result<Put, Failure> {
        Ok(Put::Taken)
    }

    /// From now on packets come from these interfaces.
    fn describe(&mut self, _interfaces: Vec<InterfaceInfo>) -> Result<(), Failure> {
        Ok(())
    }

    /// For the numbers of the interfaces.
    fn watch_rings(&mut self, _rings: &Rings) {}

    /// The numbers of an interface, for the file.
    fn counts(&mut self, _interface: u32) -> Option<&mut InterfaceStatistics> {
        None
    }

    /// Ends it. After a failure only what is sound is kept.
    fn end(&mut self, failed: bool) -> Result<(), Failure>;

    /// Waits for what goes on after the end.
    fn wait(&mut self) {}

    /// Packets that were taken, and how many of them are where they belong.
    fn packets(&self) -> (u64, u64);

    /// As in `5 packets written to x.pcap`.
    fn what_was_done(&self) -> String;
}

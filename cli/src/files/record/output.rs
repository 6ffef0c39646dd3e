//! Where a recording goes.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Instant;

use memif::pcap::{InterfaceInfo, InterfaceStatistics};
use memif::{Direction, Packet};

use crate::failure::Failure;

/// What became of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Put {
    Taken,
    /// The last file is full.
    Full,
}

/// How often the ring of each interface was found full, since the command began.
pub(crate) type Rings = Arc<dyn Fn() -> Vec<u64> + Send + Sync>;

/// Where a recording goes: files, or lines on standard output.
pub(crate) trait Output: Send {
    fn put(&mut self, packet: &Packet<'_>, from: u32, way: Direction) -> Result<Put, Failure>;

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

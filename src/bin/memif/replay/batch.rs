//! Packets that are sent together.

use std::time::Duration;

use memif::{Eof, Error, PacketHandle, PacketReader, PacketWriter, Wait};

use super::Counts;
use crate::Failure;
use crate::endpoint::Session;
use crate::report::count;

/// Why a replay ends before its files do.
pub(super) enum Ended {
    Stopped,
    Failed(Failure),
}

impl From<Error> for Ended {
    fn from(error: Error) -> Self {
        Self::Failed(error.into())
    }
}

pub(super) fn peer_left(session: &Session, packets: u64) -> Ended {
    Ended::Failed(Failure::Failed(format!(
        "{}: the peer left after {}",
        session.memif,
        count(packets, "packet")
    )))
}

/// A queue, and what is to be sent on it.
pub(super) struct Lane {
    pub(super) writer: PacketWriter,
    pub(super) batch: Batch,
    /// Kept, as the queue pair belongs together.
    _reader: PacketReader,
}

impl Lane {
    pub(super) fn new(handle: PacketHandle) -> Self {
        let (_reader, writer) = handle.split();
        Self {
            writer,
            batch: Batch::default(),
            _reader,
        }
    }

    /// Sends what has been collected.
    pub(super) fn send(
        &mut self,
        session: &Session,
        lost: u64,
        counts: &mut Counts,
    ) -> Result<(), Ended> {
        if self.batch.len() == 0 {
            return Ok(());
        }
        self.batch.send(&mut self.writer, session, lost, counts)
    }
}

/// Packets that are due together, in memory of our own.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Batch {
    const PACKETS: usize = 64;

    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The packet that was added last, to be changed.
    pub(super) fn last(&mut self) -> &mut [u8] {
        let before = self.ends.len().checked_sub(2).map_or(0, |at| self.ends[at]);
        &mut self.bytes[before..]
    }

    pub(crate) fn push(&mut self, packet: &[u8]) {
        self.bytes.extend_from_slice(packet);
        self.ends.push(self.bytes.len());
    }

    pub(crate) fn is_full(&self) -> bool {
        self.ends.len() >= Self::PACKETS
    }

    fn packets(&self) -> [&[u8]; Self::PACKETS] {
        let mut packets: [&[u8]; Self::PACKETS] = [&[]; Self::PACKETS];
        let mut start = 0;
        for (packet, end) in packets.iter_mut().zip(&self.ends) {
            *packet = &self.bytes[start..*end];
            start = *end;
        }
        packets
    }

    /// Sends all where there is room for all; how many that were.
    pub(crate) fn send_now(&mut self, handle: &mut memif::PacketHandle) -> Result<usize, Error> {
        let packets = self.packets();
        let sent = handle.write_packets(&packets[..self.ends.len()])?;
        if sent < self.ends.len() {
            return Err(Eof::Full.into());
        }
        self.bytes.clear();
        self.ends.clear();
        Ok(sent)
    }

    /// Sends all, waiting for room as long as the link is up.
    fn send(
        &mut self,
        writer: &mut PacketWriter,
        session: &Session,
        lost: u64,
        counts: &mut Counts,
    ) -> Result<(), Ended> {
        // Another link may be up by now; these packets belong to the first.
        if session.lost_links() != lost && !session.stop.is_set() {
            return Err(peer_left(session, counts.packets));
        }
        let packets = self.packets();
        let mut left = &packets[..self.ends.len()];
        let result = loop {
            if left.is_empty() {
                break Ok(());
            }
            match writer.write_packets(left) {
                Ok(sent) => {
                    counts.packets += sent as u64;
                    counts.bytes += left[..sent].iter().map(|p| p.len() as u64).sum::<u64>();
                    left = &left[sent..];
                }
                Err(Error::Eof(Eof::Full)) => {
                    counts.waits += 1;
                    let waited = writer.wait_writable(Some(Duration::from_millis(100)));
                    if session.stop.is_set() {
                        break Err(Ended::Stopped);
                    }
                    if let Ok(Wait::Ready | Wait::TimedOut) = waited {
                        continue;
                    }
                }
                Err(Error::Eof(Eof::Closed)) => break Err(Ended::Stopped),
                Err(Error::Eof(_)) => break Err(peer_left(session, counts.packets)),
                Err(e @ Error::Config { .. }) => {
                    break Err(Ended::Failed(Failure::Failed(format!(
                        "{}: packet {}: {e}; give the slave a larger --ring-size or --buffer-size",
                        session.memif,
                        counts.packets + 1
                    ))));
                }
                Err(e) => break Err(e.into()),
            }
        };
        self.bytes.clear();
        self.ends.clear();
        result
    }
}

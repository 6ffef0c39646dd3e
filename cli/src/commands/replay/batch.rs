//! Packets that are sent together.

use std::time::Duration;

use memif::{Eof, Error, Packet, PacketHandle, PacketReader, PacketWriter, Wait};

use super::counts::Counts;
use crate::failure::Failure;
use crate::files::input::BATCH;
use crate::link::session::Session;
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
        let packets = self.batch.packets();
        let packets = &packets[..self.batch.len()];
        let result = send_all(&mut self.writer, packets, session, lost, counts);
        self.batch.clear();
        result
    }

    /// Sends packets that lie elsewhere, after what has been collected.
    pub(super) fn send_these(
        &mut self,
        packets: &[Packet<'_>],
        session: &Session,
        lost: u64,
        counts: &mut Counts,
    ) -> Result<(), Ended> {
        self.send(session, lost, counts)?;
        send_all(&mut self.writer, packets, session, lost, counts)
    }
}

/// Packets that are due together, in memory of our own.
#[derive(Debug, Default)]
pub(super) struct Batch {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Batch {
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The packet that was added last, to be changed.
    pub(super) fn last(&mut self) -> &mut [u8] {
        let before = self.ends.len().checked_sub(2).map_or(0, |at| self.ends[at]);
        &mut self.bytes[before..]
    }

    pub(super) fn push(&mut self, packet: &[u8]) {
        self.bytes.extend_from_slice(packet);
        self.ends.push(self.bytes.len());
    }

    pub(super) fn is_full(&self) -> bool {
        self.ends.len() >= BATCH
    }

    fn packets(&self) -> [&[u8]; BATCH] {
        let mut packets: [&[u8]; BATCH] = [&[]; BATCH];
        let mut start = 0;
        for (packet, end) in packets.iter_mut().zip(&self.ends) {
            *packet = &self.bytes[start..*end];
            start = *end;
        }
        packets
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }
}

/// Sends all, waiting for room as long as the link is up.
fn send_all<T: AsRef<[u8]>>(
    writer: &mut PacketWriter,
    mut left: &[T],
    session: &Session,
    lost: u64,
    counts: &mut Counts,
) -> Result<(), Ended> {
    // Another link may be up by now; these packets belong to the first.
    if session.lost_links() != lost && !session.events.is_stopped() {
        return Err(peer_left(session, counts.packets));
    }
    while !left.is_empty() {
        match writer.write_packets(left) {
            Ok(sent) => {
                counts.packets += sent as u64;
                let lengths = left[..sent].iter().map(|p| p.as_ref().len() as u64);
                counts.bytes += lengths.sum::<u64>();
                left = &left[sent..];
            }
            Err(Error::Full) => {
                counts.waits += 1;
                let length = left[0].as_ref().len();
                let waited = writer.wait_writable(length, Some(Duration::from_millis(100)));
                if session.events.is_stopped() {
                    return Err(Ended::Stopped);
                }
                if let Ok(Wait::Ready) | Err(Error::TimedOut) = waited {
                    continue;
                }
            }
            Err(Error::Eof(Eof::Closed)) => return Err(Ended::Stopped),
            Err(Error::Eof(_)) => return Err(peer_left(session, counts.packets)),
            Err(e @ (Error::TooLong { .. } | Error::EmptyPacket)) => {
                return Err(Ended::Failed(Failure::Failed(format!(
                    "{}: packet {}: {e}; use a larger --ring-size or --buffer-size on the slave's side",
                    session.memif,
                    counts.packets + 1
                ))));
            }
            Err(e) => return Err(e.into()),
        }
    }
    Ok(())
}

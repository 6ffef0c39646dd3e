//! Packets that are sent together.

use std::time::Duration;

use memif::{Eof, Error, Packet, PacketReader, PacketWriter, Wait};

use super::counts::Counts;
use super::resume::Resume;
use crate::failure::Failure;
use crate::files::input::BATCH;
use crate::link::session::{Linked, Session};
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

/// Whether the peers of links that have gone down had read what was sent to them.
fn has_read_all(session: &Session) -> bool {
    let queues = session.memif.stats().tx_queues;
    queues.iter().all(|queue| queue.unread_slots == 0)
}

/// A queue, and what is to be sent on it.
pub(super) struct Lane {
    pub(super) writer: PacketWriter,
    pub(super) batch: Batch,
    /// Links that had gone down before.
    lost: u64,
    /// Where a peer that comes back is to get the rest.
    resume: Option<Resume>,
    /// Kept, as the queue pair belongs together.
    _reader: PacketReader,
}

impl Lane {
    pub(super) fn new(
        session: &Session,
        queue: u8,
        lost: u64,
        resumes: bool,
    ) -> Result<Self, Error> {
        let (_reader, writer) = session.memif.packet_handle(queue)?.split();
        Ok(Self {
            writer,
            batch: Batch::default(),
            lost,
            resume: resumes.then(|| Resume::new(session, queue)),
            _reader,
        })
    }

    /// Sends what has been collected.
    pub(super) fn send(&mut self, session: &Session, counts: &mut Counts) -> Result<(), Ended> {
        // Who has left by now, and had read everything, is none that left too early.
        let is_over = || session.lost_links() != self.lost && !has_read_all(session);
        if self.batch.len() == 0 && self.resume.is_none() && !is_over() {
            return Ok(());
        }
        let mut batch = std::mem::take(&mut self.batch);
        let packets = batch.packets();
        let result = self.send_all(&packets[..batch.len()], session, counts);
        batch.clear();
        self.batch = batch;
        result
    }

    /// Sends packets that lie elsewhere, after what has been collected.
    pub(super) fn send_these(
        &mut self,
        packets: &[Packet<'_>],
        session: &Session,
        counts: &mut Counts,
    ) -> Result<(), Ended> {
        self.send(session, counts)?;
        self.send_all(packets, session, counts)
    }

    /// Sends all, waiting for room as long as the link is up.
    fn send_all<T: AsRef<[u8]>>(
        &mut self,
        mut left: &[T],
        session: &Session,
        counts: &mut Counts,
    ) -> Result<(), Ended> {
        let mut stall = Stall::default();
        loop {
            // Another link may be up by now; these packets belong to the first.
            if session.lost_links() != self.lost && !session.events.is_stopped() {
                self.left(!left.is_empty(), session, counts)?;
            }
            let again = self.resume.as_ref().and_then(Resume::next);
            let (length, result) = match (&again, left.first()) {
                (Some(packet), _) => (packet.len(), self.writer.write_packets(&[packet])),
                (None, Some(first)) => (first.as_ref().len(), self.writer.write_packets(left)),
                (None, None) => return Ok(()),
            };
            match result {
                Ok(_) if again.is_some() => {
                    if let Some(resume) = &mut self.resume {
                        resume.sent_again();
                    }
                    stall = Stall::default();
                }
                Ok(sent) => {
                    counts.packets += sent as u64;
                    let lengths = left[..sent].iter().map(|p| p.as_ref().len() as u64);
                    counts.bytes += lengths.sum::<u64>();
                    if let Some(resume) = &mut self.resume {
                        left[..sent].iter().for_each(|p| resume.keep(p.as_ref()));
                    }
                    left = &left[sent..];
                    stall = Stall::default();
                }
                Err(Error::Full) => {
                    counts.waits += 1;
                    let waited = self.writer.wait_writable(length, Some(Stall::STEP));
                    if session.events.is_stopped() {
                        return Err(Ended::Stopped);
                    }
                    match waited {
                        Err(Error::TimedOut) => stall.goes_on(session),
                        Ok(Wait::Ready) => {}
                        _ => self.left(true, session, counts)?,
                    }
                }
                Err(Error::Eof(Eof::Closed)) => return Err(Ended::Stopped),
                Err(Error::Eof(_)) => self.left(true, session, counts)?,
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
    }

    /// Whether the peer has gone, and did not have to be waited for: after sending, it has read all.
    pub(super) fn is_left(&self, session: &Session) -> bool {
        session.lost_links() != self.lost
    }

    /// The peer has gone: the replay ends, or waits for the next link if there is more to send.
    fn left(&mut self, more: bool, session: &Session, counts: &mut Counts) -> Result<(), Ended> {
        if session.events.is_stopped() {
            return Err(Ended::Stopped);
        }
        let Some(resume) = &mut self.resume else {
            return Err(peer_left(session, counts.packets));
        };
        let lost = session.lost_links();
        if lost == self.lost {
            // The control thread tells of it in a moment, and what was not read.
            session.events.sleep(Duration::from_millis(1));
            return Ok(());
        }
        resume.begin(session);
        if !more && resume.again() == 0 {
            return Ok(());
        }
        self.lost = lost;
        counts.resumed += 1;
        session.say(format_args!(
            "the peer left after {}, {} of them not read; going on when it is back",
            count(counts.packets, "packet"),
            resume.again(),
        ));
        match session.wait_link(None).map_err(Ended::Failed)? {
            Linked::Stopped => Err(Ended::Stopped),
            Linked::Up => {
                resume.look(session);
                Ok(())
            }
        }
    }
}

/// A ring that stays full.
#[derive(Default)]
struct Stall {
    steps: u32,
}

impl Stall {
    const STEP: Duration = Duration::from_millis(100);

    /// Tells of it once, after two seconds.
    fn goes_on(&mut self, session: &Session) {
        self.steps += 1;
        if self.steps == 20 {
            session.say("waiting: the ring is full, and the peer does not read");
        }
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

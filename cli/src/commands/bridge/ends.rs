//! The ends of a bridge: packets in and out of them.

use std::sync::Mutex;
use std::time::Duration;

use memif::{Burst, Eof, Error, Packet, RxMode, RxQueue, TxQueue, Wait};

use crate::events::Events;
use crate::failure::Failure;
use crate::link::kernel_tap::{Tap, TapReader, TapWriter};
use crate::link::session::{Linked, Session};
use crate::report::notice;

/// Packets taken from a ring at a time.
const BURST: u16 = 256;
/// How long to wait for room before looking whether the bridge is to end.
const STEP: Duration = Duration::from_millis(200);

/// An end that is open.
pub(super) enum Port {
    Memif {
        session: Session,
        /// As many as a link may have.
        queues: u8,
        rx_mode: Option<RxMode>,
        /// Whether the peer takes TCP segments whole.
        gso: bool,
    },
    Tap(Tap),
}

impl Port {
    pub(super) fn session(&self) -> Option<&Session> {
        match self {
            Self::Memif { session, .. } => Some(session),
            Self::Tap(_) => None,
        }
    }

    /// How many links there have been.
    pub(super) fn links(&self) -> u64 {
        match self {
            Self::Memif { session, .. } => session.links(),
            Self::Tap(_) => 0,
        }
    }

    /// What a capture file says of it beyond its name.
    pub(super) fn about(&self, snaplen: u32) -> String {
        match self {
            Self::Memif { session, .. } => session
                .interfaces(snaplen)
                .pop()
                .map_or(String::new(), |info| info.description),
            Self::Tap(_) => "TAP device".into(),
        }
    }

    /// `false` when the bridge is to end first.
    pub(super) fn wait_link(&self) -> Result<bool, Failure> {
        match self {
            Self::Memif { session, .. } => Ok(session.wait_link(None)? == Linked::Up),
            Self::Tap(_) => Ok(true),
        }
    }

    /// How many to read.
    pub(super) fn queues(&self) -> u8 {
        match self {
            Self::Memif { queues, .. } => *queues,
            Self::Tap(tap) => tap.queues(),
        }
    }

    /// In its own receive mode, or else in this one.
    pub(super) fn source(&self, queue: u8, otherwise: RxMode) -> Result<Source<'_>, Failure> {
        Ok(match self {
            Self::Memif {
                session, rx_mode, ..
            } => {
                let mut queue = session.memif.rx_queue(queue)?;
                queue.set_rx_mode(rx_mode.unwrap_or(otherwise))?;
                Source::Memif {
                    session,
                    queue,
                    burst: Burst::new(BURST),
                }
            }
            Self::Tap(tap) => Source::Tap(TapReader::new(tap.clone(), queue)),
        })
    }

    /// One for each queue.
    pub(super) fn sinks<'a>(&'a self, events: &'a Events) -> Result<Vec<Mutex<Sink<'a>>>, Failure> {
        match self {
            Self::Memif { session, .. } => (0..self.queues())
                .map(|queue| {
                    let queue = session.memif.tx_queue(queue)?;
                    Ok(Mutex::new(Sink::Memif { queue, events }))
                })
                .collect(),
            Self::Tap(tap) => Ok((0..tap.queues())
                .map(|queue| Mutex::new(Sink::Tap(TapWriter::new(tap.clone(), queue))))
                .collect()),
        }
    }

    /// Which of them packets of the other end's queue go to: one that the link has.
    pub(super) fn sink_for(&self, queue: u8) -> usize {
        match self {
            Self::Memif { session, .. } => {
                usize::from(queue % session.memif.tx_queues().clamp(1, self.queues()))
            }
            Self::Tap(tap) => usize::from(queue % tap.queues()),
        }
    }

    /// How long frames to this end may be that need not be cut.
    pub(super) fn longest_whole(&self) -> LongestWhole<'_> {
        let session = match self {
            Self::Memif {
                session, gso: true, ..
            } => Some(session),
            _ => None,
        };
        LongestWhole {
            session,
            links: 0,
            length: 0,
        }
    }
}

/// The longest frame that a peer takes whole: as long as its ring.
pub(super) struct LongestWhole<'a> {
    /// `None` where all are cut.
    session: Option<&'a Session>,
    /// The link that it is known for.
    links: u64,
    length: usize,
}

impl LongestWhole<'_> {
    pub(super) fn get(&mut self) -> usize {
        let Some(session) = self.session else {
            return 0;
        };
        let links = session.links();
        // A master learns the size of the buffers with the first that its slave offers.
        if links != self.links || self.length == 0 {
            self.links = links;
            let queues = session.memif.details().map(|details| details.tx_queues);
            let lengths = queues.unwrap_or_default().into_iter();
            let lengths = lengths.map(|q| {
                // Some slaves keep one slot.
                let slots = (q.ring_size as usize).saturating_sub(1);
                slots * usize::from(q.buffer_size)
            });
            self.length = lengths.min().unwrap_or(0);
        }
        self.length
    }
}

pub(super) enum Source<'a> {
    Memif {
        session: &'a Session,
        queue: RxQueue,
        burst: Burst,
    },
    Tap(TapReader),
}

impl Source<'_> {
    /// Takes what is waiting: how many, or `None` when there will be no more. What the kernel wants
    /// to be cut is, beyond frames of `whole` bytes.
    pub(super) fn fill(&mut self, whole: usize) -> Result<Option<usize>, Failure> {
        match self {
            Self::Memif { queue, burst, .. } => match queue.rx_burst(burst) {
                Ok(filled) => Ok(Some(filled)),
                Err(Error::Eof(Eof::LinkDown)) => Ok(Some(0)),
                Err(Error::Eof(_)) => Ok(None),
                Err(e) if is_of_peer(&e) => {
                    notice(&e);
                    Ok(Some(0))
                }
                Err(e) => Err(e.into()),
            },
            Self::Tap(reader) => reader.fill(whole).map(Some),
        }
    }

    /// How many packets could not be passed on when it was filled.
    pub(super) fn dropped(&self) -> usize {
        match self {
            Self::Memif { .. } => 0,
            Self::Tap(reader) => reader.dropped(),
        }
    }

    /// Waits for more: `false` when there will be none.
    pub(super) fn wait(&mut self) -> Result<bool, Failure> {
        match self {
            Self::Memif { session, queue, .. } => match queue.wait(None)? {
                Wait::LinkDown => Ok(session.wait_link(None)? == Linked::Up),
                wait => Ok(wait != Wait::Closed),
            },
            Self::Tap(reader) => reader.wait(),
        }
    }

    pub(super) fn packets(&self) -> Vec<Packet<'_>> {
        match self {
            Self::Memif { burst, .. } => burst.iter().collect(),
            Self::Tap(reader) => reader.packets().collect(),
        }
    }
}

pub(super) enum Sink<'a> {
    Memif { queue: TxQueue, events: &'a Events },
    Tap(TapWriter),
}

impl Sink<'_> {
    /// Passes packets on, waiting for room; adds how many the other side got, and their bytes.
    pub(super) fn send(
        &mut self,
        mut packets: &[Packet<'_>],
        (sent, bytes): &mut (usize, usize),
    ) -> Result<(), Failure> {
        let (queue, events) = match self {
            Self::Tap(tap) => {
                (*sent, *bytes) = tap.write(packets);
                return Ok(());
            }
            Self::Memif { queue, events } => (queue, events),
        };
        while !packets.is_empty() && !events.is_stopped() {
            match queue.tx_burst(packets) {
                Ok(0) => match queue.wait_writable(packets[0].len(), Some(STEP)) {
                    Err(e) if is_of_peer(&e) => {
                        notice(&e);
                        break;
                    }
                    // The next burst tells the same of its first packet.
                    Ok(_) | Err(Error::TimedOut | Error::TooLong { .. } | Error::EmptyPacket) => {}
                    Err(e) => return Err(e.into()),
                },
                Ok(count) => {
                    *sent += count;
                    *bytes += packets[..count].iter().map(|p| p.len()).sum::<usize>();
                    packets = &packets[count..];
                }
                Err(Error::Eof(_)) => break,
                // Too long for the ring, or empty.
                Err(Error::TooLong { .. } | Error::EmptyPacket) => packets = &packets[1..],
                Err(e) if is_of_peer(&e) => {
                    notice(&e);
                    break;
                }
                Err(e) => return Err(e.into()),
            }
        }
        Ok(())
    }
}

/// The link goes down for that; the bridge goes on with the next.
fn is_of_peer(e: &Error) -> bool {
    e.kind() == memif::ErrorKind::MalformedMessage
}

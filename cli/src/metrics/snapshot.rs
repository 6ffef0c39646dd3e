//! The numbers at a moment.

use std::time::{SystemTime, UNIX_EPOCH};

use memif::{Memif, QueueDetails, QueueStats};
use serde::{Deserialize, Serialize};

use crate::files::record::Load;
use crate::link::session::{Dropped, Session};

/// A command and its interfaces.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Snapshot {
    pub(crate) pid: u32,
    pub(crate) command: String,
    /// Seconds since 1970.
    pub(crate) time: f64,
    pub(crate) interfaces: Vec<Interface>,
    /// Where packets wait to be written.
    #[serde(default)]
    pub(crate) buffer: Option<Load>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Interface {
    pub(crate) socket: String,
    pub(crate) id: u32,
    pub(crate) role: String,
    pub(crate) peer: String,
    pub(crate) link_up: bool,
    /// How many links there have been.
    pub(crate) links: u64,
    pub(crate) queues: Vec<Queue>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Direction {
    Rx,
    Tx,
}

impl Direction {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Rx => "rx",
            Self::Tx => "tx",
        }
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Queue {
    pub(crate) direction: Direction,
    pub(crate) queue: u8,
    pub(crate) packets: u64,
    pub(crate) bytes: u64,
    /// Received here and not passed on.
    pub(crate) dropped: u64,
    /// How often the ring had no room: for packets that were sent, or found so while receiving.
    pub(crate) ring_full: u64,
    /// Slots that the peer has overwritten before they were read.
    #[serde(default)]
    pub(crate) overrun_slots: u64,
    /// Slots of the ring with packets in them; 0 of 0 without a link.
    pub(crate) ring_used: u32,
    pub(crate) ring_size: u32,
}

#[derive(Debug)]
pub(super) struct Watched {
    memif: Memif,
    dropped: Dropped,
}

impl Watched {
    pub(super) fn new(session: &Session) -> Self {
        Self {
            memif: session.memif.clone(),
            dropped: session.dropped.clone(),
        }
    }

    fn interface(&self) -> Interface {
        let stats = self.memif.stats();
        let details = self.memif.details().ok();
        let details = details.filter(|_| stats.link_up);
        let (peer, rx, tx) = match &details {
            Some(d) => (d.remote_name.clone(), &d.rx_queues[..], &d.tx_queues[..]),
            None => (String::new(), &[][..], &[][..]),
        };
        let queues = |direction, stats: &[QueueStats], details: &[QueueDetails]| -> Vec<Queue> {
            let one = |q: &QueueStats| {
                let ring = details.iter().find(|d| d.id == q.id);
                let dropped = match direction {
                    Direction::Rx => self.dropped.get(q.id),
                    Direction::Tx => 0,
                };
                Queue {
                    direction,
                    queue: q.id,
                    packets: q.packets,
                    bytes: q.bytes,
                    dropped,
                    ring_full: q.ring_full,
                    overrun_slots: q.overrun_slots,
                    ring_used: ring.map_or(0, |d| d.used),
                    ring_size: ring.map_or(0, |d| d.ring_size),
                }
            };
            stats.iter().map(one).collect()
        };
        let mut all = queues(Direction::Rx, &stats.rx_queues, rx);
        all.extend(queues(Direction::Tx, &stats.tx_queues, tx));
        Interface {
            socket: self.memif.socket().display().to_string(),
            id: self.memif.id(),
            role: self.memif.role().to_string(),
            peer,
            link_up: stats.link_up,
            links: stats.links,
            queues: all,
        }
    }
}

/// How full the buffer of a recording was.
pub(crate) type LoadOf = Box<dyn Fn() -> Option<Load> + Send + Sync>;

/// Where snapshots come from.
pub(super) struct Source {
    command: String,
    watched: Vec<Watched>,
    load: Option<LoadOf>,
}

impl Source {
    pub(super) fn new(command: &str, watched: Vec<Watched>, load: Option<LoadOf>) -> Self {
        Self {
            command: command.to_owned(),
            watched,
            load,
        }
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        let time = SystemTime::now().duration_since(UNIX_EPOCH);
        Snapshot {
            pid: std::process::id(),
            command: self.command.clone(),
            time: time.unwrap_or_default().as_secs_f64(),
            interfaces: self.watched.iter().map(Watched::interface).collect(),
            buffer: self.load.as_ref().and_then(|load| load()),
        }
    }
}

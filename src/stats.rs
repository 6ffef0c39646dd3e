//! What has passed through an interface.

use std::sync::atomic::{AtomicU64, Ordering};

/// What has passed through an interface since it was created, over all its links.
///
/// ```
/// use memif::{Context, MemifConfig, Role};
///
/// let context = Context::new("doc")?;
/// let socket = format!("@memif-doc-stats-{}", std::process::id());
/// let master = context.create_interface(MemifConfig::new(&socket).role(Role::Master))?;
/// let slave = context.create_interface(MemifConfig::new(&socket))?;
/// slave.wait_link_up(None)?;
///
/// slave.tx_queue(0)?.tx_burst(&[&b"one"[..], b"three"])?;
/// let stats = slave.stats();
/// assert_eq!((stats.link_up, stats.links), (true, 1));
/// assert_eq!((stats.tx_queues[0].packets, stats.tx_queues[0].bytes), (2, 8));
/// # Ok::<(), memif::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemifStats {
    /// Whether the link is up.
    pub link_up: bool,
    /// How many links there have been, the present one included: more than one tells of reconnects.
    pub links: u64,
    /// The receive queues that were configured, by their id.
    pub rx_queues: Vec<QueueStats>,
    /// The transmit queues that were configured, by their id.
    pub tx_queues: Vec<QueueStats>,
}

/// What has passed through a queue.
///
/// ```
/// use memif::QueueStats;
///
/// fn bits_per_second(before: &QueueStats, after: &QueueStats, seconds: f64) -> f64 {
///     (after.bytes - before.bytes) as f64 * 8.0 / seconds
/// }
/// # let none = QueueStats::default();
/// # assert_eq!(bits_per_second(&none, &none, 1.0), 0.0);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct QueueStats {
    /// The queue id, from 0.
    pub id: u16,
    /// Packets that were taken from the ring, or put on it.
    pub packets: u64,
    /// Their bytes, also of what a snap length did not keep.
    pub bytes: u64,
    /// How often the transmit ring had no room for all that was to be sent. No packet is lost by
    /// it: the sender decides. 0 of receive queues.
    pub ring_full: u64,
}

/// The counters of an interface; anybody may read them.
#[derive(Debug)]
pub(crate) struct Counters {
    pub(crate) links: AtomicU64,
    pub(crate) rx: Box<[QueueCounters]>,
    pub(crate) tx: Box<[QueueCounters]>,
}

impl Counters {
    pub(crate) fn new(rx: u16, tx: u16) -> Self {
        let queues = |count| (0..count).map(|_| QueueCounters::default()).collect();
        Self {
            links: AtomicU64::new(0),
            rx: queues(rx),
            tx: queues(tx),
        }
    }

    pub(crate) fn snapshot(&self, link_up: bool) -> MemifStats {
        let queues = |counters: &[QueueCounters]| {
            let ids = 0u16..;
            ids.zip(counters).map(|(id, c)| c.snapshot(id)).collect()
        };
        MemifStats {
            link_up,
            links: self.links.load(Ordering::Relaxed),
            rx_queues: queues(&self.rx),
            tx_queues: queues(&self.tx),
        }
    }
}

/// A queue's counters, written by its one owner: so no atomic addition is needed.
#[derive(Debug, Default)]
#[repr(align(64))] // a cache line of its own for each queue's thread
pub(crate) struct QueueCounters {
    packets: AtomicU64,
    bytes: AtomicU64,
    ring_full: AtomicU64,
}

impl QueueCounters {
    #[inline]
    pub(crate) fn passed(&self, packets: usize, bytes: u64) {
        add(&self.packets, packets as u64);
        add(&self.bytes, bytes);
    }

    #[inline]
    pub(crate) fn ring_full(&self) {
        add(&self.ring_full, 1);
    }

    fn snapshot(&self, id: u16) -> QueueStats {
        QueueStats {
            id,
            packets: self.packets.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
            ring_full: self.ring_full.load(Ordering::Relaxed),
        }
    }
}

#[inline]
fn add(counter: &AtomicU64, n: u64) {
    counter.store(counter.load(Ordering::Relaxed) + n, Ordering::Relaxed);
}

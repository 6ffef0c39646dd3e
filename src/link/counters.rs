//! Counts what passes through an interface.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use crate::stats::{MemifStats, QueueStats};

/// The counters of an interface. All threads may read them.
#[derive(Debug)]
pub(crate) struct Counters {
    links: AtomicU64,
    /// How many queues any link has had, to receive and to send.
    used: [AtomicU8; 2],
    /// How many the last link has, or had, to send.
    last_tx: AtomicU8,
    pub(crate) rx: Box<[QueueCounters]>,
    pub(crate) tx: Box<[QueueCounters]>,
}

impl Counters {
    /// So many are known of before the first link.
    pub(crate) fn new((rx, tx): (u8, u8), known: (u8, u8)) -> Self {
        let queues = |count| (0..count).map(|_| QueueCounters::default()).collect();
        Self {
            links: AtomicU64::new(0),
            used: [known.0, known.1].map(AtomicU8::new),
            last_tx: AtomicU8::new(0),
            rx: queues(rx),
            tx: queues(tx),
        }
    }

    /// A link with so many queues has come up.
    pub(crate) fn link(&self, (rx, tx): (u8, u8)) {
        self.links.fetch_add(1, Ordering::Relaxed);
        self.used[0].fetch_max(rx, Ordering::Relaxed);
        self.used[1].fetch_max(tx, Ordering::Relaxed);
        self.last_tx.store(tx, Ordering::Relaxed);
    }

    /// The link has gone down; so many slots the peer had not read of each queue.
    pub(crate) fn went_down(&self, unread: impl Fn(u8) -> u16) {
        for (queue, counters) in (0..self.last_tx.load(Ordering::Relaxed)).zip(&self.tx) {
            add(&counters.unread, unread(queue).into());
        }
    }

    #[cfg(feature = "smoltcp")]
    pub(crate) fn links(&self) -> u64 {
        self.links.load(Ordering::Relaxed)
    }

    pub(crate) fn snapshot(&self, link_up: bool) -> MemifStats {
        let queues = |counters: &[QueueCounters], used: &AtomicU8| {
            let ids = 0..used.load(Ordering::Relaxed);
            ids.zip(counters).map(|(id, c)| c.snapshot(id)).collect()
        };
        MemifStats {
            link_up,
            links: self.links.load(Ordering::Relaxed),
            rx_queues: queues(&self.rx, &self.used[0]),
            tx_queues: queues(&self.tx, &self.used[1]),
        }
    }
}

/// The counters of a queue. Only its owner writes them, and only the control thread the last, so no
/// atomic addition is needed.
#[derive(Debug, Default)]
#[repr(align(64))] // a cache line of its own for each queue's thread
pub(crate) struct QueueCounters {
    packets: AtomicU64,
    bytes: AtomicU64,
    ring_full: AtomicU64,
    unread: AtomicU64,
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

    fn snapshot(&self, id: u8) -> QueueStats {
        QueueStats {
            id,
            packets: self.packets.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
            ring_full: self.ring_full.load(Ordering::Relaxed),
            overrun_slots: 0, // counted by the C core
            unread_slots: self.unread.load(Ordering::Relaxed),
        }
    }
}

#[inline]
fn add(counter: &AtomicU64, n: u64) {
    counter.store(counter.load(Ordering::Relaxed) + n, Ordering::Relaxed);
}

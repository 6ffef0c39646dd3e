//! Counts what passes through an interface.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::stats::{MemifStats, QueueStats};

/// The counters of an interface. All threads may read them.
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

/// The counters of a queue. Only its owner writes them, so no atomic addition is needed.
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

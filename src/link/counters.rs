//! Counts what passes through an interface.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use super::control::lock;
use crate::stats::{MemifStats, QueueStats};

/// The counters of an interface. All threads may read them.
#[derive(Debug)]
pub(crate) struct Counters {
    links: AtomicU64,
    /// How many queues any link has had, to receive and to send.
    used: [AtomicU8; 2],
    /// How many the last link has, or had, to send.
    last_tx: AtomicU8,
    rx: Queues,
    tx: Queues,
}

/// Of the queues up to the last that was asked for.
#[derive(Debug, Default)]
struct Queues(Mutex<Vec<Arc<QueueCounters>>>);

impl Queues {
    fn of(&self, queue: u8) -> Arc<QueueCounters> {
        let (mut queues, at) = (lock(&self.0), usize::from(queue));
        if queues.len() <= at {
            queues.resize_with(at + 1, Arc::default);
        }
        Arc::clone(&queues[at])
    }

    fn snapshot(&self, used: &AtomicU8) -> Vec<QueueStats> {
        let ids = 0..used.load(Ordering::Relaxed);
        ids.map(|id| self.of(id).snapshot(id)).collect()
    }
}

impl Counters {
    /// So many queues are known of before the first link.
    pub(crate) fn new(known: (u8, u8)) -> Self {
        Self {
            links: AtomicU64::new(0),
            used: [known.0, known.1].map(AtomicU8::new),
            last_tx: AtomicU8::new(0),
            rx: Queues::default(),
            tx: Queues::default(),
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
        for queue in 0..self.last_tx.load(Ordering::Relaxed) {
            add(&self.tx.of(queue).unread, unread(queue).into());
        }
    }

    pub(crate) fn of_rx(&self, queue: u8) -> Arc<QueueCounters> {
        self.rx.of(queue)
    }

    pub(crate) fn of_tx(&self, queue: u8) -> Arc<QueueCounters> {
        self.tx.of(queue)
    }

    #[cfg(feature = "smoltcp")]
    pub(crate) fn links(&self) -> u64 {
        self.links.load(Ordering::Relaxed)
    }

    pub(crate) fn snapshot(&self, link_up: bool) -> MemifStats {
        MemifStats {
            link_up,
            links: self.links.load(Ordering::Relaxed),
            rx_queues: self.rx.snapshot(&self.used[0]),
            tx_queues: self.tx.snapshot(&self.used[1]),
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

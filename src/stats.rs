//! Counts of what has passed through an interface.

/// Counts of what has passed through an interface since it was created, over all its links. From
/// [`Memif::stats`](crate::Memif::stats).
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
    /// The number of links so far, including the present one. If it is above 1, there were
    /// reconnects.
    pub links: u64,
    /// The receive queues that any link has had, in the order of their ids.
    pub rx_queues: Vec<QueueStats>,
    /// The transmit queues that any link has had, in the order of their ids.
    pub tx_queues: Vec<QueueStats>,
}

/// Counts of what has passed through a queue.
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
    pub id: u8,
    /// The number of packets received from the ring, or put on it.
    pub packets: u64,
    /// The number of their bytes, including those that a snap length cut off.
    pub bytes: u64,
    /// How often the transmit ring had no room for all packets to be sent. The sender decides
    /// whether to drop them or to try again. For a receive queue: how often its ring was found with
    /// all slots filled, so that the peer may have dropped packets.
    pub ring_full: u64,
    /// How many slots of the receive ring the peer has overwritten before they were read, as VPP
    /// before 26.06 does with packets of several buffers. Their packets are lost. A transmit queue
    /// counts none.
    pub overrun_slots: u64,
    /// How many slots of the transmit ring the peer had not read when a link went down, as far as
    /// can be known. Their packets are lost. A receive queue counts none.
    pub unread_slots: u64,
}

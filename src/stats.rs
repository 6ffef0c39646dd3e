//! What has passed through an interface.

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

//! Counts of a device.

/// Counts of what a device has done since it was created.
///
/// ```
/// use memif::phy::DeviceStats;
///
/// assert_eq!(DeviceStats::default().tx_dropped, 0);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeviceStats {
    /// The number of packets passed to the stack.
    pub rx_packets: u64,
    /// The number of their bytes.
    pub rx_bytes: u64,
    /// The number of packets not passed to the stack: those longer than 64 KiB, and, while
    /// segmentation is on, SYNs that announce segments of less than 64 bytes; on a host of `net`
    /// also SYNs that its backlog has no room for.
    pub rx_dropped: u64,
    /// The number of errors while receiving, for example because the peer broke the protocol; see
    /// [`MemifDevice::take_error`](super::MemifDevice::take_error).
    pub rx_errors: u64,
    /// The number of packets put on the ring.
    pub tx_packets: u64,
    /// The number of their bytes.
    pub tx_bytes: u64,
    /// The number of packets that the stack sent but that did not reach the ring, because the link
    /// went down or they are larger than the whole ring.
    pub tx_dropped: u64,
    /// The number of bursts put on the ring, of at least one packet each.
    pub tx_bursts: u64,
    /// How often the ring had no room for the next packet, which then had to wait.
    pub tx_ring_full: u64,
    /// The number of segments above the MTU, cut or sent whole.
    pub tx_large: u64,
}

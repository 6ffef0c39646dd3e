//! What a device counts.

/// What a device has done since it was made.
///
/// ```
/// use memif::phy::DeviceStats;
///
/// assert_eq!(DeviceStats::default().tx_dropped, 0);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeviceStats {
    /// Packets handed to the stack.
    pub rx_packets: u64,
    /// Their bytes.
    pub rx_bytes: u64,
    /// Packets not handed to the stack: longer than 64 KiB, or a SYN that
    /// announces segments of less than 64 bytes while segmentation is on.
    pub rx_dropped: u64,
    /// Failures to receive, as a peer that broke the protocol; see
    /// [`MemifDevice::take_error`](super::MemifDevice::take_error).
    pub rx_errors: u64,
    /// Packets put on the ring.
    pub tx_packets: u64,
    /// Their bytes.
    pub tx_bytes: u64,
    /// Packets that the stack sent and that did not reach the ring: the link went down
    /// meanwhile, or they exceed the whole ring.
    pub tx_dropped: u64,
    /// Publications, each of at least one packet.
    pub tx_bursts: u64,
    /// How often the ring had no room for the next packet, which then had to wait.
    pub tx_ring_full: u64,
    /// Segments above the MTU that were cut or sent whole.
    pub tx_large: u64,
}

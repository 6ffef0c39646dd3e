//! The settings of a device, and their limits.

/// The largest IP packet, with an Ethernet header.
pub(super) const MAX_FRAME: usize = 65_535 + 14;

/// The default number of frames that are copied between the ring and private memory at a time.
pub const DEFAULT_BURST: u16 = 64;

/// What the device does with TCP segments that are larger than the MTU; see smoltcp's feature
/// `segmentation-offload`. Such segments are made over IPv4 only, because smoltcp 0.14.0 drops
/// large IPv6 packets before they reach a device.
///
/// ```
/// use memif::phy::Segmentation;
///
/// assert_eq!(Segmentation::default(), Segmentation::Off);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Segmentation {
    /// The stack makes no large segments.
    #[default]
    Off,
    /// The stack makes segments of up to 64 KiB, and the device cuts them to the size that the peer
    /// announced. This works with any peer, and saves the stack the work for each frame.
    Cut,
    /// The stack makes segments of up to 64 KiB, and they are sent whole, as chains of buffers. Use
    /// it with a peer that accepts frames of 64 KiB: another [`MemifDevice`](super::MemifDevice)
    /// (with any setting), or VPP with large buffers. Other peers drop them. A segment that is
    /// larger than the whole ring is cut.
    Whole,
}

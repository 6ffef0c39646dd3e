//! What a device can be told, and its limits.

/// An IP packet of the greatest length with an Ethernet header.
pub(super) const MAX_FRAME: usize = 65_535 + 14;

/// Frames that cross between the ring and private memory together, unless set otherwise.
pub const DEFAULT_BURST: u16 = 64;

/// What becomes of TCP segments that are larger than the MTU; see smoltcp's feature
/// `segmentation-offload`. Over IPv4 only: smoltcp 0.14.0 drops large IPv6 packets before they
/// reach a device, so over IPv6 none are made.
///
/// ```
/// use memif::phy::Segmentation;
///
/// assert_eq!(Segmentation::default(), Segmentation::Off);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Segmentation {
    /// The stack makes none.
    #[default]
    Off,
    /// The stack makes segments of up to 64 KiB, the device cuts them to what the peer announced.
    /// For any peer; saves the stack the work per frame.
    Cut,
    /// The stack makes segments of up to 64 KiB, and they cross the ring whole, as a
    /// chain of buffers. For a peer that takes frames of 64 KiB: another
    /// [`MemifDevice`](super::MemifDevice) (whatever its own setting), VPP with large buffers. Any
    /// other drops them. One that exceeds the whole ring is cut.
    Whole,
}

//! Which way a packet went.

/// Which way a packet passed an interface, as seen by whoever captured it.
///
/// ```
/// use memif::{Direction, Packet};
///
/// assert_eq!(Packet::default().info().direction, Direction::Unknown);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Direction {
    /// Nothing is known of it.
    #[default]
    Unknown,
    /// Received.
    Inbound,
    /// Sent.
    Outbound,
}

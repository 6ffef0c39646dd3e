//! The settings of a host, and their limits.

use std::sync::OnceLock;

use smoltcp::time::{Duration, Instant};

/// Less is no use, and more is more than TCP can announce.
pub(super) const BUFFERS: std::ops::RangeInclusive<usize> = 2048..=1 << 30;

/// How long a connection that was asked for may take to be made.
pub(super) const HALF_OPEN: Duration = Duration::from_secs(10);
/// A connection that has waited as long to be made gives way to another.
pub(super) const GIVES_WAY: Duration = Duration::from_secs(1);
/// How long a connection that nobody has any more waits for the end of the other side.
pub(super) const FIN_WAIT: Duration = Duration::from_secs(10);
/// How many connections that nobody has any more are kept.
pub(super) const MOST_ORPHANS: usize = 4096;
/// How long datagrams of a dropped socket may wait to be sent.
pub(super) const LAST_DATAGRAMS: Duration = Duration::from_secs(5);

/// A ring that has had no room for so long is not just busy.
pub(super) const HELD_UP: Duration = Duration::from_millis(10);

/// How long datagrams wait for the address of a neighbour.
pub(super) const UNRESOLVED: Duration = Duration::from_secs(3);
/// As many neighbours of a UDP socket may be looked for at a time.
pub(super) const MOST_SENDERS: usize = 8;
/// After this time in TIME-WAIT, well before smoltcp clears what was received, a connection is left
/// alone.
pub(super) const TIME_WAIT: Duration = Duration::from_secs(5);
/// A peer that owes an answer which no timer asks for is asked at these intervals.
pub(super) const NUDGE: Duration = Duration::from_secs(1);
/// No time is longer, so that sums of them don't overflow.
pub(super) const LONGEST: std::time::Duration = std::time::Duration::from_secs(1 << 30);

/// The time by a clock that nobody sets; smoltcp's own follows the system's.
pub(super) fn now() -> Instant {
    static START: OnceLock<std::time::Instant> = OnceLock::new();
    let since = START.get_or_init(std::time::Instant::now).elapsed();
    Instant::from_secs(1) + since.into()
}

/// Packets and bytes that a UDP socket holds each way.
pub(super) const UDP_PACKETS: usize = 256;
pub(super) const UDP_BYTES: usize = 256 << 10;

#[derive(Clone, Copy, Debug)]
pub(super) struct Settings {
    pub(super) receive_buffer: usize,
    pub(super) send_buffer: usize,
    pub(super) patience: Duration,
    pub(super) keep_alive: Option<Duration>,
    /// Of an IP packet.
    pub(super) mtu: usize,
}

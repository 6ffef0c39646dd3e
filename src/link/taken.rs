//! Whether the peer has taken what was sent.

use std::time::{Duration, Instant};

use crate::ffi::Conn;
use crate::ffi::code::SUCCESS;

/// Slots are only looked at for so long once nothing moves any more.
const REST: Duration = Duration::from_millis(100);

/// How a queue's peer takes slots. Some slaves offer them again in lots only, as VPP 32 at a time,
/// or late: of fewer that rest nobody can know, and they are held to be taken.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    rests: Option<(u16, Instant)>,
}

impl Taken {
    /// Whether none of so many pending slots need be waited for any more.
    pub(crate) fn all(&mut self, conn: &Conn, queue: u8, pending: u16) -> bool {
        let lot = conn.tx_lot(queue);
        if pending == 0 && lot <= 1 {
            return true;
        }
        if pending >= lot {
            self.rests = None;
            return false;
        }
        match self.rests {
            Some((slots, since)) if slots == pending => since.elapsed() >= REST,
            _ => {
                self.rests = Some((pending, Instant::now()));
                false
            }
        }
    }
}

/// What the peer has not taken yet, of all transmit queues.
#[derive(Debug, Default)]
pub(crate) struct Untaken(Vec<Taken>);

impl Untaken {
    /// In slots.
    pub(crate) fn slots(&mut self, conn: &Conn) -> usize {
        let queues = u8::try_from(conn.link_queues().1).unwrap_or(u8::MAX);
        self.0.resize_with(queues.into(), Taken::default);
        (0..queues)
            .zip(&mut self.0)
            .map(|(queue, taken)| match conn.tx_pending(queue) {
                (slots, SUCCESS) if !taken.all(conn, queue, slots) => usize::from(slots),
                _ => 0,
            })
            .sum()
    }
}

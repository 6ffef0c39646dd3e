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
        self.all_of(pending, conn.tx_lot(queue), Instant::now())
    }

    fn all_of(&mut self, pending: u16, lot: u16, now: Instant) -> bool {
        if pending == 0 && lot <= 1 {
            return true;
        }
        if pending >= lot {
            self.rests = None;
            return false;
        }
        match self.rests {
            Some((slots, since)) if slots == pending => now - since >= REST,
            _ => {
                self.rests = Some((pending, now));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn less_than_a_lot_is_taken_once_it_rests() {
        let (mut taken, start) = (Taken::default(), Instant::now());
        for (pending, millis, all) in [
            (40, 0, false),
            (20, 10, false),
            // Each that goes shows that the peer still takes some.
            (19, 100, false),
            (18, 190, false),
            (18, 289, false),
            (18, 290, true),
            (40, 300, false),
            (18, 310, false),
            (18, 409, false),
            (18, 410, true),
        ] {
            let now = start + Duration::from_millis(millis);
            assert_eq!(taken.all_of(pending, 32, now), all, "at {millis} ms");
        }
        assert!(taken.all_of(0, 1, start));
        assert!(!taken.all_of(1, 1, start));
    }
}

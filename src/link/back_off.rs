//! When to try again if there is no event to wait for: free slots, and packets that the peer has
//! read.

use std::thread;
use std::time::Duration;

/// Tries again at once, because the peer is probably at work right now. Then lets others run, and
/// then sleeps, longer and longer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Schedule {
    pub(crate) spins: u32,
    pub(crate) yields: u32,
    /// After how many sleeps their length doubles.
    pub(crate) sleeps: u32,
    pub(crate) longest: Duration,
}

/// What to do before the next attempt.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Pause {
    Spin,
    Yield,
    Sleep(Duration),
}

impl Schedule {
    pub(crate) const FIRST_SLEEP: Duration = Duration::from_micros(50);

    /// For a thread that has nothing else to do.
    pub(crate) const THREAD: Self = Self {
        spins: 64,
        yields: 32,
        sleeps: 1,
        longest: Self::FIRST_SLEEP,
    };

    /// The pause after this many failed attempts, at least 1.
    pub(crate) fn pause(&self, tries: u32) -> Pause {
        if tries <= self.spins {
            return Pause::Spin;
        }
        if tries <= self.spins + self.yields {
            return Pause::Yield;
        }
        let sleeps = tries - self.spins - self.yields - 1;
        let doublings = (sleeps / self.sleeps).min(10);
        Pause::Sleep((Self::FIRST_SLEEP * (1 << doublings)).min(self.longest))
    }

    /// Spins or yields, or returns how long to sleep.
    pub(crate) fn briefly(&self, tries: u32) -> Option<Duration> {
        match self.pause(tries) {
            Pause::Spin => std::hint::spin_loop(),
            Pause::Yield => thread::yield_now(),
            Pause::Sleep(time) => return Some(time),
        }
        None
    }
}

/// Counts a failed attempt, and blocks until the next one.
pub(crate) fn back_off(tries: &mut u32) {
    *tries = tries.saturating_add(1);
    if let Some(time) = Schedule::THREAD.briefly(*tries) {
        thread::sleep(time);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_spins_then_yields_then_sleeps_longer_and_longer() {
        let schedule = Schedule {
            spins: 2,
            yields: 1,
            sleeps: 2,
            longest: Duration::from_micros(300),
        };
        let sleep = |micros| Pause::Sleep(Duration::from_micros(micros));
        let pauses: Vec<_> = (1..=10).map(|tries| schedule.pause(tries)).collect();
        let sleeps = [50, 50, 100, 100, 200, 200, 300].map(sleep);
        assert_eq!(pauses[..3], [Pause::Spin, Pause::Spin, Pause::Yield]);
        assert_eq!(pauses[3..], sleeps);
        assert_eq!(schedule.pause(u32::MAX), sleep(300));
        assert_eq!(Schedule::THREAD.pause(u32::MAX), sleep(50));
    }
}

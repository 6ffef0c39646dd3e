//! How the reader of a queue waits for packets.

use std::time::Duration;

/// How a reader waits for packets. In all modes, no system call happens while packets keep coming.
///
/// ```
/// use memif::RxMode;
/// use std::time::Duration;
///
/// assert_eq!(RxMode::default(), RxMode::Interrupt);
/// let adaptive = RxMode::Adaptive { spin: Duration::from_micros(50) };
/// # let _ = adaptive;
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum RxMode {
    /// A wait sleeps until the peer wakes this side with an eventfd.
    #[default]
    Interrupt,
    /// A wait spins and keeps a whole core busy. The peer is asked not to send interrupts.
    Polling,
    /// A wait spins for this time and then sleeps.
    Adaptive {
        /// How long to spin.
        spin: Duration,
    },
}

impl RxMode {
    /// How long a wait spins before it sleeps, in nanoseconds.
    pub(super) fn spin(self) -> u64 {
        match self {
            Self::Interrupt => 0,
            Self::Polling => u64::MAX,
            Self::Adaptive { spin } => nanos(spin),
        }
    }
}

/// A time in nanoseconds, for the C core.
pub(crate) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

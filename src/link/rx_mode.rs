//! How the reader of a queue waits.

use std::time::Duration;

/// How a queue's reader learns of packets. Whatever the mode, no system call
/// happens while packets keep coming.
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
    /// Waiting sleeps; the peer wakes this side by an eventfd.
    #[default]
    Interrupt,
    /// Waiting spins, a core's whole time; the peer is asked not to interrupt.
    Polling,
    /// Waiting spins for this time and then sleeps.
    Adaptive {
        /// How long to spin.
        spin: Duration,
    },
}

impl RxMode {
    /// How long waiting spins before it sleeps, in nanoseconds.
    pub(super) fn spin(self) -> u64 {
        match self {
            Self::Interrupt => 0,
            Self::Polling => u64::MAX,
            Self::Adaptive { spin } => nanos(spin),
        }
    }
}

/// A time as the C core takes it.
pub(crate) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

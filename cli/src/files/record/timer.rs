//! Looks at what goes by the clock, in a thread of its own.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Instant;

/// When to look again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    At(Instant),
    Never,
}

impl Next {
    /// At the first of them.
    pub(crate) fn first(times: [Option<Instant>; 2]) -> Self {
        let first = times.into_iter().flatten().min();
        first.map_or(Self::Never, Self::At)
    }
}

/// Runs until it is ended.
#[derive(Debug, Default)]
pub(crate) struct Timer {
    ended: Mutex<bool>,
    ending: Condvar,
}

impl Timer {
    /// Calls `look` again and again, when it wants to be.
    pub(crate) fn run(&self, mut look: impl FnMut() -> Next) {
        loop {
            if self.has_ended() {
                return;
            }
            let next = look();
            let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
            match next {
                Next::At(due) => {
                    let left = due.saturating_duration_since(Instant::now());
                    let waited = self.ending.wait_timeout_while(ended, left, |ended| !*ended);
                    drop(waited);
                }
                Next::Never => drop(self.ending.wait_while(ended, |ended| !*ended)),
            }
        }
    }

    pub(crate) fn end(&self) {
        *self.ended.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.ending.notify_all();
    }

    pub(crate) fn has_ended(&self) -> bool {
        *self.ended.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

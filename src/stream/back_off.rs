//! Waiting for what no event tells of: free space, and what the peer has taken.

use std::task::{Context, Poll, ready};
use std::time::Duration;

use crate::Error;
use crate::ffi::Timer;

/// Tries at once, then after other tasks, then after 50 µs, and ever more up to 1.6 ms.
#[derive(Debug, Default)]
pub(super) struct BackOff {
    tries: u32,
    timer: Option<Timer>,
    running: bool,
}

impl BackOff {
    const AT_ONCE: u32 = 16;
    const YIELDS: u32 = 32;
    const SLEEPS_OF_A_LENGTH: u32 = 16;

    /// It worked.
    pub(super) fn reset(&mut self) {
        self.tries = 0;
        self.running = false;
    }

    /// It did not work: ready when it is to be tried again. Pending, the task is woken for that.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        if !self.running {
            self.tries = self.tries.saturating_add(1);
            if self.tries <= Self::AT_ONCE {
                std::hint::spin_loop();
                return Poll::Ready(Ok(()));
            }
            if self.tries <= Self::AT_ONCE + Self::YIELDS {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            self.start_timer().map_err(sleeping)?;
            self.running = true;
        }
        if let Some(timer) = &self.timer {
            ready!(timer.poll(cx)).map_err(sleeping)?;
        }
        self.running = false;
        Poll::Ready(Ok(()))
    }

    fn start_timer(&mut self) -> std::io::Result<()> {
        let sleeps = self.tries - Self::AT_ONCE - Self::YIELDS - 1;
        let doublings = (sleeps / Self::SLEEPS_OF_A_LENGTH).min(5);
        let timer = match self.timer.take() {
            Some(timer) => timer,
            None => Timer::new()?,
        };
        let timer = self.timer.insert(timer);
        timer.start(Duration::from_micros(50 << doublings))
    }
}

fn sleeping(e: std::io::Error) -> Error {
    Error::io("sleeping until the peer takes packets", e)
}

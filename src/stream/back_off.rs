//! Waits for what has no event: free slots, and packets that the peer has read.

use std::task::{Context, Poll, ready};
use std::time::Duration;

use crate::error::Error;
use crate::ffi::Timer;
use crate::link::back_off::{Pause, Schedule};

/// Few attempts at once, because other tasks want to run, and longer sleeps, because there may be
/// many tasks.
const SCHEDULE: Schedule = Schedule {
    spins: 16,
    yields: 32,
    sleeps: 16,
    longest: Duration::from_micros(1600),
};

/// Tries again at once, then after other tasks have run, then after 50 µs and more, up to 1.6 ms.
#[derive(Debug, Default)]
pub(crate) struct BackOff {
    tries: u32,
    timer: Option<Timer>,
    running: bool,
}

impl BackOff {
    /// An attempt succeeded.
    pub(crate) fn reset(&mut self) {
        self.tries = 0;
        self.running = false;
    }

    /// An attempt failed. Ready when it is time for the next; otherwise the task is woken then.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        if !self.running {
            self.tries = self.tries.saturating_add(1);
            match SCHEDULE.pause(self.tries) {
                Pause::Spin => {
                    std::hint::spin_loop();
                    return Poll::Ready(Ok(()));
                }
                Pause::Yield => {
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Pause::Sleep(time) => self.start_timer(time).map_err(sleeping)?,
            }
            self.running = true;
        }
        if let Some(timer) = &self.timer {
            ready!(timer.poll(cx)).map_err(sleeping)?;
        }
        self.running = false;
        Poll::Ready(Ok(()))
    }

    fn start_timer(&mut self, time: Duration) -> std::io::Result<()> {
        let timer = match self.timer.take() {
            Some(timer) => timer,
            None => Timer::new()?,
        };
        self.timer.insert(timer).start(time)
    }
}

fn sleeping(e: std::io::Error) -> Error {
    Error::io("sleeping until the peer takes packets", e)
}

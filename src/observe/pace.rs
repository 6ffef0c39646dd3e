//! How often an observer looks.

use std::thread;
use std::time::{Duration, Instant};

use crate::error::Error;
use crate::queue::Wait;

/// Long enough that a link at rest costs little, and short enough that what comes after it is seen.
const SLOW: Duration = Duration::from_millis(2);
const SOON: Duration = Duration::from_micros(50);
const SILENCE: Duration = Duration::from_secs(1);
/// How long there must be nothing before the first pause.
const SPIN: Duration = Duration::from_micros(20);

/// Looks without a pause while so much comes that a pause would lose it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// When packets came last.
    last: Instant,
    /// More came in one pause than half of what stays readable.
    hurried: bool,
}

impl Pace {
    pub(super) fn new() -> Self {
        Self {
            last: Instant::now(),
            hurried: false,
        }
    }

    /// `ready` tells how many slots wait, and how many stay readable.
    pub(super) fn wait(
        &mut self,
        timeout: Option<Duration>,
        is_up: &dyn Fn() -> bool,
        ready: &mut dyn FnMut() -> (u32, u16),
    ) -> Result<Wait, Error> {
        let start = Instant::now();
        loop {
            let up = is_up();
            let (waiting, window) = ready();
            let now = Instant::now();
            if waiting > 0 {
                self.last = now;
                self.hurried = waiting * 2 >= u32::from(window);
                return Ok(Wait::Ready);
            }
            if !up {
                return Ok(Wait::LinkDown);
            }
            if timeout.is_some_and(|limit| now - start >= limit) {
                return Err(Error::TimedOut);
            }
            let idle = now - self.last;
            if self.hurried && idle < SPIN {
                thread::yield_now();
            } else {
                let pause = if idle < SILENCE { SOON } else { SLOW };
                let left = timeout.map_or(pause, |limit| limit - (now - start));
                thread::sleep(pause.min(left));
            }
        }
    }
}

//! The task that keeps a host going.

use std::future::poll_fn;
use std::io;
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::thread;

use smoltcp::time::Instant;

use super::settings::now;
use super::state::{Ended, Next, State};
use crate::ffi::{Readable, Timer};
use crate::link::control::lock;
use crate::stream::back_off::BackOff;

/// How many turns it takes before other tasks get theirs.
const TURNS: usize = 4;

pub(super) struct Driver {
    state: Arc<Mutex<State>>,
    readable: Readable,
    timer: Timer,
    /// When the timer fires.
    armed: Option<Instant>,
    room: BackOff,
}

impl Driver {
    pub(super) fn new(state: Arc<Mutex<State>>) -> io::Result<Self> {
        let fd = lock(&state).device.as_fd().try_clone_to_owned()?;
        Ok(Self {
            readable: Readable::new(fd)?,
            timer: Timer::new()?,
            armed: None,
            room: BackOff::default(),
            state,
        })
    }

    pub(super) async fn run(mut self) {
        let result = poll_fn(|cx| self.poll(cx)).await;
        if let Err(error) = result {
            log::warn!("a host on a memif ends: {error}");
            lock(&self.state).end(Ended::Failed);
        }
    }

    /// Ready when the host has ended.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        for _ in 0..TURNS {
            let now = now();
            let (next, was_up, progress) = {
                let mut state = lock(&self.state);
                // From here on, a socket that wants something wakes this task.
                match &state.driver {
                    Some(waker) if waker.will_wake(cx.waker()) => {}
                    _ => state.driver = Some(cx.waker().clone()),
                }
                let was_up = state.device.is_link_up();
                let before = state.device.stats().tx_packets;
                let next = state.turn(now);
                (next, was_up, state.device.stats().tx_packets > before)
            };
            let (alarm, full) = match next {
                Next::More => continue,
                Next::End => return Poll::Ready(Ok(())),
                Next::Wait(alarm) => (alarm, false),
                Next::Room(alarm) => (alarm, true),
            };
            if progress || !full {
                self.room.reset();
            }
            if full && let Poll::Ready(waited) = self.room.poll(cx) {
                waited?;
                continue;
            }
            let state = &self.state;
            let input = || lock(state).has_input(was_up).then_some(());
            if let Poll::Ready(readable) = self.readable.poll(cx, input) {
                readable?;
                continue;
            }
            if self.poll_timer(cx, alarm)?.is_pending() {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Ready when it is time for the alarm.
    fn poll_timer(&mut self, cx: &mut Context<'_>, alarm: Option<Instant>) -> io::Result<Poll<()>> {
        let Some(alarm) = alarm else {
            return Ok(Poll::Pending);
        };
        // One that fires too early costs less than to set it again for every packet.
        if self.armed.is_none_or(|armed| armed > alarm) {
            let left = alarm - now().min(alarm);
            self.timer.start(left.into())?;
            self.armed = Some(alarm);
        }
        let fired = self.timer.poll(cx)?;
        if fired.is_ready() {
            self.armed = None;
        }
        Ok(fired)
    }
}

impl Drop for Driver {
    /// Also when the runtime ends.
    fn drop(&mut self) {
        let ended = match thread::panicking() {
            true => Ended::Failed,
            false => Ended::Runtime,
        };
        lock(&self.state).end(ended);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::state::tests::state;

    #[tokio::test]
    async fn a_panic_is_not_told_as_the_end_of_the_runtime() {
        fn fail(_driver: Driver) {
            panic!("as it should");
        }
        let state = Arc::new(Mutex::new(state()));
        let driver = Driver::new(state.clone()).unwrap();
        let ended = tokio::spawn(async move { fail(driver) }).await;
        assert!(ended.unwrap_err().is_panic());
        let error = lock(&state).works().unwrap_err();
        assert_eq!(error.to_string(), "the task of the host has failed");
    }
}

//! The clock, the reader of the pipe, and requests.

use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags};

use super::recording::Recording;
use super::summary::Summary;
use crate::events::{Request, Task};
use crate::failure::Failure;

pub(super) struct Watch {
    pub(super) recording: Recording,
    pub(super) pipe: Option<OwnedFd>,
    pub(super) tell: Box<dyn Fn(&Summary) + Send>,
}

impl Task for Watch {
    fn polled<'a>(&'a self, fds: &mut Vec<PollFd<'a>>) {
        // Without an event: only errors are, as when the reader has gone.
        let pipe = self.pipe.iter();
        fds.extend(pipe.map(|pipe| PollFd::new(pipe.as_fd(), PollFlags::empty())));
    }

    fn deadline(&self) -> Option<Instant> {
        const AGAIN: Duration = Duration::from_millis(20);
        let times = match self.recording.state_now() {
            None => Some(Instant::now() + AGAIN),
            Some(_) if !self.recording.asked().is_empty() => Some(Instant::now()),
            Some(state) => state.deadline(),
        };
        times.into_iter().chain(self.recording.stop_at()).min()
    }

    fn run(&mut self, gone: bool) -> bool {
        self.recording.end_in_time();
        let Some(mut state) = self.recording.state_now() else {
            if gone {
                // Whoever writes learns it by itself.
                self.pipe = None;
            }
            return true;
        };
        match gone {
            true => state.fail(Failure::NobodyReads),
            false => state.tick(),
        }
        for request in self.recording.asked().drain(..) {
            match (request, self.recording.buffer()) {
                (Request::Statistics, _) => (self.tell)(&self.recording.summary(&state, false)),
                (Request::Flush, Some(buffer)) => buffer.ask_flush(),
                (Request::Flush, None) if self.pipe.is_some() => state.flush = true,
                (Request::Flush, None) => state.let_out(|output| output.flush()),
            }
        }
        self.recording.after(state);
        !self.recording.is_done()
    }
}

//! The clock, the reader of the pipe, and requests.

use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags};

use super::buffer::Buffer;
use super::recording::Recording;
use super::summary::Summary;
use crate::events::{Request, Task};
use crate::failure::Failure;

pub(super) struct Watch {
    pub(super) recording: Recording,
    pub(super) pipe: Option<OwnedFd>,
    /// The reader has gone, and the recording does not know yet.
    pub(super) gone: bool,
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
            None => self
                .answers_at()
                .into_iter()
                .chain([Instant::now() + AGAIN])
                .min(),
            Some(_) if self.gone || !self.recording.asked().is_empty() => Some(Instant::now()),
            Some(state) => state.deadline(),
        };
        times.into_iter().chain(self.recording.stop_at()).min()
    }

    fn run(&mut self, gone: bool) -> bool {
        self.recording.end_in_time();
        if gone {
            (self.pipe, self.gone) = (None, true);
        }
        let Some(mut state) = self.recording.state_now() else {
            // Whoever writes may have written the last there is.
            if self.answers_at().is_some_and(|at| at <= Instant::now()) {
                self.answer_meanwhile();
            }
            return true;
        };
        match std::mem::take(&mut self.gone) {
            true if !state.ended => state.fail(Failure::NobodyReads),
            true => {} // it has all of it
            false => state.tick(),
        }
        for (request, _) in self.recording.asked().drain(..) {
            match (request, self.recording.buffer()) {
                (Request::Statistics, _) => (self.tell)(&self.recording.summary(&state, false)),
                (Request::Flush, Some(buffer)) => buffer.ask_flush(),
                (Request::Flush, None) if self.pipe.is_some() => state.flush = true,
                (Request::Flush, None) => state.let_out(|output| output.flush()),
            }
        }
        self.recording.after(state);
        // Also after the end: a bridge goes on, and a writer may have much to write.
        true
    }
}

impl Watch {
    /// When requests are answered though somebody writes, who may be blocked for as long as a pipe
    /// is not read. Without a buffer there is nothing to tell meanwhile.
    fn answers_at(&self) -> Option<Instant> {
        const PATIENCE: Duration = Duration::from_millis(200);
        self.recording.buffer()?;
        let asked = self.recording.asked();
        asked.first().map(|(_, asked)| *asked + PATIENCE)
    }

    fn answer_meanwhile(&self) {
        for (request, _) in self.recording.asked().drain(..) {
            match request {
                Request::Statistics => (self.tell)(&self.recording.summary_meanwhile()),
                Request::Flush => self
                    .recording
                    .buffer()
                    .into_iter()
                    .for_each(Buffer::ask_flush),
            }
        }
    }
}

//! How the control thread wakes those who wait for the interrupts of an interface.

use std::collections::VecDeque;
use std::io;
use std::sync::Mutex;

use super::control::lock;
use crate::error::Error;
use crate::ffi::Waker;

/// Rung by the control thread.
#[derive(Debug)]
pub(crate) struct Bell {
    waker: Waker,
    errors: Mutex<VecDeque<Error>>,
}

/// Ends of links that nobody has asked for; more would only repeat them.
const MAX_ERRORS: usize = 64;

impl Bell {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            waker: Waker::new()?,
            errors: Mutex::default(),
        })
    }

    /// What ringing makes readable.
    pub(crate) fn waker(&self) -> &Waker {
        &self.waker
    }

    /// The oldest error that it was rung with, once.
    pub(crate) fn next_error(&self) -> Option<Error> {
        lock(&self.errors).pop_front()
    }

    /// With an error, or because the interface is closed.
    pub(super) fn ring(&self, error: Option<Error>) {
        let mut errors = lock(&self.errors);
        if errors.len() < MAX_ERRORS {
            errors.extend(error);
        }
        drop(errors);
        self.waker.wake();
    }
}

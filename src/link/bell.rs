//! How the control thread wakes those who wait for the interrupts of an interface.

use std::collections::VecDeque;
use std::io;
use std::sync::Mutex;

use super::control::lock;
use crate::error::Error;
use crate::ffi::Waker;

/// How the control thread wakes a stream of interrupts.
#[derive(Debug)]
pub(crate) struct Bell {
    waker: Waker,
    errors: Mutex<VecDeque<Error>>,
}

/// How many ends of links are kept until somebody reads them. More would only repeat them.
const MAX_ERRORS: usize = 64;

impl Bell {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            waker: Waker::new()?,
            errors: Mutex::default(),
        })
    }

    /// Becomes readable when the bell is rung.
    pub(crate) fn waker(&self) -> &Waker {
        &self.waker
    }

    /// Takes the oldest error that the bell was rung with.
    pub(crate) fn next_error(&self) -> Option<Error> {
        lock(&self.errors).pop_front()
    }

    /// Wakes the stream with an error, or without one because the interface is closed.
    pub(super) fn ring(&self, error: Option<Error>) {
        let mut errors = lock(&self.errors);
        if errors.len() < MAX_ERRORS {
            errors.extend(error);
        }
        drop(errors);
        self.waker.wake();
    }
}

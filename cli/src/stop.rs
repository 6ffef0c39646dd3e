//! Ctrl-C and SIGTERM: finish what is being done, once; a second one ends at once.

use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2};
use signal_hook::iterator::{Handle, Signals};

use crate::failure::Failure;

/// What a signal asks of a capture that goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    /// SIGUSR1
    Statistics,
    /// SIGUSR2
    Flush,
}

/// Waits for requests.
#[derive(Debug)]
pub(crate) struct Requests(Signals);

impl Requests {
    pub(crate) fn new() -> Result<Self, Failure> {
        let signals = Signals::new([SIGUSR1, SIGUSR2])
            .map_err(|e| Failure::Failed(format!("catching signals: {e}")))?;
        Ok(Self(signals))
    }

    /// Closing it ends the waiting.
    pub(crate) fn handle(&self) -> Handle {
        self.0.handle()
    }

    /// The next one; `None` when the handle has been closed.
    pub(crate) fn wait(&mut self) -> Option<Request> {
        let signal = self.0.forever().next()?;
        Some(match signal {
            SIGUSR1 => Request::Statistics,
            _ => Request::Flush,
        })
    }
}

/// Set when the command is to end.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Set by the signals from now on; `then` is called after the first.
    pub(crate) fn on_signals(then: impl FnOnce() + Send + 'static) -> Result<Self, Failure> {
        let stop = Self::default();
        let flag = stop.clone();
        let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])
            .map_err(|e| Failure::Failed(format!("catching signals: {e}")))?;
        thread::spawn(move || {
            let mut then = Some(then);
            for signal in signals.forever() {
                flag.set();
                match then.take() {
                    Some(then) => then(),
                    None => process::exit(128 + signal),
                }
            }
        });
        Ok(stop)
    }

    pub(crate) fn set(&self) {
        // In one order with what others look at before or after it.
        self.0.store(true, Ordering::SeqCst);
    }

    pub(crate) fn is_set(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

//! A peer that speaks the wire by hand, as slave and as master, and may deviate at each step.
//!
//! A slave is a [`Plan`]: the messages it will send, ready to be bent before [`Plan::run`] sends
//! them. A [`Master`] accepts and goes up to the [`Stage`] it is told; from there a test goes on by
//! hand with the [`Wire`]. Both end as a [`Link`], whose rings and memory are open to any abuse.
//!
//! A peer that does not answer within [`patience`] is a panic, as is whatever a test did not allow
//! for.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

mod link;
mod master;
mod memory;
mod message;
mod plan;
mod wire;

pub use link::*;
pub use master::*;
pub use memory::*;
pub use message::*;
pub use plan::*;
pub use wire::*;

static PATIENCE_MS: AtomicU64 = AtomicU64::new(60_000);

/// How long is waited for a peer's answer: a minute unless set, which is longer than anything takes
/// on the slowest machine.
pub fn patience() -> Duration {
    Duration::from_millis(PATIENCE_MS.load(Ordering::Relaxed))
}

/// Sets [`patience`] for this process.
pub fn set_patience(patience: Duration) {
    let millis = patience.as_millis().try_into().unwrap_or(u64::MAX);
    PATIENCE_MS.store(millis, Ordering::Relaxed);
}

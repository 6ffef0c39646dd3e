//! The memory between those who empty rings and the one who writes.
//!
//! Each reader fills blocks of its own. The writer takes what is there, whole blocks and the one
//! that is being filled, and merges the readers by time. Neither waits for the other, except a
//! reader whose buffer is full.

mod block;
mod merge;
mod store;

pub(super) use block::Group;
pub(super) use merge::{Heads, Next};
pub(super) use store::{Buffer, Note, Source};

#[cfg(test)]
mod tests;

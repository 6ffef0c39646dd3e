//! The memif at the other end of a command, or the TAP in its place.

pub(crate) mod access;
pub(crate) mod endpoint;
pub(crate) mod kernel_tap;
pub(crate) mod known;
mod offload;
pub(crate) mod refusal;
pub(crate) mod session;

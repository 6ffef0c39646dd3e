//! Capture files: the one to record into, those to read, and which packets of them.

pub(crate) mod filter;
pub(crate) mod input;
pub(crate) mod merged;
pub(crate) mod record;
pub(crate) mod tcp;

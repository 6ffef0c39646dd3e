//! Links that are looked at from outside, here by the process that has both ends.

#[path = "../common/mod.rs"]
mod common;
mod ends;
mod finding;
mod hostile;
mod torture;
mod traffic;

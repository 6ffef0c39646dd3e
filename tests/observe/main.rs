//! Links that are looked at from outside, here by the process that has both ends.

#[path = "../common/mod.rs"]
mod common;
mod ends;
mod finding;
mod hostile;
mod peers;
mod torture;
mod traffic;
#[path = "../hostile/victim.rs"]
mod victim;

//! Links between interfaces: making them, refusing them, losing them, making them again.

#[path = "../common/mod.rs"]
mod common;

mod callbacks;
mod files;
mod losing;
mod making;
mod queues;
mod refusals;
mod support;

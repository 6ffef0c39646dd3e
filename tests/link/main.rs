//! Links between interfaces: making them, refusing them, losing them, making them again.

#[path = "../common/mod.rs"]
mod common;
#[path = "../peer/mod.rs"]
mod peer;

mod callbacks;
mod files;
mod losing;
mod making;
mod queues;
mod refusals;
mod support;

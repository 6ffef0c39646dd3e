//! What a Go program that used go-libmemif finds here, and that the faults known of the
//! other adapters are not here.

#[path = "../common/mod.rs"]
mod common;

mod callbacks;
mod faults;
mod interrupts;
mod settings;

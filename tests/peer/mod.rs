//! A peer that speaks the wire by hand, as slave and as master, and may deviate at each step.
//!
//! A slave is a [`Plan`]: the messages it will send, ready to be bent before [`Plan::run`] sends
//! them. A [`Master`] accepts and goes up to the [`Stage`] it is told; from there a test goes on by
//! hand with the [`Wire`]. Both end as a [`Link`], whose rings and memory are open to any abuse.

// Each test program uses a part of it.
#![allow(dead_code, unused_imports)]

mod link;
mod master;
mod memory;
mod message;
mod plan;
mod wire;

pub(crate) use link::*;
pub(crate) use master::*;
pub(crate) use memory::*;
pub(crate) use message::*;
pub(crate) use plan::*;
pub(crate) use wire::*;

//! `PacketHandle`: every row of its end-of-file table, waiting, closing, bursts, receive modes.

#[path = "../common/mod.rs"]
mod common;

mod bursts;
mod halves;
mod modes;
mod packets;
mod support;
mod table;
mod waiting;

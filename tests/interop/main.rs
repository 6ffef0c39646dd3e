//! The library and the command against real peers: DPDK's testpmd, tshark, capinfos.
//!
//! Skipped with a printed reason where a peer is not installed; with
//! MEMIF_REQUIRE_INTEROP=1 that is a failure.

mod application;
mod bridge;
mod capture;
mod command;
mod examples;
mod extcap;
mod forward;
mod kernel;
mod node;
mod observe;
mod peers;
mod refusal;
mod respond;
mod stream;

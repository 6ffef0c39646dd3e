//! The command against real peers: DPDK's testpmd, the kernel, tshark, promtool, smoltcp.
//!
//! Skipped with a printed reason where a peer is not installed; with
//! MEMIF_REQUIRE_INTEROP=1 or all that is a failure.

mod bridge;
mod capture;
mod command;
mod extcap;
mod kernel;
mod links;
mod observe;
#[path = "../../../tests/interop/peers.rs"]
mod peers;
mod refusal;
mod respond;
mod responders;
mod tap;

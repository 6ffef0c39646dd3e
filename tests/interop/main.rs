//! The library against real peers: DPDK's testpmd, the npm package on our C library.
//!
//! Skipped with a printed reason where a peer is not installed; with
//! MEMIF_REQUIRE_INTEROP=1 that is a failure.

mod application;
mod examples;
mod forward;
mod node;
mod peers;
mod refusal;
mod stream;

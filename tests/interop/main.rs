//! The library against real peers: DPDK's testpmd, the npm package on our C library, VPP, libmemif,
//! gomemif and go-libmemif.
//!
//! Skipped with a printed reason where a peer is not installed. With MEMIF_REQUIRE_INTEROP=1 that
//! is a failure for those that Debian and npm have, with MEMIF_REQUIRE_INTEROP=all for every peer.
//! MEMIF_TESTPMD, MEMIF_VPP, MEMIF_LIBMEMIF, MEMIF_GOMEMIF and MEMIF_GOLIBMEMIF name programs that
//! are not in PATH.

mod application;
mod examples;
mod forward;
mod golibmemif;
mod library;
mod net;
mod node;
#[cfg(feature = "observe")]
mod pairs;
mod peers;
mod refusal;
mod responders;
mod stream;
mod vpp;

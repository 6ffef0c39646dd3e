//! The manual: pages to read. These modules contain no code.
//!
//! * [`concepts`]: what a memif is made of, and what this crate calls it.
//! * [`choosing_modes`]: roles, receive modes, sizes, queues; blocking, polling or async.
//! * [`peers`]: VPP, DPDK, libmemif, gomemif, Node, containers.
//! * [`troubleshooting`]: what may go wrong, why, and what to do.

pub mod choosing_modes;
pub mod concepts;
pub mod peers;
pub mod troubleshooting;

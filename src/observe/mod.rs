//! Links between other processes: found, and read without their notice.
//!
//! The memory of a link can be seen from outside: whoever may trace a process may open the memory
//! that it shares. Nothing is written there, no peer is woken, and nothing has to be configured.
//! [`links`] finds what there is on this host, and an [`Observer`] reads the packets of one link.
//!
//! # What is delivered
//!
//! A packet is delivered when it is certain that nobody has changed it while it was read. Until its
//! receiver has taken it, that is always so of a packet to the master. After that it is while its
//! sender can't have come round to its buffer again:
//!
//! * The ends of this library tell how long packets stay: all of the ring but 256 slots; of a slave
//!   that has sent large packets, or in place, 256 slots; of a ring below 512 slots, half. A program
//!   that publishes more than 256 slots at once may end that. A slave also leaves the lengths of
//!   what it has received.
//! * Others that have a buffer for each slot, as VPP without zero copy and DPDK, are seen to. Up to
//!   half of the ring stays; it is supposed that they do not publish more than that at once.
//! * Of all others nothing stays.
//!
//! The rest is counted as [missed](Counts::missed). Two things are beyond this: a slave that works
//! in place may change a packet that it has received before it is seen here, and zero-copy slaves
//! give their buffers to others when the link ends.
//!
//! # Rights
//!
//! One's own processes can be looked at; those of others by root, or with CAP_SYS_PTRACE. What
//! could not be looked at is in [`Links::hidden`].

mod directions;
mod host;
mod link;
mod observer;
mod pace;
mod processes;
mod regions;
mod sockets;

pub use host::{Links, links};
pub use link::{Direction, Link, LinkId, Process, Ring};
pub use observer::{Counts, Observer, ObserverBuilder, RingReader};
pub use processes::Hidden;

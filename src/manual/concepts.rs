//! What a memif is made of, and what this crate calls it.
//!
//! # A link joins two processes
//!
//! A memif joins two processes on one host. The **master** (DPDK says server) listens on a Unix
//! socket. The **slave** (client) connects to it, creates the shared memory and passes it to the
//! master. After that the socket only shows that the other side is still there. Packets never cross
//! it. Several interfaces may share a socket. A number, the **id**, tells them apart, and both
//! sides of a link use the same one. An interface has one link at a time.
//!
//! ```
//! use memif::{Context, MemifConfig, Role};
//!
//! let context = Context::new("my program")?;
//! let socket = format!("@memif-concepts-{}", std::process::id());
//! // Two interfaces on one socket.
//! let master = |id| MemifConfig::new(&socket).id(id).role(Role::Master);
//! let seven = context.create_interface(master(7))?;
//! let eight = context.create_interface(master(8))?;
//!
//! let slave = context.create_interface(MemifConfig::new(&socket).id(8))?;
//! slave.wait_link_up(None)?;
//! eight.wait_link_up(None)?;
//! assert!(!seven.is_link_up());
//! # Ok::<(), memif::Error>(())
//! ```
//!
//! # Rings, buffers and chains
//!
//! Each queue is a **ring** of slots. Their number is a power of two, and each slot names a
//! **buffer** in shared memory. A packet longer than a buffer takes several slots, a **chain**. So
//! a ring holds fewer long packets than short ones, and a packet that needs more slots than the
//! ring has can't be sent at all.
//!
//! The slave's sizes apply, whatever the master was configured with. A link has as many queues as
//! both sides support, and a master supports all that a slave brings, unless it is told
//! [how many](crate::MemifConfig::queues). [`Memif::details`](crate::Memif::details) shows what was
//! agreed on:
//!
//! ```
//! use memif::{Context, MemifConfig, Role};
//!
//! let context = Context::new("my program")?;
//! let socket = format!("@memif-concepts-rings-{}", std::process::id());
//! let master = MemifConfig::new(&socket).role(Role::Master);
//! let master = context.create_interface(master)?;
//! let slave = MemifConfig::new(&socket).queues(2, 2).log2_ring_size(8).buffer_size(4096);
//! let slave = context.create_interface(slave)?;
//! slave.wait_link_up(None)?;
//! master.wait_link_up(None)?;
//!
//! let details = master.details()?;
//! assert_eq!(master.rx_queues(), 2);
//! assert_eq!(details.rx_queues[0].ring_size, 256);
//! assert_eq!(details.rx_queues[0].buffer_size, 4096);
//! # Ok::<(), memif::Error>(())
//! ```
//!
//! # Who does what here
//!
//! A [`Context`](crate::Context) has a thread that makes connections, and makes them again when the
//! peer comes back. Callbacks run on this thread. A [`Memif`](crate::Memif) is one interface.
//! Whoever owns one of its queues reads or writes it: a [`PacketHandle`](crate::PacketHandle)
//! packet by packet, an [`RxQueue`](crate::RxQueue) or [`TxQueue`](crate::TxQueue) in bursts. A
//! queue has one owner at a time. Different threads use different queues without a lock between
//! them.
//!
//! # End of file
//!
//! If there is no packet to read, or nobody to write to, the call returns an [`Eof`](crate::Eof)
//! that says why. This is not a failure: try again later, unless the end of file
//! [is final](crate::Eof::is_final). If the ring has no room, a write returns
//! [`Error::Full`](crate::Error::Full), which is no end of file: a loop that leaves at the end of
//! the link does not leave because the peer is slow. What has a timeout returns
//! [`Error::TimedOut`](crate::Error::TimedOut).
//!
//! ```
//! use memif::{Context, Eof, MemifConfig, Role};
//!
//! let context = Context::new("my program")?;
//! let socket = format!("@memif-concepts-eof-{}", std::process::id());
//! let master = context.create_interface(MemifConfig::new(&socket).role(Role::Master))?;
//! let mut handle = master.packet_handle(0)?;
//! let error = handle.read_packet().unwrap_err();
//! assert_eq!(error.eof(), Some(Eof::LinkDown)); // nobody has connected yet
//! assert!(!Eof::LinkDown.is_final());
//!
//! master.close();
//! let error = handle.read_packet().unwrap_err();
//! assert_eq!(error.eof(), Some(Eof::Closed));
//! # Ok::<(), memif::Error>(())
//! ```
//!
//! # Trust
//!
//! The peer can write to the shared memory at any moment, even while a packet is being read.
//! Therefore each packet's descriptor is checked, the packet is copied into private memory, and no
//! Rust reference points into shared memory. [`Views`](crate::Views) leave packets there, and copy
//! only what is asked for. A peer that breaks the protocol loses its link. The
//! reason is logged and sent to the peer, and the reader gets the error once. A peer can still
//! stop, send nothing, or send any bytes as packets.
//!
//! A secret protects against mistakes only: it is sent unencrypted, and whoever may connect may try
//! any number of them. Access is controlled by the permissions of the socket's file and folder
//! ([`socket_mode`](crate::ContextBuilder::socket_mode)) and by lists of users
//! ([`allow_uids`](crate::ContextBuilder::allow_uids)).

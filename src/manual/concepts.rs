//! What a memif is made of, and what this crate calls it.
//!
//! # A link joins two processes
//!
//! A memif joins two processes on one host. The **master** (DPDK says server) listens on a Unix
//! socket; the **slave** (client) connects to it, makes the shared memory and hands it over. After
//! that the socket only tells that the other side is still there: packets never cross it.
//! Several interfaces may share a socket; a number, the **id**, tells them apart, and both sides of a
//! link have the same. One interface has one link at a time.
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
//! Each queue is a **ring** of slots, a power of two of them, and each slot names a **buffer** in shared
//! memory. A packet longer than a buffer takes several slots, a **chain**. So a ring holds fewer long packets
//! than short ones, and a packet that needs more slots than the ring has can't be sent at all.
//! The slave's sizes count, whatever the master was configured with; of queues the link has as many as both
//! sides have. [`Memif::details`](crate::Memif::details) says what was settled on:
//!
//! ```
//! use memif::{Context, MemifConfig, Role};
//!
//! let context = Context::new("my program")?;
//! let socket = format!("@memif-concepts-rings-{}", std::process::id());
//! let master = MemifConfig::new(&socket).role(Role::Master).queues(4, 4);
//! let master = context.create_interface(master)?;
//! let slave = MemifConfig::new(&socket).queues(2, 2).log2_ring_size(8).buffer_size(4096);
//! let slave = context.create_interface(slave)?;
//! slave.wait_link_up(None)?;
//! master.wait_link_up(None)?;
//!
//! let details = master.details()?;
//! assert_eq!(details.rx_queues.len(), 2);
//! assert_eq!(details.rx_queues[0].ring_size, 256);
//! assert_eq!(details.rx_queues[0].buffer_size, 4096);
//! # Ok::<(), memif::Error>(())
//! ```
//!
//! # Who does what here
//!
//! A [`Context`](crate::Context) is a thread that makes connections, and makes them again when the peer comes
//! back; callbacks run on it. A [`Memif`](crate::Memif) is one interface. Its queues are read and written by
//! whoever owns them: a [`PacketHandle`](crate::PacketHandle) packet by packet, an [`RxQueue`](crate::RxQueue)
//! and a [`TxQueue`](crate::TxQueue) in bursts. A queue has one owner, and different
//! queues are used on different threads without a lock between them.
//!
//! # End of file
//!
//! Reading that finds nothing, and writing that finds no room, end with an [`Eof`](crate::Eof), which says why. It
//! is no failure: go on later, unless it [is final](crate::Eof::is_final).
//!
//! ```
//! use memif::{Context, Eof, MemifConfig, Role};
//!
//! let context = Context::new("my program")?;
//! let socket = format!("@memif-concepts-eof-{}", std::process::id());
//! let master = context.create_interface(MemifConfig::new(&socket).role(Role::Master))?;
//! let mut handle = master.packet_handle(0, 64)?;
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
//! The peer can write the shared memory at any moment, while a packet is being read too. So a packet is copied
//! into private memory once its descriptor was checked, and no Rust reference points into what is
//! shared. A peer that breaks the protocol loses its link, with a reason that is logged and sent to it; reading
//! then reports it once. What the peer can still do: stop, send nothing, or send any bytes as packets. A secret is a guard
//! against mistakes: it crosses the socket as it is, and whoever may connect may try.
//! What keeps others out are the permissions of the socket's file and its folder, and lists of users:
//! [`socket_mode`](crate::ContextBuilder::socket_mode), [`allow_uids`](crate::ContextBuilder::allow_uids).

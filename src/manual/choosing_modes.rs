//! Roles, receive modes, sizes and queues; blocking, polling or async.
//!
//! # Master or slave
//!
//! Take the role that the peer does not have. If you can choose, be the slave: it can come and go
//! at any time, and its ring and buffer sizes apply. A master needs write permission for the folder
//! of the socket.
//!
//! # Ethernet or IP
//!
//! [`IfMode`](crate::IfMode) says what a packet begins with. Both sides must use the same mode, and
//! a master refuses a slave that uses another. DPDK's memif supports Ethernet only; VPP supports
//! both.
//!
//! ```
//! use memif::{IfMode, LinkType, MemifConfig};
//!
//! let config = MemifConfig::new("/run/vpp/memif.sock").mode(IfMode::Ip);
//! // A capture of this interface holds packets without a link header.
//! assert_eq!(IfMode::Ip.link_type(), LinkType::RAW);
//! # let _ = config;
//! ```
//!
//! # How to wait for packets
//!
//! | [`RxMode`](crate::RxMode) | cost of an idle link | delay of the first packet after silence | use it for |
//! |---|---|---|---|
//! | `Interrupt` (default) | none | the kernel wakes a thread | captures, control traffic, many links |
//! | `Adaptive { spin }` | none, after `spin` | none within `spin`, otherwise as above | requests and replies |
//! | `Polling` | a whole core | none | a core that you can spare; makes no system calls at all |
//!
//! While packets keep coming, reading makes no system call in any mode. The mode matters only when
//! a queue has been empty. docs/performance.md in the repository has figures, and `memif bench`
//! measures on your machine.
//!
//! ```
//! use memif::{Context, MemifConfig, Role, RxMode};
//! use std::time::Duration;
//!
//! let context = Context::new("my program")?;
//! let socket = format!("@memif-choosing-{}", std::process::id());
//! let master = context.create_interface(MemifConfig::new(&socket).role(Role::Master))?;
//! let mut handle = master.packet_handle(0)?;
//! handle.set_rx_mode(RxMode::Adaptive { spin: Duration::from_micros(50) })?;
//! # Ok::<(), memif::Error>(())
//! ```
//!
//! The protocol has no event for free slots in a full ring. Waiting to write therefore backs off:
//! it tries again after short pauses.
//!
//! # Which type to read with
//!
//! * [`PacketHandle`](crate::PacketHandle) and its iterator `packets()` read one packet after the
//!   other. This is the usual choice. It reads bursts internally, so it is fast.
//! * [`RxQueue`](crate::RxQueue) and [`TxQueue`](crate::TxQueue) are for programs that work on
//!   bursts themselves.
//! * `stream::AsyncPacketHandle` (feature `tokio`) is for many links in one thread, or for packets
//!   beside the other work of a runtime.
//! * [`AsFd`](std::os::fd::AsFd) of a queue or handle is for mio, async-io, or your own loop around
//!   `epoll`.
//! * `phy::MemifDevice` (feature `smoltcp`) is for TCP and UDP sockets.
//!
//! # Sizes
//!
//! * **Ring**: 2^10 slots by default, 2^14 at most. A ring has to hold the packets that arrive
//!   while the reader does something else. At a million packets per second, 1024 slots last for one
//!   millisecond. When the ring is full, the sender decides whether to drop packets or to wait; the
//!   receiver can't count them.
//! * **Buffers**: 2048 bytes by default. Buffers of 9216 bytes hold a jumbo frame, which otherwise
//!   needs a chain of buffers. If the peer does not support chains, they are the only way. VPP
//!   drops what is longer than 9216 bytes in one buffer, and takes longer packets in several. A
//!   slave's memory is slots × buffer size × queues of both directions: 1024 × 2048 × 2 is 4
//!   MiB.
//! * **Queues**: use one thread for each. Packets of one queue stay in order, packets of different
//!   queues do not.
//!
//! ```
//! use memif::MemifConfig;
//!
//! // For 9000-byte frames and a reader that pauses: 2 × 4096 × 9216 bytes, 72 MiB.
//! let config = MemifConfig::new("/run/vpp/memif.sock")
//!     .log2_ring_size(12)
//!     .buffer_size(9216);
//! # let _ = config;
//! ```

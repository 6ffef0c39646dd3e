//! Roles, receive modes, sizes and queues; blocking, polling or async.
//!
//! # Master or slave
//!
//! Take the role that the peer does not have. Where both are open, be the slave: it comes and goes as it likes, and its
//! ring and buffer sizes count. The master has to be able to write in the socket's folder.
//!
//! # Ethernet or IP
//!
//! [`IfMode`](crate::IfMode) says what packets begin with. Both sides must have the same; the master refuses a slave with another.
//! DPDK's memif knows Ethernet only, VPP has both.
//!
//! ```
//! use memif::{IfMode, LinkType, MemifConfig};
//!
//! let config = MemifConfig::new("/run/vpp/memif.sock").mode(IfMode::Ip);
//! // A capture of it holds packets without a link layer.
//! assert_eq!(IfMode::Ip.link_type(), LinkType::RAW);
//! # let _ = config;
//! ```
//!
//! # How to wait for packets
//!
//! | [`RxMode`](crate::RxMode) | an idle link costs | the first packet after silence waits for | take it for |
//! |---|---|---|---|
//! | `Interrupt` (default) | nothing | the kernel to wake a thread | captures, control traffic, many links |
//! | `Adaptive { spin }` | nothing, after `spin` | nothing within `spin`, else as above | requests and replies |
//! | `Polling` | a whole core | nothing | a core of one's own, and no system calls at all |
//!
//! While packets keep coming, no mode makes a system call to read. What is chosen matters at the start of each burst.
//! The page docs/performance.md in the repository has figures; `memif bench` measures on your machine.
//!
//! ```
//! use memif::{Context, MemifConfig, Role, RxMode};
//! use std::time::Duration;
//!
//! let context = Context::new("my program")?;
//! let socket = format!("@memif-choosing-{}", std::process::id());
//! let master = context.create_interface(MemifConfig::new(&socket).role(Role::Master))?;
//! let mut handle = master.packet_handle(0, 64)?;
//! handle.set_rx_mode(RxMode::Adaptive { spin: Duration::from_micros(50) })?;
//! # Ok::<(), memif::Error>(())
//! ```
//!
//! There is no event for room on a full ring: the protocol has none. Waiting to write backs off instead.
//!
//! # Which reader
//!
//! * [`PacketHandle`](crate::PacketHandle), and its iterator `packets()`: one packet after the other; the
//!   usual choice. It reads bursts inside, so it is not slow.
//! * [`RxQueue`](crate::RxQueue) and [`TxQueue`](crate::TxQueue): bursts, for programs that work on bursts themselves.
//! * `stream::AsyncPacketHandle` (feature `tokio`): many links in one thread, or packets beside other things that a runtime does.
//! * [`AsFd`](std::os::fd::AsFd) of a queue or handle: for mio, async-io, or a loop around `epoll`.
//! * `phy::MemifDevice` (feature `smoltcp`): TCP and UDP sockets.
//!
//! # Sizes
//!
//! * **Ring**: 2^10 slots by default, up to 2^14. A ring has to hold what arrives while the reader does something else: at
//!   a million packets a second, 1024 slots are a millisecond. What comes when it is full is the sender's
//!   to drop or to keep; the receiver can't count it.
//! * **Buffers**: 2048 bytes by default. With jumbo frames 9216 or 16384 make chains needless; without chains in the peer they are
//!   the only way. A slave's memory is slots × buffer size × queues of both directions: 1024 × 2048 × 2 is 4 MiB.
//! * **Queues**: one thread each. Packets of one queue stay in order, those of different queues do not.
//!
//! ```
//! use memif::MemifConfig;
//!
//! // For 9000-byte frames, and pauses of the reader: 2 × 4096 × 9216 bytes, 72 MiB.
//! let config = MemifConfig::new("/run/vpp/memif.sock")
//!     .log2_ring_size(12)
//!     .buffer_size(9216);
//! # let _ = config;
//! ```

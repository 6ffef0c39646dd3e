//! Packets over shared memory: memif from Rust.
//!
//! memif is an interface that passes packets between two processes on one host through shared
//! memory. VPP, DPDK and container networks use it. This crate connects to such peers in both
//! roles, and reads and writes packets in the way of pcap and gopacket.
//!
//! ```no_run
//! use memif::{Context, MemifConfig};
//!
//! let context = Context::new("my program")?;
//! let memif = context.create_interface(MemifConfig::new("/run/vpp/memif.sock").id(0))?;
//! memif.wait_link_up(None)?;
//!
//! let mut handle = memif.packet_handle(0)?;
//! for packet in handle.packets() {
//!     let packet = packet?;
//!     println!("{} {} bytes", packet.info().timestamp, packet.info().length);
//! }
//! # Ok::<(), memif::Error>(())
//! ```
//!
//! # The layers
//!
//! * [`PacketHandle`] reads and writes packets one by one. An [end of file](Eof) says why there is
//!   nothing to read, or no room to write.
//! * [`RxQueue`] and [`TxQueue`] read and write bursts of packets. A queue has one owner. Different
//!   queues run on different threads and share nothing.
//! * [`Memif`] is one interface with its [configuration](MemifConfig), link and
//!   [details](MemifDetails).
//! * [`Context`] has the control thread, which makes connections and runs callbacks.
//! * `vendor/libmemif` is the C core. Only the C core touches shared memory, because the peer may
//!   change it at any moment. It checks each descriptor once and copies whole packets into private
//!   memory. Everything above it is safe Rust.
//!
//! `pcap` reads and writes capture files (feature `pcap`). `phy` has the device for smoltcp
//! (feature `smoltcp`). `stream` reads and writes in a tokio runtime (feature `tokio`). `net` is a
//! host with TCP, UDP and ping in a tokio runtime (feature `net`). `observe` reads links between
//! other processes (feature `observe`).
//!
//! The [`manual`] explains the concepts, helps to choose modes and sizes, and says how to set up
//! peers and what to do when no packets arrive.
//!
//! # What is promised
//!
//! * A link that goes down loses nothing that had arrived. Packets that the peer published before
//!   it left, or died, can still be read.
//! * A call that is documented not to block never blocks.
//! * The worst that a peer can do is to lose its own link, with a reason.

#![deny(unsafe_code)]
// docs.rs shows which feature each item needs.
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(not(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
)))]
compile_error!("memif needs Linux (memfd, eventfd, epoll) on x86-64 or aarch64");

mod config;
mod context;
mod details;
mod error;
mod ffi;
mod handle;
mod interface;
mod interrupts;
mod link;
pub mod manual;
#[cfg(feature = "net")]
pub mod net;
#[cfg(feature = "observe")]
pub mod observe;
mod packet;
#[cfg(feature = "pcap")]
pub mod pcap;
#[cfg(feature = "smoltcp")]
pub mod phy;
mod queue;
mod stats;
#[cfg(feature = "tokio")]
pub mod stream;

pub use config::{IfMode, Role};
pub use context::{Context, ContextBuilder};
pub use details::{MemifDetails, PeerProcess, QueueDetails, RegionDetails};
pub use error::{Eof, Error, ErrorKind, IoError, Refusal};
pub use handle::{PacketHandle, PacketReader, PacketWriter, Packets, ReuniteError};
pub use interface::Memif;
pub use interface::config::MemifConfig;
pub use interrupts::Interrupts;
pub use link::rx_mode::RxMode;
pub use link::status::ConnectFailure;
pub use packet::direction::Direction;
pub use packet::link_type::LinkType;
pub use packet::source::{PacketSink, PacketSource, SourcePackets};
pub use packet::time::Timestamp;
pub use packet::{CaptureInfo, DEFAULT_SNAPLEN, Packet, PacketBuf};
pub use queue::{Burst, BurstIter, Closer, RxQueue, TxQueue, View, ViewIter, Views, Wait};
pub use stats::{MemifStats, QueueStats};

/// Tests the program in the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

/// Tests the programs on the page for users of the Go adapters.
#[cfg(doctest)]
#[doc = include_str!("../docs/coming-from-go.md")]
struct ComingFromGo;

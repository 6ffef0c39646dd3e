//! Packets over shared memory: memif from Rust.
//!
//! memif is the shared-memory packet interface by which VPP, DPDK and container
//! networks hand packets to applications. This crate connects to such peers, in
//! both roles, and reads and writes packets as people who know pcap and
//! gopacket expect it.
//!
//! ```no_run
//! use memif::{Context, MemifConfig};
//!
//! let context = Context::new("my program")?;
//! let memif = context.create_interface(MemifConfig::new("/run/vpp/memif.sock").id(0))?;
//! memif.wait_link_up(None)?;
//!
//! let mut handle = memif.packet_handle(0, 64)?;
//! for packet in handle.packets() {
//!     let packet = packet?;
//!     println!("{} {} bytes", packet.info().timestamp, packet.info().length);
//! }
//! # Ok::<(), memif::Error>(())
//! ```
//!
//! # The layers
//!
//! * [`PacketHandle`]: `read_packet` and `write_packet`, with a burst cache and clear
//!   [end-of-file](Eof) semantics.
//! * [`RxQueue`] and [`TxQueue`]: bursts. A queue has one owner; different queues run on
//!   different threads with nothing shared.
//! * [`Memif`]: one interface, its [configuration](MemifConfig), link and [details](MemifDetails).
//! * [`Context`]: the control thread; connections are made and callbacks run there.
//! * `vendor/libmemif`: the C core. It alone touches shared memory, which the
//!   peer may change at any moment: a burst checks each descriptor once and copies whole
//!   packets into private memory. Above it everything is safe Rust.
//!
//! Capture files are in [`pcap`] (feature `pcap`); smoltcp's device is in `phy` (feature `smoltcp`);
//! reading and writing in a tokio runtime is in `stream` (feature `tokio`).
//!
//! The [`manual`] says more: concepts, choices, peers, what to do when nothing comes.
//!
//! # What is promised
//!
//! A link that goes down loses nothing that had arrived: packets that the peer published
//! before it left, or died, stay readable. No call that is said not to block does. Whatever a
//! peer does, its worst is a disconnect with a reason.

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
pub use error::{Eof, Error, ErrorKind};
pub use handle::{Closer, PacketHandle, PacketReader, PacketWriter, Packets};
pub use interface::Memif;
pub use interface::config::MemifConfig;
pub use interrupts::Interrupts;
pub use link::rx_mode::RxMode;
pub use link::status::ConnectFailure;
pub use packet::link_type::LinkType;
pub use packet::source::{PacketSink, PacketSource};
pub use packet::time::Timestamp;
pub use packet::{CaptureInfo, Packet, PacketBuf};
pub use queue::{Burst, BurstIter, DEFAULT_SNAPLEN, RxQueue, TxQueue, Wait};
pub use stats::{MemifStats, QueueStats};

/// The README's program.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

/// The programs of the page for users of the Go adapters.
#[cfg(doctest)]
#[doc = include_str!("../docs/coming-from-go.md")]
struct ComingFromGo;

//! A device for [smoltcp]: a TCP/IP stack in user space on shared memory.
//!
//! A [`MemifDevice`] is a [`smoltcp::phy::Device`] for Ethernet or IP, depending on the mode of its
//! interface. Between polls, [`sleep`]; it takes the place of smoltcp's own `phy::wait`.
//!
//! ```
//! use memif::phy::{self, MemifDevice};
//! use memif::{Context, MemifConfig, Role};
//! use smoltcp::iface::{Config, Interface, SocketSet};
//! use smoltcp::time::Instant;
//! use smoltcp::wire::{EthernetAddress, IpAddress, IpCidr};
//!
//! let context = Context::new("doc")?;
//! let socket = format!("@memif-doc-phy-{}", std::process::id());
//! let memif = context.create_interface(MemifConfig::new(&socket).role(Role::Master))?;
//!
//! let mut device = MemifDevice::new(&memif, 0)?;
//! let config = Config::new(EthernetAddress([2, 0, 0, 0, 0, 1]).into());
//! let mut iface = Interface::new(config, &mut device, Instant::now());
//! iface.update_ip_addrs(|a| drop(a.push(IpCidr::new(IpAddress::v4(192, 168, 1, 1), 24))));
//! let mut sockets = SocketSet::new(vec![]);
//! # memif.close();
//! loop {
//!     iface.poll(Instant::now(), &mut device, &mut sockets);
//!     // … the sockets' work …
//!     match phy::sleep(&mut device, &mut iface, &sockets) {
//!         Err(e) if e.is_eof() => break, // the interface is closed
//!         slept => slept?,
//!     }
//! }
//! # Ok::<(), memif::Error>(())
//! ```
//!
//! # Bursts
//!
//! Received packets are copied into private memory in bursts, and receive tokens pass them to the
//! stack. Frames that the stack sends are collected there and put on the ring together: when a
//! burst is full, when no more packets are waiting, in [`sleep`], [`wait`] and [`poll_delay`], and
//! when the device is dropped. **If you call none of them after `Interface::poll`, call
//! [`MemifDevice::publish`]**. Otherwise the last frames are not sent until the next poll.
//!
//! # Middleware
//!
//! [`sleep`], [`wait`] and [`poll_delay`] accept a device inside a `Tracer` or a `PcapWriter`.
//! `FaultInjector` gives no access to the device that it wraps. Give it a [`SharedDevice`], and
//! wait on a clone of that.
//!
//! # Large segments
//!
//! With [`Segmentation`] the stack makes TCP segments of up to 64 KiB. Between two devices that
//! accept them, they are sent whole, as chains of buffers ([`Segmentation::Whole`]). For other
//! peers the device cuts them ([`Segmentation::Cut`]).

mod announce;
mod device;
mod outgoing;
mod segment;
mod settings;
mod shared;
mod stats;
mod wait;

pub use announce::announce;
pub use device::MemifDevice;
pub use settings::{DEFAULT_BURST, Segmentation};
pub use shared::SharedDevice;
pub use stats::DeviceStats;
pub use wait::{Reach, poll_delay, sleep, wait};

/// The version of smoltcp that the device is for.
pub use smoltcp;

//! A device for [smoltcp]: a TCP/IP stack in user space on shared memory.
//!
//! A [`MemifDevice`] is a [`smoltcp::phy::Device`] for Ethernet or IP, depending on the mode of its
//! interface. Use [`wait`] instead of smoltcp's own `phy::wait`.
//!
//! ```
//! use memif::phy::{self, MemifDevice};
//! use memif::{Context, MemifConfig, Role};
//! use smoltcp::iface::{Config, Interface, SocketSet};
//! use smoltcp::time::{Duration, Instant};
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
//! for _ in 0..3 {
//!     let now = Instant::now();
//!     iface.poll(now, &mut device, &mut sockets);
//!     // … the sockets' work …
//!     let delay = phy::poll_delay(&mut device, &mut iface, &sockets, now);
//!     let at_most = Duration::from_millis(1);
//!     phy::wait(&mut device, Some(delay.map_or(at_most, |d| d.min(at_most))))?;
//! }
//! # Ok::<(), memif::Error>(())
//! ```
//!
//! # Bursts
//!
//! Received packets are copied into private memory in bursts, and receive tokens pass them to the
//! stack. Frames that the stack sends are collected there and put on the ring together: when a
//! burst is full, when no more packets are waiting, in [`wait`] and [`poll_delay`], and when the
//! device is dropped. **If you do not call [`wait`] after `Interface::poll`, call
//! [`MemifDevice::publish`]**. Otherwise the last frames are not sent until the next poll.
//!
//! # Middleware
//!
//! [`wait`] and [`poll_delay`] accept a device inside a `Tracer` or a `PcapWriter`. `FaultInjector`
//! gives no access to the device that it wraps. Give it a [`SharedDevice`], and wait on a clone of
//! that.
//!
//! # Large segments
//!
//! With [`Segmentation`] the stack makes TCP segments of up to 64 KiB. Between two devices that
//! accept them, they are sent whole, as chains of buffers ([`Segmentation::Whole`]). For other
//! peers the device cuts them ([`Segmentation::Cut`]).

mod device;
mod outgoing;
mod segment;
mod settings;
mod shared;
mod stats;
mod wait;

pub use device::MemifDevice;
pub use settings::{DEFAULT_BURST, Segmentation};
pub use shared::SharedDevice;
pub use stats::DeviceStats;
pub use wait::{Reach, poll_delay, wait};

/// The version of smoltcp that the device is for.
pub use smoltcp;

//! A host on a memif for [tokio](https://docs.rs/tokio) programs: TCP, UDP and ping, without the
//! kernel.
//!
//! A [`Net`] has addresses of its own and speaks to other hosts on, or behind, the interface.
//! [`TcpListener`], [`TcpStream`] and [`UdpSocket`] work like tokio's: servers and clients that
//! take any [`AsyncRead`](tokio::io::AsyncRead) and [`AsyncWrite`](tokio::io::AsyncWrite), such as
//! hyper's and axum's, run on a memif unchanged.
//!
//! ```
//! use memif::net::Net;
//! use memif::phy::MemifDevice;
//! use memif::{Context, MemifConfig, Role};
//! use tokio::io::{AsyncReadExt, AsyncWriteExt};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let context = Context::new("doc")?;
//! let socket = format!("@memif-doc-net-{}", std::process::id());
//! let master = context.create_interface(MemifConfig::new(&socket).role(Role::Master))?;
//! let slave = context.create_interface(MemifConfig::new(&socket))?;
//!
//! // Two hosts: usually the other one is another program.
//! let here = Net::new(MemifDevice::new(&master, 0)?, &[([10, 0, 0, 1].into(), 24)])?;
//! let there = Net::new(MemifDevice::new(&slave, 0)?, &[([10, 0, 0, 2].into(), 24)])?;
//!
//! let listener = there.listen(([10, 0, 0, 2], 7))?;
//! tokio::spawn(async move {
//!     let (mut stream, _) = listener.accept().await?;
//!     let mut line = [0; 5];
//!     stream.read_exact(&mut line).await?;
//!     stream.write_all(&line).await
//! });
//!
//! let mut stream = here.connect(([10, 0, 0, 2], 7)).await?;
//! stream.write_all(b"hello").await?;
//! let mut answer = String::new();
//! stream.read_to_string(&mut answer).await?;
//! assert_eq!(answer, "hello");
//! # Ok(())
//! # }
//! ```
//!
//! # The task
//!
//! [`NetBuilder::start`] spawns a task in the current runtime that receives, sends and keeps the
//! time for all sockets. It sleeps until the link has packets, a socket has something to send, or a
//! timer is over. Nothing here blocks. The sockets may be used from any runtime as long as this one
//! runs; when it ends, they fail.
//!
//! # Many connections
//!
//! Each packet finds its connection by a hash of its addresses, so its cost does not grow with
//! their number. Each connection has [two buffers](NetBuilder::buffers), which bound its memory
//! and, as its window, what the peer may have under way. A peer that reads nothing stops only its
//! own connection.
//!
//! # When the link goes down
//!
//! Connections stay. What is under way when the link goes down is sent again when it is back, and
//! nothing is lost or doubled. A connection whose peer owes an answer for longer than the host's
//! [patience](NetBuilder::patience) fails with [`TimedOut`](std::io::ErrorKind::TimedOut).
//!
//! # Addresses
//!
//! A host in Ethernet mode has, besides its [addresses](NetBuilder::address), a link-local IPv6
//! address that is made from its Ethernet address. It answers ARP, neighbour discovery and pings,
//! and tells its neighbours of its addresses when a link comes up. It looks for at most one
//! neighbour's Ethernet address a second, as smoltcp does. There is no DHCP, no name resolution, no
//! loopback and no multicast, and fragments are not put together.
//!
//! # Other ways
//!
//! For a stack in a loop of one's own, without tokio, see [`phy`](crate::phy). For the kernel's
//! stack, bridge the memif to a TAP device with `memif bridge`.

mod addresses;
mod backlog;
mod binding;
mod builder;
mod connections;
mod datagrams;
mod defaults;
mod driver;
mod flow;
mod host;
mod ping;
mod settings;
mod slots;
mod state;
mod tcp;
mod udp;

pub use builder::NetBuilder;
pub use defaults::{DEFAULT_BACKLOG, DEFAULT_BUFFER, DEFAULT_PATIENCE};
pub use host::Net;
pub use tcp::{OwnedReadHalf, OwnedWriteHalf, TcpListener, TcpStream};
pub use udp::UdpSocket;

//! What one sees, why, and what to do.
//!
//! Begin with `memif info -s SOCKET`, which says in one line why there is no link. In a program
//! [`wait_link_up`](crate::Memif::wait_link_up) and
//! [`last_failure`](crate::Memif::last_failure) say the same; the rest goes to the `log` crate.
//!
//! ```
//! use memif::{Context, ErrorKind, MemifConfig, Role};
//!
//! let context = Context::new("my program")?;
//! let socket = format!("@memif-troubleshooting-{}", std::process::id());
//! let master = MemifConfig::new(&socket).role(Role::Master).secret("abra");
//! let master = context.create_interface(master)?;
//! let slave = context.create_interface(MemifConfig::new(&socket).secret("kadabra"))?;
//!
//! let refused = slave.wait_link_up(None).unwrap_err();
//! assert_eq!(refused.kind(), ErrorKind::WrongSecret);
//! # drop(master);
//! # Ok::<(), memif::Error>(())
//! ```
//!
//! # No link
//!
//! | what is said | why | what to do |
//! |---|---|---|
//! | nobody listens | no master runs, or its path is another; an abstract name (`@…`) is another place than the file of that name | start the master, or be it; DPDK uses an abstract name unless told `socket-abstract=no` |
//! | permission denied | the file's or the folder's permissions; connecting needs the right to write the socket | run as its owner; or let the master's `socket_mode` and `socket_owner` (`--socket-mode`, `--socket-owner`) open it to a group: it is 0600 by itself |
//! | user … may not be a peer here | one side has a list of users or groups, and the other's is not on it | `allow_uids`, `allow_gids` (`--allow-user`, `--allow-group`) |
//! | the interface id is unknown | the master has no interface with this id; DPDK says so too while it starts | the same id on both sides; try again in a few seconds |
//! | incorrect secret, a secret is required | as it says | the same secret on both sides, at most 24 bytes |
//! | the modes differ | one side has Ethernet, the other IP | the same on both sides |
//! | already connected | an interface has one link, and somebody has it | end the other, or make another id |
//! | the master does not answer | it listens, but is stopped or busy | see what it does; it has five seconds for a handshake |
//! | memory that is not sealed | the peer could take it away while it is read; hugepages can't be sealed | `allow_unsealed_regions`, `--allow-unsealed`, if the peer is trusted |
//! | the master can't listen | somebody else does, or the file there is no socket | another path; a stale socket is replaced without asking |
//!
//! # A link, but no packets
//!
//! * The peer's interface is down for traffic: in VPP `set interface state memif0/0 up`, in testpmd `start`.
//! * Packets go to another queue than the one that is read. `memif stats` shows each.
//! * A bridge or router in the peer drops them: an unknown destination MAC address, no route.
//! * The peer waits for an interrupt that never comes, or the other way round: `RxMode::Polling` on our side tells whether it is that.
//! * testpmd throws away what arrives before forwarding starts, unless it has `--no-flush-rx`.
//!
//! # Packets are missing
//!
//! * The sender's ring was full. [`stats`](crate::Memif::stats) of the **sender** count it as `ring_full`; a receiver can't know.
//!   Make rings larger, read on more queues, use polling.
//! * They are longer than a buffer, and the peer makes no chains: larger buffers at the slave. testpmd sends chains with `--tx-offloads=0x8000`.
//! * They are shorter than they were: the snap length of the reader, whose `CaptureInfo` has both lengths.
//!
//! ```
//! use memif::{Context, MemifConfig, Role};
//! use std::time::Duration;
//!
//! let context = Context::new("my program")?;
//! let socket = format!("@memif-snaplen-{}", std::process::id());
//! let master = context.create_interface(MemifConfig::new(&socket).role(Role::Master))?;
//! let slave = context.create_interface(MemifConfig::new(&socket))?;
//! slave.wait_link_up(None)?;
//! slave.packet_handle(0, 64)?.write_packet(&[0; 1500])?;
//!
//! let mut handle = master.packet_handle(0, 64)?;
//! handle.set_snaplen(96);
//! let packet = handle.read_packet_timeout(Some(Duration::from_secs(5)))?;
//! assert_eq!((packet.len(), packet.info().length), (96, 1500));
//! assert_eq!(slave.stats().tx_queues[0].ring_full, 0);
//! # Ok::<(), memif::Error>(())
//! ```
//!
//! # The link goes down
//!
//! [`MemifDetails::last_disconnect`](crate::MemifDetails::last_disconnect) has the reason. Slaves ask again every 100 ms
//! ([`reconnect_interval`](crate::ContextBuilder::reconnect_interval)), and handles work on after it.
//! A peer that "broke the protocol" wrote something into the ring or on the socket that can't be: the reason says what
//! was expected and what came, and belongs in a report to whoever wrote the peer.
//!
//! # Addresses and checksums
//!
//! A TCP/IP stack on the same host may leave checksums empty, since nothing is sent over a wire. smoltcp then drops
//! the packets, unless `MemifDevice::with_checksum` told it not to verify them.

//! What may go wrong, why, and what to do.
//!
//! Start with `memif info -s SOCKET`, which says in one line why there is no link. In a program,
//! [`wait_link_up`](crate::Memif::wait_link_up) and [`last_failure`](crate::Memif::last_failure)
//! give the same reason. More details go to the `log` crate.
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
//! | message | reason | what to do |
//! |---|---|---|
//! | nobody listens | No master is running, or it uses another path. An abstract name (`@…`) is not the same as the file of that name. | Start the master, or take its role. DPDK uses an abstract name unless it is given `socket-abstract=no`. |
//! | permission denied | The permissions of the socket or its folder. To connect, a slave needs write permission for the socket, which is 0600 by default. | Run as the socket's owner, or open the socket to a group with the master's `socket_mode` and `socket_owner` (`--socket-mode`, `--socket-owner`). |
//! | user … may not be a peer here | One side has a list of users or groups, and the other side's is not on it. | Add it with `allow_uids` or `allow_gids` (`--allow-user`, `--allow-group`). |
//! | the interface id is unknown | The master has no interface with this id. DPDK also says so while it starts. | Use the same id on both sides, or try again in a few seconds. |
//! | incorrect secret, a secret is required | The secrets differ, or this side has none. | Use the same secret on both sides, at most 24 bytes. |
//! | the modes differ | One side uses Ethernet, the other IP. | Use the same mode on both sides. |
//! | already connected | An interface has one link, and somebody else has it. | End the other link, or use another id. |
//! | the master does not answer | It listens, but is stopped or busy. It has five seconds for a handshake. | Find out what the master is doing. |
//! | memory that is not sealed | The peer could take the memory away while it is read. Hugepages can't be sealed. | If you trust the peer: `allow_unsealed_regions`, `--allow-unsealed`. |
//! | the master can't listen | Somebody else listens there, or the file is not a socket. | Use another path. A stale socket is replaced automatically. |
//!
//! # A link, but no packets
//!
//! * The peer's interface is administratively down. In VPP use `set interface state memif0/0 up`,
//!   in testpmd `start`.
//! * Packets arrive on a queue that nobody reads. `memif stats` shows each queue.
//! * A bridge or router in the peer drops them, because it does not know the destination MAC
//!   address or has no route.
//! * One side waits for an interrupt that the other does not send. To test this, use
//!   `RxMode::Polling` on this side.
//! * testpmd discards packets that arrive before forwarding starts, unless it is started with
//!   `--no-flush-rx`.
//!
//! # Packets are missing
//!
//! * The ring was full. [`stats`](crate::Memif::stats) of the **sender** count this as `ring_full`;
//!   a receiver can't know. Use larger rings, more queues, or polling.
//! * Packets are longer than a buffer, and the peer does not send chains. Use larger buffers at the
//!   slave. testpmd sends chains with `--tx-offloads=0x8000`.
//! * Packets are cut by the reader's snap length. Their `CaptureInfo` has both lengths.
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
//! slave.packet_handle(0)?.write_packet(&[0; 1500])?;
//!
//! let mut handle = master.packet_handle(0)?.with_snaplen(96);
//! let packet = handle.read_packet_timeout(Some(Duration::from_secs(5)))?;
//! assert_eq!((packet.len(), packet.info().length), (96, 1500));
//! assert_eq!(slave.stats().tx_queues[0].ring_full, 0);
//! # Ok::<(), memif::Error>(())
//! ```
//!
//! # The link goes down
//!
//! [`MemifDetails::last_disconnect`](crate::MemifDetails::last_disconnect) has the reason. Slaves
//! try to connect every 100 ms ([`reconnect_interval`](crate::ContextBuilder::reconnect_interval)),
//! and handles continue to work on the next link.
//!
//! A peer that "broke the protocol" wrote something invalid into the ring or to the socket. The
//! reason says what was expected and what came. Report it to whoever wrote the peer.
//!
//! Closing an interface may take a second. A master sees that its last packets were read only when
//! the slave offers its buffers again, and some slaves do that late.
//!
//! # Addresses and checksums
//!
//! A TCP/IP stack on the same host may leave checksums empty, because nothing is sent over a wire.
//! smoltcp then drops the packets. Use `MemifDevice::with_checksum` to turn off verification.

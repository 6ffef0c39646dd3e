//! What is known of an interface and its link.

use crate::config::{IfMode, Role};

/// A snapshot of an interface.
///
/// ```
/// use memif::{Context, MemifConfig, Role};
///
/// let context = Context::new("doc")?;
/// let socket = format!("@memif-doc-details-{}", std::process::id());
/// let memif = context.create_interface(MemifConfig::new(socket).role(Role::Master).id(3))?;
/// let details = memif.details()?;
/// assert_eq!((details.id, details.link_up), (3, false));
/// # Ok::<(), memif::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemifDetails {
    /// The control socket.
    pub socket: String,
    /// The interface id.
    pub id: u32,
    /// This side's role.
    pub role: Role,
    /// What packets begin with.
    pub mode: IfMode,
    /// This side's program, as given to its context.
    pub program_name: String,
    /// This side's interface name.
    pub interface_name: String,
    /// The peer's program, as it says; empty before the first link.
    pub remote_name: String,
    /// The peer's interface, as it says; empty before the first link.
    pub remote_interface_name: String,
    /// The peer's process, as the kernel knows it; none before the first attempt at a link.
    pub remote_process: Option<PeerProcess>,
    /// Whether the link is up.
    pub link_up: bool,
    /// Why the link went down, or could not be made; empty when it is up.
    pub error: String,
    /// Why the last link that was up ended, also when another is up; empty before the first end.
    pub last_disconnect: String,
    /// The receive queues of the link.
    pub rx_queues: Vec<QueueDetails>,
    /// The transmit queues of the link.
    pub tx_queues: Vec<QueueDetails>,
    /// The memory of the link.
    pub regions: Vec<RegionDetails>,
}

/// The process at the other end, as the kernel saw it when it connected (a slave) or began to
/// listen (a master). It can't be lied about, but may have given its socket to another process.
///
/// ```
/// use memif::{Context, MemifConfig, Role};
/// use std::time::Duration;
///
/// let context = Context::new("doc")?;
/// let socket = format!("@memif-doc-peer-{}", std::process::id());
/// let master = context.create_interface(MemifConfig::new(&socket).role(Role::Master))?;
/// let slave = context.create_interface(MemifConfig::new(&socket))?;
/// assert!(slave.wait_link_up(Some(Duration::from_secs(5)))?);
/// // Both are in this process.
/// assert_eq!(slave.details()?.remote_process.unwrap().pid, std::process::id());
/// # Ok::<(), memif::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PeerProcess {
    /// Its process id; 0 when it is in a PID namespace that can't be seen from here.
    pub pid: u32,
    /// Its effective user.
    pub uid: u32,
    /// Its effective group.
    pub gid: u32,
}

/// A queue of a link that is up.
///
/// ```
/// use memif::{Context, MemifConfig, Role};
///
/// let context = Context::new("doc")?;
/// let socket = format!("@memif-doc-queues-{}", std::process::id());
/// let master = context.create_interface(MemifConfig::new(&socket).role(Role::Master))?;
/// let slave = context.create_interface(MemifConfig::new(&socket).log2_ring_size(8))?;
/// slave.wait_link_up(None)?;
/// slave.tx_queue(0)?.tx_burst(&[b"one", b"two"])?;
///
/// let queue = slave.details()?.tx_queues[0];
/// println!("{} of {} slots are in use", queue.used, queue.ring_size);
/// assert_eq!((queue.used, queue.ring_size, queue.buffer_size), (2, 256, 2048));
/// # Ok::<(), memif::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct QueueDetails {
    /// The queue id, from 0.
    pub id: u16,
    /// Slots of the ring.
    pub ring_size: u32,
    /// Bytes of a buffer (as master: of the first one offered).
    pub buffer_size: u16,
    /// Slots with packets that the receiver has not given back, 0 to `ring_size`.
    pub used: u32,
    /// Whether the receiver has switched interrupts off.
    pub polling: bool,
    /// The ring's head, a 16-bit counter that wraps.
    pub head: u16,
    /// The ring's tail, a 16-bit counter that wraps.
    pub tail: u16,
}

/// A region of shared memory.
///
/// ```
/// use memif::{Context, MemifConfig, Role};
///
/// let context = Context::new("doc")?;
/// let socket = format!("@memif-doc-regions-{}", std::process::id());
/// let master = context.create_interface(MemifConfig::new(&socket).role(Role::Master))?;
/// let slave = context.create_interface(MemifConfig::new(&socket))?;
/// slave.wait_link_up(None)?;
/// for region in slave.details()?.regions {
///     println!("region {}: {} bytes", region.index, region.size);
/// }
/// # Ok::<(), memif::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RegionDetails {
    /// Its index, from 0.
    pub index: u8,
    /// Bytes; regions of 4 GiB and more show their size modulo 4 GiB.
    pub size: u32,
}

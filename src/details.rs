//! What is known about an interface and its link.

use std::path::PathBuf;

use crate::config::{IfMode, Role};

/// A snapshot of an interface and its link, from [`Memif::details`](crate::Memif::details).
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
    pub socket: PathBuf,
    /// The interface id.
    pub id: u32,
    /// This side's role.
    pub role: Role,
    /// What a packet begins with.
    pub mode: IfMode,
    /// This side's program name, as given to its context.
    pub program_name: String,
    /// This side's interface name.
    pub interface_name: String,
    /// The program name that the peer gave; empty before the first link.
    pub remote_name: String,
    /// The interface name that the peer gave; empty before the first link.
    pub remote_interface_name: String,
    /// The peer's process, as the kernel reports it; `None` before the first attempt to connect.
    pub remote_process: Option<PeerProcess>,
    /// Whether the link is up.
    pub link_up: bool,
    /// Why the link went down or could not be established; empty while it is up.
    pub error: String,
    /// Why the last link ended, even if another link is up now; empty if none has ended.
    pub last_disconnect: String,
    /// The receive queues of the link.
    pub rx_queues: Vec<QueueDetails>,
    /// The transmit queues of the link.
    pub tx_queues: Vec<QueueDetails>,
    /// The memory of the link.
    pub regions: Vec<RegionDetails>,
}

/// The process at the other end, as the kernel saw it when it connected (a slave) or started to
/// listen (a master). The peer can't forge it, but it may have passed its socket to another
/// process.
///
/// ```
/// use memif::{Context, MemifConfig, Role};
/// use std::time::Duration;
///
/// let context = Context::new("doc")?;
/// let socket = format!("@memif-doc-peer-{}", std::process::id());
/// let master = context.create_interface(MemifConfig::new(&socket).role(Role::Master))?;
/// let slave = context.create_interface(MemifConfig::new(&socket))?;
/// slave.wait_link_up(Some(Duration::from_secs(5)))?;
/// // Both are in this process.
/// assert_eq!(slave.details()?.remote_process.unwrap().pid, std::process::id());
/// # Ok::<(), memif::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PeerProcess {
    /// The process id; 0 if it is in a PID namespace that this process can't see.
    pub pid: u32,
    /// The id of its effective user.
    pub uid: u32,
    /// The id of its effective group.
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
    pub id: u8,
    /// The number of slots in the ring.
    pub ring_size: u32,
    /// The size of a buffer in bytes. On a master, the size of the first buffer that the slave
    /// offered.
    pub buffer_size: u16,
    /// The number of slots with packets that the receiver has not given back, 0 to `ring_size`.
    pub used: u32,
    /// Whether the receiver has turned interrupts off.
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
    /// The region's index, from 0.
    pub index: u8,
    /// The size in bytes, modulo 4 GiB.
    pub size: u32,
}

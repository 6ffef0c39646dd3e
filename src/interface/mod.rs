//! One interface: its life, its link, its queues.

pub(crate) mod config;
mod events;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::config::{IfMode, Role};
use crate::details::{MemifDetails, PeerProcess, QueueDetails, RegionDetails};
use crate::error::Error;
use crate::ffi::QueueRecord;
use crate::interrupts::Interrupts;
use crate::link::Link;
use crate::link::rx_mode::RxMode;
use crate::link::status::ConnectFailure;
use crate::queue::{RxQueue, TxQueue};
use crate::stats::MemifStats;

/// A shared-memory packet interface. Clones are the same interface.
///
/// It is closed by [`close`](Self::close), with its context, or when it, its
/// clones and all its queues and handles are gone.
///
/// ```
/// use memif::{Context, MemifConfig, Role};
/// use std::time::Duration;
///
/// let context = Context::new("doc")?;
/// let socket = format!("@memif-doc-interface-{}", std::process::id());
/// let master = context.create_interface(MemifConfig::new(&socket).role(Role::Master))?;
/// let slave = context.create_interface(MemifConfig::new(&socket))?;
/// assert!(slave.wait_link_up(Some(Duration::from_secs(5)))?);
/// assert_eq!(slave.details()?.remote_name, "doc");
/// # Ok::<(), memif::Error>(())
/// ```
#[derive(Clone)]
pub struct Memif {
    link: Arc<Link>,
}

impl Memif {
    pub(crate) fn from_link(link: Arc<Link>) -> Self {
        Self { link }
    }

    /// A receive queue. Each has one owner at a time.
    ///
    /// # Errors
    ///
    /// [`Error::Memif`]: [`UnknownQueue`](crate::ErrorKind::UnknownQueue) for an id that is not
    /// configured, [`Exists`](crate::ErrorKind::Exists) while another owner has the queue.
    pub fn rx_queue(&self, queue: u16) -> Result<RxQueue, Error> {
        let end = self.link.take_rx(queue)?;
        Ok(RxQueue::new(Arc::clone(&self.link), queue, end))
    }

    /// A transmit queue. Each has one owner at a time.
    ///
    /// # Errors
    ///
    /// As [`rx_queue`](Self::rx_queue).
    pub fn tx_queue(&self, queue: u16) -> Result<TxQueue, Error> {
        let end = self.link.take_tx(queue)?;
        Ok(TxQueue::new(Arc::clone(&self.link), queue, end))
    }

    /// The interrupts of all receive queues in one stream. There may be several, which all get all.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] when the system has no descriptor left.
    pub fn interrupts(&self) -> Result<Interrupts, Error> {
        Interrupts::new(Arc::clone(&self.link))
    }

    /// How waiting is done on a receive queue, also while its owner waits. Holds over reconnects,
    /// until the queue has another owner.
    ///
    /// # Errors
    ///
    /// [`Error::Memif`] with [`UnknownQueue`](crate::ErrorKind::UnknownQueue) for an id that is not
    /// configured.
    pub fn set_rx_mode(&self, queue: u16, mode: RxMode) -> Result<(), Error> {
        self.link.set_rx_mode(queue, mode)?;
        // A waiter begins anew, by the new mode.
        self.link.conn()?.rx_wake(queue);
        Ok(())
    }

    /// Whether the link is up now.
    pub fn is_link_up(&self) -> bool {
        self.link.is_up()
    }

    /// Waits until the link is up: `true`; `false` when the time is over
    /// (`None`: no limit).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Again`](crate::ErrorKind::Again) where it would wait in a callback: the control
    /// thread, on which those run, makes the links. [`Error::Memif`] when the master refuses this
    /// slave, by its own words (wrong secret, unknown id, wrong mode, …) or because the versions
    /// differ; the interface goes on trying, and so may the caller.
    /// [`Eof::Closed`](crate::Eof::Closed) when the interface is closed.
    pub fn wait_link_up(&self, timeout: Option<Duration>) -> Result<bool, Error> {
        self.link.wait_up(timeout)
    }

    /// Why the last attempt to connect failed, when none has succeeded since.
    pub fn last_failure(&self) -> Option<ConnectFailure> {
        self.link.last_failure()
    }

    /// Names, queues and memory of both sides. Waits until the control thread answers, as long as a
    /// callback may take.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotInitialised`](crate::ErrorKind::NotInitialised) when the control thread is
    /// gone. A closed interface still has details, without a link.
    pub fn details(&self) -> Result<MemifDetails, Error> {
        let config = &self.link.config;
        let d = self.link.details()?;
        let queues = |records: Vec<QueueRecord>, slave_sends: bool| {
            let details = records.iter().map(|q| queue_details(q, slave_sends));
            details.collect()
        };
        let is_slave = config.role == Role::Slave;
        Ok(MemifDetails {
            socket: config.socket.clone(),
            id: config.id,
            role: config.role,
            mode: config.mode,
            interface_name: config.name.clone(),
            remote_name: d.remote_name,
            remote_interface_name: d.remote_interface,
            program_name: self.link.app_name().to_owned(),
            remote_process: d.peer.map(|(pid, uid, gid)| PeerProcess {
                pid: u32::try_from(pid).unwrap_or(0),
                uid,
                gid,
            }),
            link_up: d.link_up,
            last_disconnect: self.link.last_disconnect(),
            error: d.error,
            rx_queues: queues(d.rx, !is_slave),
            tx_queues: queues(d.tx, is_slave),
            regions: d
                .regions
                .iter()
                .map(|r| RegionDetails {
                    index: r.index,
                    size: r.size,
                })
                .collect(),
        })
    }

    /// What has passed through it so far. Never waits for anybody; may be called from any
    /// thread, as often as one likes.
    pub fn stats(&self) -> MemifStats {
        self.link.stats()
    }

    /// The control socket, as configured.
    pub fn socket(&self) -> &str {
        &self.link.config.socket
    }

    /// The interface id.
    pub fn id(&self) -> u32 {
        self.link.config.id
    }

    /// What it shares with its queues and handles.
    pub(crate) fn link(&self) -> &Arc<Link> {
        &self.link
    }

    /// This side's role.
    pub fn role(&self) -> Role {
        self.link.config.role
    }

    /// What packets begin with.
    pub fn mode(&self) -> IfMode {
        self.link.config.mode
    }

    /// Ends the link for good. Waits up to a second until the peer has taken
    /// what was sent (not from a callback, and not while another thread is closing it already).
    /// Packets that had arrived stay readable.
    pub fn close(&self) {
        self.link.close();
    }
}

/// The role, id and socket: `slave id 0 on /run/vpp/memif.sock`.
impl fmt::Display for Memif {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.link.label())
    }
}

impl fmt::Debug for Memif {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memif")
            .field("config", &self.link.config)
            .field("link_up", &self.is_link_up())
            .finish()
    }
}

fn queue_details(q: &QueueRecord, slave_sends: bool) -> QueueDetails {
    // The slave moves the head, the master the tail: to packets, or to buffers for them.
    let between = u32::from(q.head.wrapping_sub(q.tail)).min(q.ring_size);
    QueueDetails {
        used: if slave_sends {
            between
        } else {
            q.ring_size - between
        },
        id: q.id,
        ring_size: q.ring_size,
        buffer_size: q.buffer_size,
        polling: q.polling,
        head: q.head,
        tail: q.tail,
    }
}

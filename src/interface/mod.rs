//! One interface, its link and its queues.

pub(crate) mod config;
mod events;

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

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

/// A shared-memory packet interface. Clones refer to the same interface.
///
/// The interface is closed by [`close`](Self::close), together with its context, or when all its
/// clones, queues and handles have been dropped.
///
/// ```
/// use memif::{Context, MemifConfig, Role};
/// use std::time::Duration;
///
/// let context = Context::new("doc")?;
/// let socket = format!("@memif-doc-interface-{}", std::process::id());
/// let master = context.create_interface(MemifConfig::new(&socket).role(Role::Master))?;
/// let slave = context.create_interface(MemifConfig::new(&socket))?;
/// slave.wait_link_up(Some(Duration::from_secs(5)))?;
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

    /// Takes the receive queue with this id. A queue has one owner at a time.
    ///
    /// # Errors
    ///
    /// [`Error::Memif`]: [`UnknownQueue`](crate::ErrorKind::UnknownQueue) for an id that is not
    /// configured, [`Exists`](crate::ErrorKind::Exists) if the queue has another owner.
    pub fn rx_queue(&self, queue: u8) -> Result<RxQueue, Error> {
        let end = self.link.take_rx(queue)?;
        RxQueue::new(Arc::clone(&self.link), queue, end)
    }

    /// Takes the transmit queue with this id. A queue has one owner at a time.
    ///
    /// # Errors
    ///
    /// [`Error::Memif`]: [`UnknownQueue`](crate::ErrorKind::UnknownQueue) for an id that is not
    /// configured, [`Exists`](crate::ErrorKind::Exists) if the queue has another owner.
    pub fn tx_queue(&self, queue: u8) -> Result<TxQueue, Error> {
        let end = self.link.take_tx(queue)?;
        Ok(TxQueue::new(Arc::clone(&self.link), queue, end))
    }

    /// The interrupts of all receive queues in one stream. If this is called several times, each
    /// stream gets all interrupts.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the system has no descriptor left.
    pub fn interrupts(&self) -> Result<Interrupts, Error> {
        Interrupts::new(&self.link)
    }

    /// Sets how the owner of a receive queue waits for packets. It takes effect even while the
    /// owner is waiting, and stays in effect over reconnects until the queue has another owner.
    ///
    /// # Errors
    ///
    /// [`Error::Memif`] with [`UnknownQueue`](crate::ErrorKind::UnknownQueue) for an id that is not
    /// configured.
    pub fn set_rx_mode(&self, queue: u8, mode: RxMode) -> Result<(), Error> {
        self.link.set_rx_mode(queue, mode)?;
        // Wakes an owner that is waiting, so that it goes on in the new mode.
        self.link.conn()?.rx_wake(queue);
        Ok(())
    }

    /// How many queues the present link has to receive from: their ids are 0 and up. 0 when the
    /// link is down. Never blocks.
    ///
    /// A queue that this link lacks is not an error. It is empty, and waiting on it sleeps, until a
    /// link has it.
    pub fn rx_queues(&self) -> u8 {
        self.link.queues().0
    }

    /// How many queues the present link has to send to; 0 when the link is down. Never blocks. A
    /// queue that this link lacks has no room, until a link has it.
    ///
    /// ```
    /// use memif::{Context, MemifConfig, Role};
    ///
    /// let context = Context::new("doc")?;
    /// let socket = format!("@memif-doc-tx-queues-{}", std::process::id());
    /// let master = context.create_interface(MemifConfig::new(&socket).role(Role::Master))?;
    /// let slave = context.create_interface(MemifConfig::new(&socket).queues(2, 3))?;
    /// slave.wait_link_up(None)?;
    /// master.wait_link_up(None)?;
    /// assert_eq!((master.rx_queues(), master.tx_queues()), (3, 2));
    /// # Ok::<(), memif::Error>(())
    /// ```
    pub fn tx_queues(&self) -> u8 {
        self.link.queues().1
    }

    /// Whether the link is up now. Never blocks.
    pub fn is_link_up(&self) -> bool {
        self.link.is_up()
    }

    /// Blocks until the link is up. `None` means no timeout.
    ///
    /// A slave offers its buffers to the master a moment after the link is up. As a master this
    /// waits for that too, up to 20 ms of the timeout, so that the first write finds room.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`]. [`Error::Refused`] if the master refuses this slave, for example
    /// because of a wrong secret, id or mode; every call that waits at that time is told.
    /// [`Error::Memif`] if their versions of the protocol differ. The interface continues to try,
    /// unless its
    /// [`reconnect_interval`](crate::ContextBuilder::reconnect_interval) is zero, and so may the
    /// caller. [`ErrorKind::Again`](crate::ErrorKind::Again) if it would block in a callback: those
    /// run on the control thread, which makes the links. [`Eof::Closed`](crate::Eof::Closed) if the
    /// interface is closed.
    pub fn wait_link_up(&self, timeout: Option<Duration>) -> Result<(), Error> {
        let start = Instant::now();
        self.link.wait_up(timeout)?;
        let left = timeout.map(|timeout| timeout.saturating_sub(start.elapsed()));
        self.link.await_offers(left);
        Ok(())
    }

    /// Why the last attempt to connect failed; `None` if there was no failure, or a link has come
    /// up since.
    pub fn last_failure(&self) -> Option<ConnectFailure> {
        self.link.last_failure()
    }

    /// Names, queues and memory of both sides. Waits for the control thread, and so for a callback
    /// that is running.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotInitialised`](crate::ErrorKind::NotInitialised) if the control thread is
    /// gone. A closed interface still has details, but no link.
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

    /// Counts of what has passed through the interface so far. Never blocks, and may be called from
    /// any thread at any rate.
    pub fn stats(&self) -> MemifStats {
        self.link.stats()
    }

    /// The control socket, as configured.
    pub fn socket(&self) -> &Path {
        &self.link.config.socket
    }

    /// The interface id.
    pub fn id(&self) -> u32 {
        self.link.config.id
    }

    /// The part that the interface shares with its queues and handles.
    pub(crate) fn link(&self) -> &Arc<Link> {
        &self.link
    }

    /// This side's role.
    pub fn role(&self) -> Role {
        self.link.config.role
    }

    /// What a packet begins with.
    pub fn mode(&self) -> IfMode {
        self.link.config.mode
    }

    /// Closes the interface and its link for good. Blocks up to a second until the peer has read
    /// what was sent, except in a callback, or if another thread is already closing it. Packets
    /// that had arrived can still be read.
    pub fn close(&self) {
        self.link.close();
    }
}

/// Prints the role, id and socket: `slave id 0 on /run/vpp/memif.sock`.
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
    // The slave advances the head, the master the tail: past packets, or past free buffers.
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

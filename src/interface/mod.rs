//! One interface: its life, its link, its queues.

pub(crate) mod config;
mod events;

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use self::events::Events;
use crate::context::{Control, lock};
use crate::details::{MemifDetails, PeerProcess, QueueDetails, RegionDetails};
use crate::ffi::{Conn, ConnArgs, QueueRecord, RxEnd, TxEnd};
use crate::interrupts::{Bell, Interrupts};
use crate::queue::{RxMode, RxQueue, TxQueue, back_off, spin_of};
use crate::stats::{Counters, MemifStats};
use crate::{Error, ErrorKind, IfMode, MemifConfig, PacketHandle, Role};

/// How long closing waits for the peer to take what was sent.
pub(crate) const CLOSE_FLUSH: Duration = Duration::from_secs(1);

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
    inner: Arc<Inner>,
}

impl Memif {
    pub(crate) fn from_inner(inner: Arc<Inner>) -> Self {
        Self { inner }
    }

    /// A handle that reads and writes packets, on the receive and the transmit
    /// queue with this id. `rx_count` is the burst that fills its cache (at least 1).
    ///
    /// # Errors
    ///
    /// As [`rx_queue`](Self::rx_queue). A queue that exists in one direction
    /// only is no error: the handle then can't do the other. [`Error::Io`] when the system has no
    /// descriptor left for a handle that only writes.
    pub fn packet_handle(&self, queue: u16, rx_count: u16) -> Result<PacketHandle, Error> {
        let (rx_queues, tx_queues) = (self.inner.config.rx_queues, self.inner.config.tx_queues);
        let rx = (queue < rx_queues || queue >= tx_queues).then(|| self.rx_queue(queue));
        let tx = (queue < tx_queues).then(|| self.tx_queue(queue));
        PacketHandle::new(
            Arc::clone(&self.inner),
            queue,
            rx.transpose()?,
            tx.transpose()?,
            rx_count,
        )
    }

    /// A receive queue. Each has one owner at a time.
    ///
    /// # Errors
    ///
    /// [`Error::Memif`]: [`UnknownQueue`](ErrorKind::UnknownQueue) for an id that is not
    /// configured, [`Exists`](ErrorKind::Exists) while another owner has the queue.
    pub fn rx_queue(&self, queue: u16) -> Result<RxQueue, Error> {
        let end = self.inner.take_rx(queue)?;
        Ok(RxQueue::new(Arc::clone(&self.inner), queue, end))
    }

    /// A transmit queue. Each has one owner at a time.
    ///
    /// # Errors
    ///
    /// As [`rx_queue`](Self::rx_queue).
    pub fn tx_queue(&self, queue: u16) -> Result<TxQueue, Error> {
        let end = self.inner.take_tx(queue)?;
        Ok(TxQueue::new(Arc::clone(&self.inner), queue, end))
    }

    /// The interrupts of all receive queues in one stream. There may be several, which all get all.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] when the system has no descriptor left.
    pub fn interrupts(&self) -> Result<Interrupts, Error> {
        Interrupts::new(Arc::clone(&self.inner))
    }

    /// How waiting is done on a receive queue, also while its owner waits. Holds over reconnects,
    /// until the queue has another owner.
    ///
    /// # Errors
    ///
    /// [`Error::Memif`] with [`UnknownQueue`](ErrorKind::UnknownQueue) for an id that is not configured.
    pub fn set_rx_mode(&self, queue: u16, mode: RxMode) -> Result<(), Error> {
        self.inner.set_rx_mode(queue, mode)?;
        // A waiter begins anew, by the new mode.
        self.inner.conn()?.rx_wake(queue);
        Ok(())
    }

    /// Whether the link is up now.
    pub fn is_link_up(&self) -> bool {
        lock(&self.inner.status).up
    }

    /// Waits until the link is up: `true`; `false` when the time is over
    /// (`None`: no limit).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Again`] where it would wait in a callback: the control thread, on which
    /// those run, makes the links. [`Error::Memif`] when the master refuses this slave, by its own
    /// words (wrong secret, unknown id, wrong mode, …) or because the versions
    /// differ; the interface goes on trying, and so may the caller.
    /// [`Eof::Closed`](crate::Eof::Closed) when the interface is closed.
    pub fn wait_link_up(&self, timeout: Option<Duration>) -> Result<bool, Error> {
        let deadline = timeout.and_then(|t| Instant::now().checked_add(t));
        let mut status = lock(&self.inner.status);
        loop {
            if let Some(known) = self.inner.link_known(&mut status) {
                return known.map(|()| true);
            }
            let left = deadline.map(|d| d.saturating_duration_since(Instant::now()));
            status = match left {
                Some(left) if left.is_zero() => return Ok(false),
                _ if self.inner.control.is_control_thread() => {
                    let doing = "waiting for the link in a callback, on the thread that makes it";
                    return Err(self.inner.error(ErrorKind::Again.code(), doing));
                }
                Some(left) => {
                    let waited = self.inner.changed.wait_timeout(status, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
                None => {
                    let waited = self.inner.changed.wait(status);
                    waited.unwrap_or_else(PoisonError::into_inner)
                }
            };
        }
    }

    /// Why the last attempt to connect failed, when none has succeeded since.
    pub fn last_failure(&self) -> Option<ConnectFailure> {
        lock(&self.inner.status).failure.clone()
    }

    /// Names, queues and memory of both sides. Waits until the control thread answers, as long as a
    /// callback may take.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotInitialised`] when the control thread is gone. A closed
    /// interface still has details, without a link.
    pub fn details(&self) -> Result<MemifDetails, Error> {
        let config = &self.inner.config;
        let inner = Arc::clone(&self.inner);
        let result = self
            .inner
            .control
            .call(move |l| inner.conn.get().map(|conn| l.details(conn)))
            .flatten();
        let d = match result {
            Some(Ok(d)) => d,
            Some(Err(code)) => return Err(self.inner.error(code, "reading the details")),
            None => return Err(self.inner.error(100, "reading the details")),
        };
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
            program_name: self.inner.control.socket_args("").app_name,
            remote_process: d.peer.map(|(pid, uid, gid)| PeerProcess {
                pid: u32::try_from(pid).unwrap_or(0),
                uid,
                gid,
            }),
            link_up: d.link_up,
            last_disconnect: lock(&self.inner.status).last_disconnect.clone(),
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
        self.inner.counters.snapshot(self.is_link_up())
    }

    /// The control socket, as configured.
    pub fn socket(&self) -> &str {
        &self.inner.config.socket
    }

    /// The interface id.
    pub fn id(&self) -> u32 {
        self.inner.config.id
    }

    #[cfg(feature = "tokio")]
    pub(crate) fn inner(&self) -> &Inner {
        &self.inner
    }

    #[cfg(feature = "smoltcp")]
    pub(crate) fn config(&self) -> &MemifConfig {
        &self.inner.config
    }

    /// This side's role.
    pub fn role(&self) -> Role {
        self.inner.config.role
    }

    /// What packets begin with.
    pub fn mode(&self) -> IfMode {
        self.inner.config.mode
    }

    /// Ends the link for good. Waits up to a second until the peer has taken
    /// what was sent (not from a callback, and not while another thread is closing it already).
    /// Packets that had arrived stay readable.
    pub fn close(&self) {
        self.inner.close();
    }
}

/// The role, id and socket: `slave id 0 on /run/vpp/memif.sock`.
impl fmt::Display for Memif {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.inner.label)
    }
}

impl fmt::Debug for Memif {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memif")
            .field("config", &self.inner.config)
            .field("link_up", &self.is_link_up())
            .finish()
    }
}

/// Why an attempt to connect failed.
///
/// ```
/// use memif::{Context, ErrorKind, MemifConfig};
/// use std::time::Duration;
///
/// let context = Context::new("doc")?;
/// let slave = context.create_interface(MemifConfig::new("/nonexistent/memif.sock"))?;
/// assert!(!slave.wait_link_up(Some(Duration::ZERO))?);
/// assert_eq!(slave.last_failure().map(|f| f.kind), Some(ErrorKind::NotFound));
/// # Ok::<(), memif::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectFailure {
    /// What kind of failure.
    pub kind: ErrorKind,
    /// Whether the peer refused by its own word, as against nobody being there.
    pub refused: bool,
    /// The reason in words; the peer's, when it refused.
    pub reason: String,
}

#[derive(Debug, Default)]
struct Status {
    up: bool,
    /// Why the last link ended.
    last_disconnect: String,
    failure: Option<ConnectFailure>,
    /// A refusal that no waiter has seen.
    refusal: Option<Error>,
}

/// What a `Memif`, its queues and its handles share. The last one deletes the interface.
pub(crate) struct Inner {
    pub(crate) config: MemifConfig,
    control: Arc<Control>,
    conn: OnceLock<Conn>,
    label: String,
    pub(crate) counters: Counters,
    status: Mutex<Status>,
    changed: Condvar,
    /// How long waiting spins on each receive queue, in nanoseconds.
    spins: Vec<AtomicU64>,
    bells: Mutex<Vec<Weak<Bell>>>,
    /// As `changed`, for those who wait in a runtime.
    #[cfg(feature = "tokio")]
    notify: tokio::sync::Notify,
    closed: AtomicBool,
}

impl Inner {
    pub(crate) fn create(control: Arc<Control>, config: MemifConfig) -> Result<Arc<Self>, Error> {
        let args = ConnArgs {
            is_master: config.role == Role::Master,
            id: config.id,
            mode: config.mode.number(),
            name: config.name.clone(),
            secret: config.secret.clone(),
            rx_queues: config.rx_queues.min(255) as u8,
            tx_queues: config.tx_queues.min(255) as u8,
            buffer_size: config.buffer_size,
            log2_ring_size: config.log2_ring_size,
            allow_unsealed: config.allow_unsealed,
        };
        let socket = control.socket_args(&config.socket);
        let label = format!("{} id {} on {}", config.role, config.id, config.socket);
        let inner = Arc::new(Self {
            counters: Counters::new(config.rx_queues, config.tx_queues),
            spins: (0..config.rx_queues).map(|_| AtomicU64::new(0)).collect(),
            bells: Mutex::default(),
            config,
            control,
            conn: OnceLock::new(),
            label,
            status: Mutex::default(),
            changed: Condvar::new(),
            #[cfg(feature = "tokio")]
            notify: tokio::sync::Notify::new(),
            closed: AtomicBool::new(false),
        });

        let events = Box::new(Events(Arc::downgrade(&inner)));
        let on_thread = Arc::clone(&inner);
        let result = inner.control.call(move |l| {
            let conn = l.create(&socket, &args, events)?;
            // Set once, here.
            let _ = on_thread.conn.set(conn);
            Ok(())
        });
        match result {
            Some(Ok(())) => Ok(inner),
            Some(Err((code, said))) => {
                let creating = format!("creating {}", inner.label);
                let context = if said.is_empty() {
                    creating
                } else {
                    format!("{creating}: {said}")
                };
                Err(Error::memif(code, context))
            }
            None => Err(inner.error(100, "creating it")),
        }
    }

    /// The interface in the C core; there from creation on.
    #[inline]
    pub(crate) fn conn(&self) -> Result<&Conn, Error> {
        match self.conn.get() {
            Some(conn) => Ok(conn),
            None => Err(Error::Eof(crate::Eof::Closed)),
        }
    }

    #[inline]
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    pub(crate) fn error(&self, code: i32, doing: &str) -> Error {
        Error::memif(code, format!("{}: {doing}", self.label))
    }

    pub(crate) fn close(self: &Arc<Self>) {
        self.close_by(Instant::now() + CLOSE_FLUSH);
    }

    pub(crate) fn close_by(self: &Arc<Self>, deadline: Instant) {
        if self.closed.swap(true, Ordering::AcqRel) {
            return;
        }
        self.flush(deadline);
        let inner = Arc::clone(self);
        self.control.call(move |l| {
            if let Some(conn) = inner.conn.get() {
                l.close(conn);
                (0..inner.config.rx_queues).for_each(|q| conn.rx_wake(q));
            }
        });
        let mut status = lock(&self.status);
        status.up = false;
        drop(status);
        self.tell();
        self.ring(|| None);
    }

    pub(crate) fn set_rx_mode(&self, queue: u16, mode: RxMode) -> Result<(), Error> {
        self.known(queue, self.config.rx_queues, "receive")?;
        let polling = mode != RxMode::Interrupt;
        match self.conn()?.set_polling(queue, polling) {
            0 => {
                self.spins[usize::from(queue)].store(spin_of(mode), Ordering::Relaxed);
                Ok(())
            }
            code => Err(self.error(code, "setting the receive mode")),
        }
    }

    /// Nanoseconds that waiting on this queue spins before it sleeps.
    pub(crate) fn spin(&self, queue: u16) -> u64 {
        self.spins[usize::from(queue)].load(Ordering::Relaxed)
    }

    pub(crate) fn add_bell(&self, bell: &Arc<Bell>) {
        let mut bells = lock(&self.bells);
        bells.retain(|bell| bell.strong_count() > 0);
        bells.push(Arc::downgrade(bell));
    }

    fn ring(&self, error: impl Fn() -> Option<Error>) {
        for bell in lock(&self.bells).iter().filter_map(Weak::upgrade) {
            bell.ring(error());
        }
    }

    /// Wakes who waits for the link.
    fn tell(&self) {
        self.changed.notify_all();
        #[cfg(feature = "tokio")]
        self.notify.notify_waiters();
    }

    /// How waiting for the link ends; `None` while it goes on.
    fn link_known(&self, status: &mut Status) -> Option<Result<(), Error>> {
        if status.up {
            Some(Ok(()))
        } else if self.is_closed() {
            Some(Err(crate::Eof::Closed.into()))
        } else {
            status.refusal.take().map(Err)
        }
    }

    #[cfg(feature = "tokio")]
    pub(crate) async fn link_up(&self) -> Result<(), Error> {
        loop {
            let mut told = std::pin::pin!(self.notify.notified());
            // Before the look, so that nothing is missed between the two.
            told.as_mut().enable();
            if let Some(known) = self.link_known(&mut lock(&self.status)) {
                return known;
            }
            told.await;
        }
    }

    /// Waits until the peer has taken what was sent on all queues; tells how many slots are left.
    fn flush(&self, deadline: Instant) -> usize {
        let Some(conn) = self.conn.get() else {
            return 0;
        };
        // On the control thread other links would have to wait with us.
        if self.control.is_control_thread() {
            return 0;
        }
        let mut tries = 0;
        loop {
            let pending: usize = (0..self.config.tx_queues)
                .map(|q| conn.tx_pending(q))
                .filter(|(_, err)| *err == 0)
                .map(|(slots, _)| usize::from(slots))
                .sum();
            if pending == 0 {
                return pending;
            }
            if Instant::now() >= deadline {
                log::warn!(
                    "{}: closed before the peer took the last {pending} slots",
                    self.label
                );
                return pending;
            }
            back_off(&mut tries);
        }
    }

    pub(crate) fn take_rx(&self, queue: u16) -> Result<RxEnd, Error> {
        self.known(queue, self.config.rx_queues, "receive")?;
        let end = self.conn()?.take_rx(queue);
        end.ok_or_else(|| self.owned(queue, "receive"))
    }

    pub(crate) fn take_tx(&self, queue: u16) -> Result<TxEnd, Error> {
        self.known(queue, self.config.tx_queues, "transmit")?;
        let end = self.conn()?.take_tx(queue);
        end.ok_or_else(|| self.owned(queue, "transmit"))
    }

    fn known(&self, queue: u16, count: u16, direction: &str) -> Result<(), Error> {
        if queue < count {
            return Ok(());
        }
        let doing = format!("{direction} queue {queue}, of {count}");
        Err(self.error(ErrorKind::UnknownQueue.code(), &doing))
    }

    fn owned(&self, queue: u16, direction: &str) -> Error {
        Error::Memif {
            kind: ErrorKind::Exists,
            context: format!(
                "{}: {direction} queue {queue} has an owner already",
                self.label
            ),
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if !self.closed.swap(true, Ordering::AcqRel) {
            self.flush(Instant::now() + CLOSE_FLUSH);
        }
        if let Some(conn) = self.conn.take() {
            // Posted also from the control thread itself: a callback may be running.
            self.control.post(move |l| l.delete(conn));
        }
    }
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.label)
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

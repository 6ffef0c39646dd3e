//! What an interface, its queues and its handles share: the state of the link, and the control
//! thread that makes it.

pub(crate) mod back_off;
pub(crate) mod bell;
pub(crate) mod control;
pub(crate) mod counters;
mod life;
mod linger;
pub(crate) mod rx_mode;
pub(crate) mod status;
pub(crate) mod taken;

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use self::back_off::back_off;
use self::bell::Bell;
use self::control::{Control, lock};
use self::counters::Counters;
use self::rx_mode::RxMode;
use self::status::{ConnectFailure, Status};
use crate::config::{Role, Settings};
use crate::error::{Eof, Error, ErrorKind};
use crate::ffi::{Conn, ConnDetails, RxEnd, TxEnd};
use crate::stats::MemifStats;

/// How long closing waits for the peer to read what was sent.
pub(crate) const CLOSE_FLUSH: Duration = Duration::from_secs(1);

/// Receives the events of a link, on the control thread.
pub(crate) trait Listener: Send + Sync {
    fn went_up(&self, link: &Arc<Link>);
    fn went_down(&self, link: &Arc<Link>);
}

/// What a `Memif`, its queues and its handles share. Dropping the last of them deletes the
/// interface.
pub(crate) struct Link {
    pub(crate) config: Settings,
    listener: Box<dyn Listener>,
    control: Arc<Control>,
    conn: OnceLock<Conn>,
    label: String,
    pub(crate) counters: Counters,
    status: Mutex<Status>,
    changed: Condvar,
    /// How long a wait on each receive queue spins, in nanoseconds.
    spins: Vec<AtomicU64>,
    bells: Mutex<Vec<Weak<Bell>>>,
    /// Like `changed`, for tasks of a tokio runtime.
    #[cfg(feature = "tokio")]
    notify: tokio::sync::Notify,
    closed: AtomicBool,
}

impl Link {
    /// The interface in the C core. It exists from creation on.
    #[inline]
    pub(crate) fn conn(&self) -> Result<&Conn, Error> {
        match self.conn.get() {
            Some(conn) => Ok(conn),
            None => Err(Error::Eof(Eof::Closed)),
        }
    }

    #[inline]
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// The role, id and socket.
    pub(crate) fn label(&self) -> &str {
        &self.label
    }

    pub(crate) fn error(&self, kind: ErrorKind, doing: &str) -> Error {
        Error::memif(kind, format!("{}: {doing}", self.label))
    }

    /// By a number of the C core's.
    pub(crate) fn core_error(&self, code: i32, doing: &str) -> Error {
        self.error(ErrorKind::from_code(code), doing)
    }

    pub(crate) fn set_rx_mode(&self, queue: u8, mode: RxMode) -> Result<(), Error> {
        self.known(queue, self.config.rx_queues(), "receive")?;
        let polling = mode != RxMode::Interrupt;
        match self.conn()?.set_polling(queue, polling) {
            0 => {
                self.spins[usize::from(queue)].store(mode.spin(), Ordering::Relaxed);
                Ok(())
            }
            code => Err(self.core_error(code, "setting the receive mode")),
        }
    }

    /// How many nanoseconds a wait on this queue spins before it sleeps.
    pub(crate) fn spin(&self, queue: u8) -> u64 {
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

    /// Wakes everybody who waits for the link.
    fn tell(&self) {
        self.changed.notify_all();
        #[cfg(feature = "tokio")]
        self.notify.notify_waiters();
    }

    /// The end of file for a link that is down: `LinkDown`, or `Closed` if the interface is closed.
    pub(crate) fn why_down(&self) -> Error {
        if self.is_closed() {
            Eof::Closed.into()
        } else {
            Eof::LinkDown.into()
        }
    }

    pub(crate) fn is_up(&self) -> bool {
        lock(&self.status).up
    }

    pub(crate) fn last_failure(&self) -> Option<ConnectFailure> {
        lock(&self.status).failure.clone()
    }

    pub(crate) fn last_disconnect(&self) -> String {
        lock(&self.status).last_disconnect.clone()
    }

    /// How many receive and transmit queues the present link has; none when it is down.
    pub(crate) fn queues(&self) -> (u8, u8) {
        let (rx, tx) = self.conn.get().map_or((0, 0), Conn::link_queues);
        let count = |n| u8::try_from(n).unwrap_or(u8::MAX);
        (count(rx), count(tx))
    }

    pub(crate) fn stats(&self) -> MemifStats {
        let mut stats = self.counters.snapshot(self.is_up());
        if let Some(conn) = self.conn.get() {
            for queue in &mut stats.rx_queues {
                queue.overrun_slots = conn.rx_overrun(queue.id);
                queue.ring_full = conn.rx_full(queue.id);
            }
        }
        stats
    }

    pub(crate) fn app_name(&self) -> &str {
        self.control.app_name()
    }

    /// The details, as read by the control thread. Waits for it.
    pub(crate) fn details(self: &Arc<Self>) -> Result<ConnDetails, Error> {
        let link = Arc::clone(self);
        let result = self
            .control
            .call(move |l| link.conn.get().map(|conn| l.details(conn)))
            .flatten();
        match result {
            Some(Ok(details)) => Ok(details),
            Some(Err(code)) => Err(self.core_error(code, "reading the details")),
            None => Err(self.error(ErrorKind::NotInitialised, "reading the details")),
        }
    }

    /// Blocks until it is up. `None`: no limit.
    pub(crate) fn wait_up(&self, timeout: Option<Duration>) -> Result<(), Error> {
        let deadline = timeout.and_then(|t| Instant::now().checked_add(t));
        let mut status = lock(&self.status);
        let first = status.first_refusal(self.control.tries_again());
        loop {
            if let Some(known) = self.link_known(&mut status, first) {
                return known;
            }
            let left = deadline.map(|d| d.saturating_duration_since(Instant::now()));
            status = match left {
                Some(left) if left.is_zero() => return Err(Error::TimedOut),
                _ if self.control.is_control_thread() => {
                    let doing = "waiting for the link in a callback, on the thread that makes it";
                    return Err(self.error(ErrorKind::Again, doing));
                }
                Some(left) => {
                    let waited = self.changed.wait_timeout(status, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
                None => {
                    let waited = self.changed.wait(status);
                    waited.unwrap_or_else(PoisonError::into_inner)
                }
            };
        }
    }

    /// Of a master: until the slave has offered its first buffers, but not for long.
    pub(crate) fn await_offers(&self, timeout: Option<Duration>) {
        const LONG: Duration = Duration::from_millis(20);
        let longest = timeout.map_or(LONG, |timeout| timeout.min(LONG));
        let Some(conn) = self.conn.get() else {
            return;
        };
        if self.config.role != Role::Master || self.control.is_control_thread() {
            return;
        }
        let (start, mut tries) = (Instant::now(), 0);
        while self.is_up() && !conn.tx_offered(0) && start.elapsed() < longest {
            back_off(&mut tries);
        }
    }

    /// How waiting for the link ends; `None` while it goes on. Of refusals those count that have
    /// this number or a later one.
    fn link_known(&self, status: &mut Status, first: u64) -> Option<Result<(), Error>> {
        if status.up {
            Some(Ok(()))
        } else if self.is_closed() {
            Some(Err(Eof::Closed.into()))
        } else {
            status.tell_refusal(first).map(Err)
        }
    }

    /// As [`wait_up`](Self::wait_up), in a runtime.
    #[cfg(feature = "tokio")]
    pub(crate) async fn until_up(&self) -> Result<(), Error> {
        let first = lock(&self.status).first_refusal(self.control.tries_again());
        loop {
            let mut told = std::pin::pin!(self.notify.notified());
            // Before the look, so that nothing is missed between the two.
            told.as_mut().enable();
            if let Some(known) = self.link_known(&mut lock(&self.status), first) {
                return known;
            }
            told.await;
        }
    }

    pub(crate) fn take_rx(&self, queue: u8) -> Result<RxEnd, Error> {
        self.known(queue, self.config.rx_queues(), "receive")?;
        let end = self.conn()?.take_rx(queue);
        end.ok_or_else(|| self.owned(queue, "receive"))
    }

    pub(crate) fn take_tx(&self, queue: u8) -> Result<TxEnd, Error> {
        self.known(queue, self.config.tx_queues(), "transmit")?;
        let end = self.conn()?.take_tx(queue);
        end.ok_or_else(|| self.owned(queue, "transmit"))
    }

    fn known(&self, queue: u8, count: u8, direction: &str) -> Result<(), Error> {
        if queue < count {
            return Ok(());
        }
        let doing = format!("{direction} queue {queue}, of {count}");
        Err(self.error(ErrorKind::UnknownQueue, &doing))
    }

    fn owned(&self, queue: u8, direction: &str) -> Error {
        let doing = format!("{direction} queue {queue} has an owner already");
        self.error(ErrorKind::Exists, &doing)
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.label)
    }
}

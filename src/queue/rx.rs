//! Receiving.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::burst::Burst;
use super::wait::Wait;
use crate::error::Error;
use crate::ffi::code::{DISCONNECTED, SUCCESS};
use crate::ffi::{QueueState, RxEnd, WaitOutcome};
use crate::link::Link;
use crate::link::rx_mode::{RxMode, nanos};

/// A receive queue. One owner at a time; it may move to another thread.
///
/// ```
/// # use memif::{Context, MemifConfig, Role, Wait};
/// # use std::time::Duration;
/// # let context = Context::new("doc")?;
/// # let socket = format!("@memif-doc-rxqueue-{}", std::process::id());
/// # let master = context.create_interface(MemifConfig::new(&socket).role(Role::Master))?;
/// # let slave = context.create_interface(MemifConfig::new(&socket))?;
/// # slave.wait_link_up(None)?;
/// # slave.tx_queue(0)?.tx_burst(&[b"one", b"two"])?;
/// # master.wait_link_up(None)?;
/// use memif::Burst;
///
/// let mut queue = master.rx_queue(0)?;
/// let mut burst = Burst::new(32);
/// if queue.wait(Some(Duration::from_secs(1)))? == Wait::Ready {
///     queue.rx_burst(&mut burst)?;
///     for packet in &burst {
///         println!("{} bytes", packet.len());
///     }
/// }
/// # assert_eq!(burst.len(), 2);
/// # Ok::<(), memif::Error>(())
/// ```
#[derive(Debug)]
pub struct RxQueue {
    link: Arc<Link>,
    id: u16,
    end: RxEnd,
}

impl RxQueue {
    pub(crate) fn new(link: Arc<Link>, id: u16, end: RxEnd) -> Self {
        let mut queue = Self { link, id, end };
        // Whatever the former owner chose.
        if let Err(e) = queue.set_rx_mode(RxMode::Interrupt) {
            log::warn!("{e}");
        }
        queue
    }

    /// The queue id.
    pub fn id(&self) -> u16 {
        self.id
    }

    /// Takes what is waiting, at most as much as the burst holds; what the
    /// burst held before is gone. Never blocks. Returns the number of packets: 0
    /// when none is waiting, often fewer than there is room for.
    ///
    /// # Errors
    ///
    /// [`Error::Eof`] with [`Eof::LinkDown`](crate::Eof::LinkDown) or [`Eof::Closed`](crate::Eof::Closed) when the link
    /// is down, or closed, and all that had arrived was read;
    /// [`ErrorKind::MalformedMessage`](crate::ErrorKind::MalformedMessage)
    /// once when the peer broke the protocol: the link goes down.
    #[inline]
    pub fn rx_burst(&mut self, burst: &mut Burst) -> Result<usize, Error> {
        burst.clear();
        let (count, err) = self.link.conn()?.rx_burst(
            &mut self.end,
            &mut burst.arena,
            burst.snaplen,
            &mut burst.records,
        );
        if err != SUCCESS {
            return Err(self.receive_error(err));
        }
        burst.filled = usize::from(count);
        if count > 0 {
            let bytes = match &burst.records[..burst.filled] {
                [one] => one.length.into(),
                many => many.iter().map(|p| u64::from(p.length)).sum(),
            };
            self.link.counters.rx[usize::from(self.id)].passed(burst.filled, bytes);
        }
        burst.interface_index = self.link.config.id;
        Ok(burst.filled)
    }

    #[cold]
    fn receive_error(&self, err: i32) -> Error {
        if err == DISCONNECTED {
            return self.link.why_down();
        }
        let doing = format!("receiving on queue {}", self.id);
        self.link.error(err, &doing)
    }

    /// Waits until a packet can be read. `None`: no limit. What it costs is up to the [`RxMode`].
    ///
    /// # Errors
    ///
    /// [`Error::Memif`] when the system refuses to wait.
    pub fn wait(&mut self, timeout: Option<Duration>) -> Result<Wait, Error> {
        self.wait_while(timeout, false, || false)
    }

    /// As [`wait`](Self::wait), but a link that is down is waited out, and
    /// `stop` is looked at whenever somebody wakes the queue.
    pub(crate) fn wait_while(
        &mut self,
        timeout: Option<Duration>,
        through_down: bool,
        stop: impl Fn() -> bool,
    ) -> Result<Wait, Error> {
        let deadline = timeout.and_then(|t| Instant::now().checked_add(t));
        loop {
            if stop() {
                return Ok(Wait::Closed);
            }
            let conn = self.link.conn()?;
            let closed = self.link.is_closed();
            if closed && conn.rx_state(self.id) == QueueState::Gone {
                return Ok(Wait::Closed);
            }
            let left = match deadline {
                Some(deadline) => nanos(deadline.saturating_duration_since(Instant::now())),
                None => u64::MAX,
            };
            let spin = self.link.spin(self.id);
            match conn.rx_wait(&mut self.end, left, spin, through_down && !closed) {
                Ok(WaitOutcome::Ready) => return Ok(Wait::Ready),
                Ok(WaitOutcome::TimedOut) => return Ok(Wait::TimedOut),
                // Closing takes the link down too; the loop's start tells them apart.
                Ok(WaitOutcome::LinkDown) if self.link.is_closed() => {}
                Ok(WaitOutcome::LinkDown) => return Ok(Wait::LinkDown),
                Ok(WaitOutcome::Woken) => {}
                Err(code) => {
                    let doing = format!("waiting on queue {}", self.id);
                    return Err(self.link.error(code, &doing));
                }
            }
        }
    }

    /// How to wait. Holds over reconnects; on a closed interface it does nothing.
    ///
    /// # Errors
    ///
    /// [`Error::Memif`] when libmemif refuses, of which no case is known.
    pub fn set_rx_mode(&mut self, mode: RxMode) -> Result<(), Error> {
        self.link.set_rx_mode(self.id, mode)
    }
}

/// A descriptor for a poll loop of one's own, the same over reconnects. In
/// interrupt mode it becomes readable when packets have arrived, and when the
/// link goes up or down; then [`rx_burst`](RxQueue::rx_burst) is to be called
/// until it returns 0 or an end of file. That holds for level-triggered polling (`poll`) and
/// edge-triggered polling (mio, tokio) alike. The descriptor is the library's: it is not to be
/// read or closed.
///
/// With mio:
///
/// ```
/// use std::os::fd::{AsFd, AsRawFd};
///
/// use memif::Burst;
/// use mio::unix::SourceFd;
/// use mio::{Events, Interest, Poll, Token};
///
/// # use memif::{Context, MemifConfig, Role};
/// # let context = Context::new("doc")?;
/// # let socket = format!("@memif-doc-mio-{}", std::process::id());
/// # let master = context.create_interface(MemifConfig::new(&socket).role(Role::Master))?;
/// # let slave = context.create_interface(MemifConfig::new(&socket))?;
/// # slave.wait_link_up(None)?;
/// # master.wait_link_up(None)?;
/// let mut queue = master.rx_queue(0)?;
/// let mut poll = Poll::new()?;
/// let fd = queue.as_fd().as_raw_fd();
/// poll.registry().register(&mut SourceFd(&fd), Token(0), Interest::READABLE)?;
/// # slave.tx_queue(0)?.tx_burst(&[b"one", b"two"])?;
///
/// let mut events = Events::with_capacity(8);
/// let mut burst = Burst::new(64);
/// let mut received = 0;
/// while received < 2 {
///     poll.poll(&mut events, None)?;
///     loop {
///         match queue.rx_burst(&mut burst) {
///             Ok(0) => break, // wait for the next event
///             Ok(count) => received += count,
///             Err(e) if e.is_eof() => break, // down, or closed: the next event tells when it is up
///             Err(e) => return Err(e.into()),
///         }
///     }
/// }
/// // Before the queue is dropped.
/// poll.registry().deregister(&mut SourceFd(&fd))?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
impl AsFd for RxQueue {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.link
            .conn()
            .ok()
            .and_then(|conn| conn.rx_fd(self.id))
            .expect("a receive queue has its descriptor from creation on")
    }
}

impl Drop for RxQueue {
    fn drop(&mut self) {
        if let Ok(conn) = self.link.conn() {
            conn.give_back_rx(&mut self.end);
        }
    }
}

//! Receives packets.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::burst::Burst;
use super::closer::Closer;
use super::wait::Wait;
use crate::error::{Eof, Error};
use crate::ffi::code::{DISCONNECTED, NOBUF, SUCCESS};
use crate::ffi::{Lent, QueueState, RxEnd, WaitOutcome};
use crate::link::Link;
use crate::link::counters::QueueCounters;
use crate::link::rx_mode::{RxMode, nanos};

/// A receive queue. It has one owner at a time and can be moved to another thread.
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
    counters: Arc<QueueCounters>,
    id: u8,
    end: RxEnd,
    closer: Closer,
    lent: Lending,
}

/// The buffers that views look at.
#[derive(Debug, Default)]
struct Lending {
    bufs: Vec<Lent>,
    /// So many of these are lent, in the memory with this number.
    count: u16,
    link: u32,
}

impl RxQueue {
    pub(crate) fn new(link: Arc<Link>, id: u8, end: RxEnd) -> Result<Self, Error> {
        let closer = Closer::new(&link, id);
        let mut queue = Self {
            counters: link.counters.of_rx(id),
            link,
            id,
            end,
            closer,
            lent: Lending::default(),
        };
        queue.link.conn()?.rx_prepare(id).map_err(|e| {
            let doing = format!("{:?}: opening receive queue {id}", queue.link);
            Error::io(doing, e)
        })?;
        // A former owner may have chosen another mode.
        if let Err(e) = queue.set_rx_mode(RxMode::Interrupt) {
            log::warn!("{e}");
        }
        Ok(queue)
    }

    /// The queue id.
    pub fn id(&self) -> u8 {
        self.id
    }

    /// Copies waiting packets into the burst and replaces what it held before. Returns the number
    /// of packets: 0 if none is waiting, and often fewer than there is room for. Never blocks.
    ///
    /// # Errors
    ///
    /// [`Eof::LinkDown`] if the link is down, [`Eof::Closed`] if the interface or the queue is
    /// closed; both only after all packets that had arrived have been read.
    /// [`ErrorKind::MalformedMessage`](crate::ErrorKind::MalformedMessage), once, if the peer broke
    /// the protocol; the link then goes down.
    #[inline]
    pub fn rx_burst(&mut self, burst: &mut Burst) -> Result<usize, Error> {
        self.receive(burst)
    }

    /// As `rx_burst`, without a call for a handle that reads one packet at a time.
    #[inline(always)]
    pub(crate) fn receive(&mut self, burst: &mut Burst) -> Result<usize, Error> {
        burst.clear();
        if self.lent.count > 0 {
            self.return_lent(); // views that were forgotten
        }
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
        if count == 0 {
            if self.closer.is_closed() {
                return Err(Eof::Closed.into());
            }
        } else {
            burst.stamp();
            let bytes = match &burst.records[..burst.filled] {
                [one] => one.length.into(),
                many => many.iter().map(|p| u64::from(p.length)).sum(),
            };
            self.counters.passed(burst.filled, bytes);
        }
        burst.interface_index = self.link.config.id;
        Ok(burst.filled)
    }

    /// Lends what is waiting, of at most `most` buffers; whether that is any.
    pub(super) fn lend(&mut self, most: u16) -> Result<bool, Error> {
        self.return_lent();
        let mut count = usize::from(most.max(1));
        loop {
            if self.lent.bufs.len() < count {
                self.lent.bufs.resize(count, Lent::default());
            }
            let bufs = &mut self.lent.bufs[..count];
            let (lent, link, err) = self.link.conn()?.rx_lend(&mut self.end, bufs);
            match err {
                SUCCESS => {
                    (self.lent.count, self.lent.link) = (lent, link);
                    break;
                }
                // A longer chain; no ring has more slots.
                NOBUF if count < 1 << 15 => count *= 2,
                err => return Err(self.receive_error(err)),
            }
        }
        if self.lent.count == 0 && self.closer.is_closed() {
            return Err(Eof::Closed.into());
        }
        let bytes = self.lent().iter().map(|buf| u64::from(buf.length)).sum();
        let packets = self.lent().iter().filter(|buf| buf.more == 0).count();
        self.counters.passed(packets, bytes);
        Ok(self.lent.count > 0)
    }

    pub(super) fn lent(&self) -> &[Lent] {
        &self.lent.bufs[..self.lent.count.into()]
    }

    pub(super) fn return_lent(&mut self) {
        let count = std::mem::take(&mut self.lent.count);
        if count > 0
            && let Ok(conn) = self.link.conn()
        {
            conn.rx_return(&mut self.end, self.lent.link, count);
        }
    }

    /// Copies bytes of a buffer that is lent; whether its memory is still there.
    pub(super) fn read_lent(&self, buf: &Lent, from: u32, to: &mut [u8]) -> Result<bool, Error> {
        let conn = self.link.conn()?;
        match conn.rx_read(&self.end, self.lent.link, buf, from, to) {
            SUCCESS => Ok(true),
            DISCONNECTED => Ok(false),
            err => Err(self.receive_error(err)),
        }
    }

    pub(super) fn interface_index(&self) -> u32 {
        self.link.config.id
    }

    /// Returns a [`Closer`], which closes this queue from another thread, and wakes it when it
    /// waits.
    pub fn closer(&self) -> Closer {
        self.closer.clone()
    }

    #[cold]
    fn receive_error(&self, err: i32) -> Error {
        if err == DISCONNECTED {
            return self.link.why_down();
        }
        let doing = format!("receiving on queue {}", self.id);
        self.link.core_error(err, &doing)
    }

    /// Blocks until a packet can be read, the link is down and drained, or the interface is closed.
    /// `None` means no timeout. The [`RxMode`] decides whether it spins or sleeps.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`]; [`Error::Memif`] if the system can't wait.
    pub fn wait(&mut self, timeout: Option<Duration>) -> Result<Wait, Error> {
        self.wait_for(timeout, false)
    }

    /// Like [`wait`](Self::wait), but sleeps also while the link is down: it never ends with
    /// [`Wait::LinkDown`].
    ///
    /// # Errors
    ///
    /// As [`wait`](Self::wait).
    pub fn wait_following(&mut self, timeout: Option<Duration>) -> Result<Wait, Error> {
        self.wait_for(timeout, true)
    }

    pub(crate) fn wait_for(
        &mut self,
        timeout: Option<Duration>,
        through_down: bool,
    ) -> Result<Wait, Error> {
        let deadline = timeout.and_then(|t| Instant::now().checked_add(t));
        loop {
            if self.closer.is_closed() {
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
                Ok(WaitOutcome::TimedOut) => return Err(Error::TimedOut),
                // Closing takes the link down too. The start of the loop tells the two apart.
                Ok(WaitOutcome::LinkDown) if self.link.is_closed() => {}
                Ok(WaitOutcome::LinkDown) => return Ok(Wait::LinkDown),
                Ok(WaitOutcome::Woken) => {}
                Err(code) => {
                    let doing = format!("waiting on queue {}", self.id);
                    return Err(self.link.core_error(code, &doing));
                }
            }
        }
    }

    /// Sets how [`wait`](Self::wait) waits. It stays in effect over reconnects, and does nothing on
    /// a closed interface.
    ///
    /// # Errors
    ///
    /// [`Error::Memif`] if the C core refuses; no case is known.
    pub fn set_rx_mode(&mut self, mode: RxMode) -> Result<(), Error> {
        self.link.set_rx_mode(self.id, mode)
    }
}

/// A descriptor for your own poll loop. It stays the same over reconnects. In interrupt mode it
/// becomes readable when packets arrive and when the link goes up or down. Then call
/// [`rx_burst`](RxQueue::rx_burst) until it returns 0 or an end of file. This applies to
/// level-triggered polling (`poll`) and to edge-triggered polling (mio, tokio). The descriptor
/// belongs to the library: do not read or close it.
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
///             Err(e) if e.is_eof() => break, // the next event says when the link is up
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
            .and_then(|conn| conn.rx_fd(self.id).ok())
            .expect("a receive queue has its descriptor from creation on")
    }
}

impl Drop for RxQueue {
    fn drop(&mut self) {
        self.return_lent();
        if let Ok(conn) = self.link.conn() {
            conn.give_back_rx(&mut self.end);
        }
    }
}

//! Queues: bursts of whole packets, copied between the ring and private memory.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::thread;
use std::time::{Duration, Instant};

use crate::ffi::{
    MEMIF_ERR_DISCONNECTED, MEMIF_ERR_INVAL_ARG, MEMIF_ERR_NOBUF_RING, MEMIF_ERR_SUCCESS,
    QueueState, ReceivedPacket, RxEnd, TxEnd, WaitOutcome,
};
use crate::interface::Inner;
use crate::{Eof, Error, Packet};

const SUCCESS: i32 = MEMIF_ERR_SUCCESS as i32;
const NOBUF_RING: i32 = MEMIF_ERR_NOBUF_RING as i32;
const DISCONNECTED: i32 = MEMIF_ERR_DISCONNECTED as i32;
const INVAL_ARG: i32 = MEMIF_ERR_INVAL_ARG as i32;

/// Bytes of a packet that are kept unless a snap length is set, as tcpdump has it.
pub const DEFAULT_SNAPLEN: u32 = 262_144;

/// How a queue's reader learns of packets. Whatever the mode, no system call
/// happens while packets keep coming.
///
/// ```
/// use memif::RxMode;
/// use std::time::Duration;
///
/// assert_eq!(RxMode::default(), RxMode::Interrupt);
/// let adaptive = RxMode::Adaptive { spin: Duration::from_micros(50) };
/// # let _ = adaptive;
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum RxMode {
    /// Waiting sleeps; the peer wakes this side by an eventfd.
    #[default]
    Interrupt,
    /// Waiting spins, a core's whole time; the peer is asked not to interrupt.
    Polling,
    /// Waiting spins for this time and then sleeps.
    Adaptive {
        /// How long to spin.
        spin: Duration,
    },
}

/// How a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// A packet can be read, or there is room to write.
    Ready,
    /// The time is over.
    TimedOut,
    /// The link is down and every packet that had arrived was read.
    LinkDown,
    /// The handle or the interface is closed.
    Closed,
}

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
    inner: Arc<Inner>,
    id: u16,
    end: RxEnd,
    mode: RxMode,
}

impl RxQueue {
    pub(crate) fn new(inner: Arc<Inner>, id: u16, end: RxEnd) -> Self {
        let mut queue = Self {
            inner,
            id,
            end,
            mode: RxMode::Interrupt,
        };
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
    /// [`Error::Eof`] with [`Eof::LinkDown`] or [`Eof::Closed`] when the link
    /// is down, or closed, and all that had arrived was read;
    /// [`ErrorKind::MalformedMessage`](crate::ErrorKind::MalformedMessage)
    /// once when the peer broke the protocol: the link goes down.
    #[inline]
    pub fn rx_burst(&mut self, burst: &mut Burst) -> Result<usize, Error> {
        burst.clear();
        let (count, err) = self.inner.conn()?.rx_burst(
            &mut self.end,
            &mut burst.arena,
            burst.snaplen,
            &mut burst.records,
        );
        if err != SUCCESS {
            return Err(self.receive_error(err));
        }
        burst.filled = usize::from(count);
        burst.interface_index = self.inner.config.id;
        Ok(burst.filled)
    }

    #[cold]
    fn receive_error(&self, err: i32) -> Error {
        if err == DISCONNECTED {
            return down(&self.inner);
        }
        let doing = format!("receiving on queue {}", self.id);
        self.inner.error(err, &doing)
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
            let conn = self.inner.conn()?;
            let closed = self.inner.is_closed();
            if closed && conn.rx_state(self.id) == QueueState::Gone {
                return Ok(Wait::Closed);
            }
            let left = match deadline {
                Some(deadline) => nanos(deadline.saturating_duration_since(Instant::now())),
                None => u64::MAX,
            };
            let spin = match self.mode {
                RxMode::Interrupt => 0,
                RxMode::Polling => u64::MAX,
                RxMode::Adaptive { spin } => nanos(spin),
            };
            match conn.rx_wait(&mut self.end, left, spin, through_down && !closed) {
                Ok(WaitOutcome::Ready) => return Ok(Wait::Ready),
                Ok(WaitOutcome::TimedOut) => return Ok(Wait::TimedOut),
                // Closing takes the link down too; the loop's start tells them apart.
                Ok(WaitOutcome::LinkDown) if self.inner.is_closed() => {}
                Ok(WaitOutcome::LinkDown) => return Ok(Wait::LinkDown),
                Ok(WaitOutcome::Woken) => {}
                Err(code) => {
                    let doing = format!("waiting on queue {}", self.id);
                    return Err(self.inner.error(code, &doing));
                }
            }
        }
    }

    /// How to wait. Holds over reconnects.
    ///
    /// # Errors
    ///
    /// [`Eof::Closed`] when the interface is closed.
    pub fn set_rx_mode(&mut self, mode: RxMode) -> Result<(), Error> {
        let polling = mode != RxMode::Interrupt;
        match self.inner.conn()?.set_polling(self.id, polling) {
            SUCCESS => {
                self.mode = mode;
                Ok(())
            }
            code => Err(self.inner.error(code, "setting the receive mode")),
        }
    }
}

/// A descriptor for a poll loop of one's own, the same over reconnects. In
/// interrupt mode it becomes readable when packets have arrived, and when the
/// link goes up or down; then [`rx_burst`](RxQueue::rx_burst) is to be called
/// until it returns 0 or an end of file.
impl AsFd for RxQueue {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inner
            .conn()
            .ok()
            .and_then(|conn| conn.rx_fd(self.id))
            .expect("a receive queue has its descriptor from creation on")
    }
}

impl Drop for RxQueue {
    fn drop(&mut self) {
        if let Ok(conn) = self.inner.conn() {
            conn.give_back_rx(&mut self.end);
        }
    }
}

/// Private memory for a burst of received packets, to be used again and again.
///
/// ```
/// use memif::Burst;
///
/// let burst = Burst::new(64).with_snaplen(128);
/// assert_eq!((burst.capacity(), burst.len()), (64, 0));
/// ```
pub struct Burst {
    arena: Vec<u8>,
    records: Vec<ReceivedPacket>,
    filled: usize,
    snaplen: u32,
    /// When it was taken; 0 until somebody asks.
    timestamp: AtomicU64,
    interface_index: u32,
}

impl Burst {
    /// Room for up to `count` packets, at least 1.
    pub fn new(count: u16) -> Self {
        let count = usize::from(count.max(1));
        let none = ReceivedPacket {
            offset: 0,
            captured: 0,
            length: 0,
        };
        Self {
            arena: Vec::new(),
            records: vec![none; count],
            filled: 0,
            snaplen: 0,
            timestamp: AtomicU64::new(0),
            interface_index: 0,
        }
        .with_snaplen(DEFAULT_SNAPLEN)
    }

    /// Keeps at most this many bytes of a packet; 0 means [`DEFAULT_SNAPLEN`].
    pub fn with_snaplen(mut self, bytes: u32) -> Self {
        // A gigabyte: what nobody means, and what the arena's offsets bear.
        const MOST: u32 = 1 << 30;
        let usual = self.records.len() * 2048;
        self.snaplen = if bytes == 0 {
            DEFAULT_SNAPLEN
        } else {
            bytes.min(MOST)
        };
        // Whole packets fit at least one at a time; small ones lie packed at the start.
        self.arena = vec![0; usual.max(self.snaplen as usize)];
        self.clear();
        self
    }

    /// How many packets it can hold.
    pub fn capacity(&self) -> usize {
        self.records.len()
    }

    /// How many packets it holds.
    pub fn len(&self) -> usize {
        self.filled
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.filled == 0
    }

    /// The packet with this number, from 0.
    #[inline]
    pub fn get(&self, index: usize) -> Option<Packet<'_>> {
        let record = self.records[..self.filled].get(index)?;
        let start = record.offset as usize;
        let captured = record.captured as usize;
        let data = self.arena.get(start..start + captured)?;
        Some(Packet::received(
            data,
            record.length as usize,
            self.interface_index,
            &self.timestamp,
        ))
    }

    /// Its packets, in the order of their arrival.
    pub fn iter(&self) -> BurstIter<'_> {
        BurstIter {
            burst: self,
            next: 0,
        }
    }

    /// The snap length, in bytes.
    pub fn snaplen(&self) -> u32 {
        self.snaplen
    }

    #[inline]
    pub(crate) fn clear(&mut self) {
        self.filled = 0;
        *self.timestamp.get_mut() = 0;
    }
}

impl<'a> IntoIterator for &'a Burst {
    type Item = Packet<'a>;
    type IntoIter = BurstIter<'a>;

    fn into_iter(self) -> BurstIter<'a> {
        self.iter()
    }
}

/// The packets of a [`Burst`].
#[derive(Clone, Debug)]
pub struct BurstIter<'a> {
    burst: &'a Burst,
    next: usize,
}

impl<'a> Iterator for BurstIter<'a> {
    type Item = Packet<'a>;

    fn next(&mut self) -> Option<Packet<'a>> {
        let packet = self.burst.get(self.next)?;
        self.next += 1;
        Some(packet)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.burst.filled - self.next;
        (left, Some(left))
    }
}

impl ExactSizeIterator for BurstIter<'_> {}

impl std::fmt::Debug for Burst {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Burst")
            .field("len", &self.filled)
            .field("capacity", &self.records.len())
            .field("snaplen", &self.snaplen)
            .finish()
    }
}

/// A transmit queue. One owner at a time; it may move to another thread.
///
/// ```
/// # use memif::{Context, MemifConfig, Role};
/// # use std::time::Duration;
/// # let context = Context::new("doc")?;
/// # let socket = format!("@memif-doc-txqueue-{}", std::process::id());
/// # let master = context.create_interface(MemifConfig::new(&socket).role(Role::Master))?;
/// # let slave = context.create_interface(MemifConfig::new(&socket))?;
/// # slave.wait_link_up(None)?;
/// let mut queue = slave.tx_queue(0)?;
/// let sent = queue.tx_burst(&[&b"one packet"[..], b"and another"])?;
/// assert_eq!(sent, 2);
/// # Ok::<(), memif::Error>(())
/// ```
#[derive(Debug)]
pub struct TxQueue {
    inner: Arc<Inner>,
    id: u16,
    end: TxEnd,
}

impl TxQueue {
    pub(crate) fn new(inner: Arc<Inner>, id: u16, end: TxEnd) -> Self {
        Self { inner, id, end }
    }

    /// The queue id.
    pub fn id(&self) -> u16 {
        self.id
    }

    /// Sends packets, in order, each whole: as a chain where it exceeds a
    /// buffer. Never blocks. Returns how many were sent: fewer when the ring is full, 0 included.
    ///
    /// # Errors
    ///
    /// [`Eof::LinkDown`], [`Eof::Closed`]: none was sent.
    /// [`Error::Config`] when the first packet is empty, or larger than the
    /// whole ring; such a packet further on ends the burst before it.
    /// [`ErrorKind::MalformedMessage`](crate::ErrorKind::MalformedMessage) once
    /// when the peer broke the protocol: the link goes down.
    #[inline]
    pub fn tx_burst<T: AsRef<[u8]>>(&mut self, packets: &[T]) -> Result<usize, Error> {
        if self.inner.is_closed() {
            return Err(Eof::Closed.into());
        }
        let conn = self.inner.conn()?;
        let (sent, err) = match packets {
            [one] => conn.tx_one(&mut self.end, one.as_ref()),
            _ => conn.tx_burst(&mut self.end, packets),
        };
        let sent = usize::from(sent);
        if err == SUCCESS || err == NOBUF_RING || sent > 0 {
            return Ok(sent);
        }
        Err(self.send_error(err, packets.first().map_or(0, |p| p.as_ref().len())))
    }

    #[cold]
    fn send_error(&self, err: i32, length: usize) -> Error {
        match err {
            DISCONNECTED => down(&self.inner),
            INVAL_ARG => self.unsendable(length),
            err => {
                let doing = format!("sending on queue {}", self.id);
                self.inner.error(err, &doing)
            }
        }
    }

    /// Free slots of the ring; a packet takes one for every buffer it fills.
    ///
    /// # Errors
    ///
    /// [`Eof::LinkDown`], [`Eof::Closed`].
    pub fn free_slots(&mut self) -> Result<usize, Error> {
        let free = self.inner.conn()?.tx_free(&mut self.end);
        self.slots(free)
    }

    /// Slots that the peer has not taken yet. A master sees only that the
    /// slave offers buffers again, which some slaves do late.
    ///
    /// # Errors
    ///
    /// [`Eof::LinkDown`], [`Eof::Closed`].
    pub fn pending_slots(&self) -> Result<usize, Error> {
        match self.inner.conn()?.tx_pending(self.id) {
            (slots, SUCCESS) => Ok(slots.into()),
            (_, err) => self.slots(Err(err)),
        }
    }

    /// Waits until the peer has taken everything, backing off up to 50 µs at a
    /// time: `true`; `false` when the time is over. A peer that left after it
    /// had taken everything is a success.
    ///
    /// # Errors
    ///
    /// [`Eof::LinkDown`], [`Eof::Closed`]: the link went down, and what the peer had not taken
    /// may be lost.
    pub fn flush(&mut self, timeout: Duration) -> Result<bool, Error> {
        let mut down = None;
        let taken = self.retry(
            Some(timeout),
            || false,
            |queue| match queue.inner.conn()?.tx_pending(queue.id) {
                (0, SUCCESS | DISCONNECTED) => Ok(Some(())),
                (_, SUCCESS) => Ok(None),
                (_, err) => {
                    down = queue.slots(Err(err)).err();
                    Ok(Some(()))
                }
            },
        )?;
        down.map_or(Ok(taken == Wait::Ready), Err)
    }

    /// Waits until a slot is free, backing off up to 50 µs at a time: there is
    /// no event for free space. `None`: no limit.
    ///
    /// # Errors
    ///
    /// [`Error::Memif`] when the peer broke the protocol.
    pub fn wait_writable(&mut self, timeout: Option<Duration>) -> Result<Wait, Error> {
        self.retry(
            timeout,
            || false,
            |queue| Ok((queue.free_slots()? > 0).then_some(())),
        )
    }

    /// Tries again and again, until it works, the time is over or `stop` says so.
    pub(crate) fn retry(
        &mut self,
        timeout: Option<Duration>,
        stop: impl Fn() -> bool,
        mut attempt: impl FnMut(&mut Self) -> Result<Option<()>, Error>,
    ) -> Result<Wait, Error> {
        let mut deadline = None;
        let mut tries = 0;
        loop {
            if stop() {
                return Ok(Wait::Closed);
            }
            match attempt(self) {
                Ok(Some(())) => return Ok(Wait::Ready),
                Ok(None) => {}
                Err(Error::Eof(Eof::LinkDown)) => return Ok(Wait::LinkDown),
                Err(Error::Eof(Eof::Closed)) => return Ok(Wait::Closed),
                Err(e) => return Err(e),
            }
            if let Some(timeout) = timeout {
                let now = Instant::now();
                let end = *deadline.get_or_insert_with(|| now.checked_add(timeout));
                if end.is_some_and(|end| now >= end) {
                    return Ok(Wait::TimedOut);
                }
            }
            back_off(&mut tries);
        }
    }

    #[cfg(feature = "smoltcp")]
    pub(crate) fn is_up(&mut self) -> bool {
        let conn = self.inner.conn();
        conn.is_ok_and(|conn| conn.tx_free(&mut self.end) != Err(DISCONNECTED))
    }

    fn slots(&self, result: Result<u16, i32>) -> Result<usize, Error> {
        match result {
            Ok(slots) => Ok(slots.into()),
            Err(DISCONNECTED) => Err(down(&self.inner)),
            Err(code) => {
                let doing = format!("looking at transmit queue {}", self.id);
                Err(self.inner.error(code, &doing))
            }
        }
    }

    fn unsendable(&self, length: usize) -> Error {
        Error::config(
            "packet",
            if length == 0 {
                "it is empty; a packet has at least 1 byte".into()
            } else {
                format!("it has {length} bytes, more than the whole transmit ring")
            },
        )
    }
}

impl Drop for TxQueue {
    fn drop(&mut self) {
        if let Ok(conn) = self.inner.conn() {
            conn.give_back_tx(&mut self.end);
        }
    }
}

/// Spins, then yields, then sleeps 50 µs: nothing tells of free space.
pub(crate) fn back_off(tries: &mut u32) {
    *tries = tries.saturating_add(1);
    match *tries {
        0..=64 => std::hint::spin_loop(),
        65..=96 => thread::yield_now(),
        _ => thread::sleep(Duration::from_micros(50)),
    }
}

fn down(inner: &Inner) -> Error {
    if inner.is_closed() {
        Eof::Closed.into()
    } else {
        Eof::LinkDown.into()
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

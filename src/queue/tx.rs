//! Sends packets.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::burst::Burst;
use super::wait::Wait;
use crate::config::Role;
use crate::error::{Eof, Error};
use crate::ffi::code::{DISCONNECTED, INVAL_ARG, NOBUF_RING, SUCCESS};
use crate::ffi::{TX_PART, TxEnd};
use crate::link::Link;
use crate::link::back_off::back_off;
use crate::link::counters::QueueCounters;
use crate::link::taken::Taken;

/// A transmit queue. It has one owner at a time and can be moved to another thread.
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
    link: Arc<Link>,
    counters: Arc<QueueCounters>,
    id: u8,
    end: TxEnd,
    taken: Taken,
}

impl TxQueue {
    pub(crate) fn new(link: Arc<Link>, id: u8, end: TxEnd) -> Self {
        Self {
            counters: link.counters.of_tx(id),
            link,
            id,
            end,
            taken: Taken::default(),
        }
    }

    /// The queue id.
    pub fn id(&self) -> u8 {
        self.id
    }

    /// Sends packets in order. A packet that is longer than a buffer is sent as a chain of buffers.
    /// Returns how many packets were sent; if the ring is full these are fewer than given, possibly
    /// 0. Never blocks.
    ///
    /// # Errors
    ///
    /// [`Eof::LinkDown`] or [`Eof::Closed`] if the link is down or the interface closed; nothing
    /// was sent. [`Error::EmptyPacket`] or [`Error::TooLong`] if the first packet is empty or
    /// longer than the whole ring; if a later packet is, the packets before it are sent.
    /// [`ErrorKind::MalformedMessage`](crate::ErrorKind::MalformedMessage), once, if the peer broke
    /// the protocol; the link then goes down.
    #[inline]
    pub fn tx_burst<T: AsRef<[u8]>>(&mut self, packets: &[T]) -> Result<usize, Error> {
        if self.link.is_closed() {
            return Err(Eof::Closed.into());
        }
        let conn = self.link.conn()?;
        let (sent, err, bytes) = match packets {
            [one] => {
                let one = one.as_ref();
                let (sent, err) = conn.tx_one(&mut self.end, one);
                (usize::from(sent), err, one.len() as u64)
            }
            _ => {
                let parts = packets.chunks(TX_PART);
                let parts = parts.map(|part| part.iter().map(AsRef::as_ref));
                let (sent, err) = conn.tx_parts(&mut self.end, parts);
                let sent = usize::from(sent);
                let lengths = packets[..sent].iter().map(|p| p.as_ref().len() as u64);
                (sent, err, lengths.sum())
            }
        };
        let counters = &self.counters;
        if sent > 0 {
            counters.passed(sent, bytes);
            if sent == packets.len() {
                return Ok(sent);
            }
        }
        let first = packets.first().map_or(0, |p| p.as_ref().len());
        self.sent_less(packets.len(), first, sent, err)
    }

    /// Sends the packets of a received burst, from the one with index `first` on, with one copy.
    /// Returns how many packets were sent; if the ring is full these are fewer, possibly 0. Never
    /// blocks.
    ///
    /// # Errors
    ///
    /// As for [`tx_burst`](Self::tx_burst).
    ///
    /// ```
    /// # use memif::{Burst, Context, MemifConfig, Role};
    /// # let context = Context::new("doc")?;
    /// # let socket = format!("@memif-doc-forward-{}", std::process::id());
    /// # let master = context.create_interface(MemifConfig::new(&socket).role(Role::Master))?;
    /// # let slave = context.create_interface(MemifConfig::new(&socket))?;
    /// # slave.wait_link_up(None)?;
    /// # master.wait_link_up(None)?;
    /// # slave.tx_queue(0)?.tx_burst(&[b"one", b"two"])?;
    /// let (mut rx, mut tx) = (master.rx_queue(0)?, master.tx_queue(0)?);
    /// let mut burst = Burst::new(64);
    /// rx.rx_burst(&mut burst)?;
    /// assert_eq!(tx.forward(&burst, 0)?, 2);
    /// # Ok::<(), memif::Error>(())
    /// ```
    pub fn forward(&mut self, burst: &Burst, first: usize) -> Result<usize, Error> {
        if self.link.is_closed() {
            return Err(Eof::Closed.into());
        }
        let left = burst.iter_from(first);
        let count = left.len();
        let parts = (first..first + count).step_by(TX_PART);
        let parts = parts.map(|from| burst.iter_from(from).take(TX_PART).map(|p| p.data()));
        let (sent, err) = self.link.conn()?.tx_parts(&mut self.end, parts);
        let sent = usize::from(sent);
        let bytes = left.clone().take(sent).map(|packet| packet.len() as u64);
        self.counters.passed(sent, bytes.sum());
        let length = left.clone().next().map_or(0, |packet| packet.len());
        self.sent_less(count, length, sent, err)
    }

    /// Handles a burst of which not all packets were sent; the first is so long.
    #[inline(never)]
    fn sent_less(
        &mut self,
        packets: usize,
        first: usize,
        sent: usize,
        err: i32,
    ) -> Result<usize, Error> {
        if sent < packets && (err == SUCCESS || err == NOBUF_RING) {
            self.counters.ring_full();
        }
        if err == SUCCESS || err == NOBUF_RING || sent > 0 {
            return Ok(sent);
        }
        Err(self.send_error(err, first))
    }

    #[cold]
    fn send_error(&mut self, err: i32, length: usize) -> Error {
        match err {
            DISCONNECTED => self.link.why_down(),
            INVAL_ARG => self.unsendable(length),
            err => {
                let doing = format!("sending on queue {}", self.id);
                self.link.core_error(err, &doing)
            }
        }
    }

    /// The number of free slots in the ring. A packet takes one slot for each buffer that it needs.
    /// Never blocks.
    ///
    /// # Errors
    ///
    /// [`Eof::LinkDown`] or [`Eof::Closed`] if the link is down or the interface closed.
    pub fn free_slots(&mut self) -> Result<usize, Error> {
        let free = self.link.conn()?.tx_free(&mut self.end);
        self.slots(free)
    }

    /// The number of slots that the peer has not read yet. A master sees only that the slave offers
    /// its buffers again, which some slaves do late. Never blocks.
    ///
    /// # Errors
    ///
    /// [`Eof::LinkDown`] or [`Eof::Closed`] if the link is down or the interface closed.
    pub fn pending_slots(&self) -> Result<usize, Error> {
        match self.link.conn()?.tx_pending(self.id) {
            (slots, SUCCESS) => Ok(slots.into()),
            (_, err) => self.slots(Err(err)),
        }
    }

    /// Blocks until the peer has read everything. The protocol has no event for this, so it tries
    /// again after pauses of up to 50 µs. If the peer leaves after it has read everything, this is
    /// a success.
    ///
    /// Some slaves offer their buffers again in lots only, as VPP 32 at a time. If fewer are
    /// pending and nothing moves for 100 ms, this is a success, because nobody can know more;
    /// [`pending_slots`](Self::pending_slots) then tells how many could not be confirmed.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`]. [`Eof::LinkDown`] or [`Eof::Closed`] if the link went down or the
    /// interface was closed before. Packets that the peer had not read may be lost.
    pub fn flush(&mut self, timeout: Duration) -> Result<(), Error> {
        let mut down = Ok(());
        let taken = self.retry(
            Some(timeout),
            || false,
            |queue| {
                let conn = queue.link.conn()?;
                match conn.tx_pending(queue.id) {
                    (0, DISCONNECTED) => Ok(Some(())),
                    (slots, SUCCESS) => Ok(queue.taken.all(conn, queue.id, slots).then_some(())),
                    (_, err) => {
                        down = queue.slots(Err(err)).map(drop);
                        Ok(Some(()))
                    }
                }
            },
        )?;
        down.and(taken.ready())
    }

    /// Blocks until a packet of `length` bytes can be sent, the link is down, or the interface is
    /// closed. `None` means no timeout. The protocol has no event for free slots, so it tries again
    /// after pauses of up to 50 µs.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`]. [`Error::EmptyPacket`] or [`Error::TooLong`] if no such packet can ever
    /// be sent. [`Error::Memif`] if the peer broke the protocol.
    pub fn wait_writable(
        &mut self,
        length: usize,
        timeout: Option<Duration>,
    ) -> Result<Wait, Error> {
        self.wait_writable_while(length, timeout, || false)
    }

    pub(crate) fn wait_writable_while(
        &mut self,
        length: usize,
        timeout: Option<Duration>,
        stop: impl Fn() -> bool,
    ) -> Result<Wait, Error> {
        self.retry(timeout, stop, |queue| {
            if queue.link.is_closed() {
                return Err(Eof::Closed.into());
            }
            match queue.link.conn()?.tx_fits(&mut queue.end, length) {
                SUCCESS => Ok(Some(())),
                NOBUF_RING => Ok(None),
                err => Err(queue.send_error(err, length)),
            }
        })
    }

    /// Tries again until `attempt` succeeds, the timeout passes or `stop` returns true.
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
                    return Err(Error::TimedOut);
                }
            }
            back_off(&mut tries);
        }
    }

    #[cfg(feature = "smoltcp")]
    pub(crate) fn is_up(&mut self) -> bool {
        let conn = self.link.conn();
        conn.is_ok_and(|conn| conn.tx_free(&mut self.end) != Err(DISCONNECTED))
    }

    /// The bytes of the largest buffer, and how many buffers there are, if the link has any.
    #[cfg(feature = "smoltcp")]
    pub(crate) fn room(&mut self) -> Option<(usize, usize)> {
        let conn = self.link.conn().ok()?;
        conn.tx_free(&mut self.end).ok()?; // looks at what is offered
        let (size, slots) = conn.tx_room(&mut self.end).ok()?;
        (size > 0 && slots > 0).then_some((size as usize, slots.into()))
    }

    /// How many links there have been.
    #[cfg(feature = "smoltcp")]
    pub(crate) fn links(&self) -> u64 {
        self.link.counters.links()
    }

    fn slots(&self, result: Result<u16, i32>) -> Result<usize, Error> {
        match result {
            Ok(slots) => Ok(slots.into()),
            Err(DISCONNECTED) => Err(self.link.why_down()),
            Err(code) => {
                let doing = format!("looking at transmit queue {}", self.id);
                Err(self.link.core_error(code, &doing))
            }
        }
    }

    #[cold]
    fn unsendable(&mut self, length: usize) -> Error {
        if length == 0 {
            return Error::EmptyPacket;
        }
        let conn = self.link.conn();
        match conn.map(|conn| conn.tx_room(&mut self.end)) {
            Ok(Ok((size, slots))) => Error::TooLong {
                length,
                buffers: slots.into(),
                buffer_size: size as usize,
                offered: self.link.config.role == Role::Master,
            },
            _ => self.link.why_down(),
        }
    }
}

impl Drop for TxQueue {
    fn drop(&mut self) {
        if let Ok(conn) = self.link.conn() {
            conn.give_back_tx(&mut self.end);
        }
    }
}

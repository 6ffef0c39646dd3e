//! Sends packets.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::wait::Wait;
use crate::config::Role;
use crate::error::{Eof, Error};
use crate::ffi::TxEnd;
use crate::ffi::code::{DISCONNECTED, INVAL_ARG, NOBUF_RING, SUCCESS};
use crate::link::Link;
use crate::link::back_off::back_off;
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
    id: u8,
    end: TxEnd,
    taken: Taken,
}

impl TxQueue {
    pub(crate) fn new(link: Arc<Link>, id: u8, end: TxEnd) -> Self {
        Self {
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
    /// was sent. [`Error::Config`] if the first packet is empty or larger than the whole ring; if a
    /// later packet is, the packets before it are sent.
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
                let (sent, err) = conn.tx_burst(&mut self.end, packets);
                let sent = usize::from(sent);
                let lengths = packets[..sent].iter().map(|p| p.as_ref().len() as u64);
                (sent, err, lengths.sum())
            }
        };
        let counters = &self.link.counters.tx[usize::from(self.id)];
        if sent > 0 {
            counters.passed(sent, bytes);
            if sent == packets.len() {
                return Ok(sent);
            }
        }
        self.sent_less(packets, sent, err)
    }

    /// Handles a burst of which not all packets were sent.
    #[inline(never)]
    fn sent_less<T: AsRef<[u8]>>(
        &mut self,
        packets: &[T],
        sent: usize,
        err: i32,
    ) -> Result<usize, Error> {
        if sent < packets.len() && (err == SUCCESS || err == NOBUF_RING) {
            self.link.counters.tx[usize::from(self.id)].ring_full();
        }
        if err == SUCCESS || err == NOBUF_RING || sent > 0 {
            return Ok(sent);
        }
        Err(self.send_error(err, packets.first().map_or(0, |p| p.as_ref().len())))
    }

    #[cold]
    fn send_error(&mut self, err: i32, length: usize) -> Error {
        match err {
            DISCONNECTED => self.link.why_down(),
            INVAL_ARG => self.unsendable(length),
            err => {
                let doing = format!("sending on queue {}", self.id);
                self.link.error(err, &doing)
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

    /// Blocks until the peer has read everything (`true`) or the timeout has passed (`false`). The
    /// protocol has no event for this, so it tries again after pauses of up to 50 µs. If the peer
    /// leaves after it has read everything, this is a success.
    ///
    /// Some slaves offer their buffers again in lots only, as VPP 32 at a time. If fewer are pending
    /// and nothing moves for 100 ms, this is a success, because nobody can know more;
    /// [`pending_slots`](Self::pending_slots) then tells how many could not be confirmed.
    ///
    /// # Errors
    ///
    /// [`Eof::LinkDown`] or [`Eof::Closed`] if the link went down or the interface was closed
    /// before. Packets that the peer had not read may be lost.
    pub fn flush(&mut self, timeout: Duration) -> Result<bool, Error> {
        let mut down = None;
        let taken = self.retry(
            Some(timeout),
            || false,
            |queue| {
                let conn = queue.link.conn()?;
                match conn.tx_pending(queue.id) {
                    (0, DISCONNECTED) => Ok(Some(())),
                    (slots, SUCCESS) => Ok(queue.taken.all(conn, queue.id, slots).then_some(())),
                    (_, err) => {
                        down = queue.slots(Err(err)).err();
                        Ok(Some(()))
                    }
                }
            },
        )?;
        down.map_or(Ok(taken == Wait::Ready), Err)
    }

    /// Blocks until a slot is free, the timeout passes, the link is down, or the interface is
    /// closed. `None` means no timeout. The protocol has no event for free slots, so it tries again
    /// after pauses of up to 50 µs.
    ///
    /// # Errors
    ///
    /// [`Error::Memif`] if the peer broke the protocol.
    pub fn wait_writable(&mut self, timeout: Option<Duration>) -> Result<Wait, Error> {
        self.retry(
            timeout,
            || false,
            |queue| Ok((queue.free_slots()? > 0).then_some(())),
        )
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
                    return Ok(Wait::TimedOut);
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

    fn slots(&self, result: Result<u16, i32>) -> Result<usize, Error> {
        match result {
            Ok(slots) => Ok(slots.into()),
            Err(DISCONNECTED) => Err(self.link.why_down()),
            Err(code) => {
                let doing = format!("looking at transmit queue {}", self.id);
                Err(self.link.error(code, &doing))
            }
        }
    }

    #[cold]
    fn unsendable(&mut self, length: usize) -> Error {
        if length == 0 {
            return Error::config("packet", "it is empty; a packet has at least 1 byte");
        }
        let conn = self.link.conn();
        let (size, slots) = match conn.map(|conn| conn.tx_room(&mut self.end)) {
            Ok(Ok(room)) => room,
            _ => return self.link.why_down(),
        };
        let whose = match self.link.config.role {
            Role::Master => "the peer offers",
            Role::Slave => "the transmit ring has",
        };
        let s = if size == 1 { "" } else { "s" };
        let problem =
            format!("it has {length} bytes, and {whose} {slots} buffers of at most {size} byte{s}");
        Error::config("packet", problem)
    }
}

impl Drop for TxQueue {
    fn drop(&mut self) {
        if let Ok(conn) = self.link.conn() {
            conn.give_back_tx(&mut self.end);
        }
    }
}

//! Sending.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::wait::Wait;
use crate::config::Role;
use crate::error::{Eof, Error};
use crate::ffi::TxEnd;
use crate::ffi::code::{DISCONNECTED, INVAL_ARG, NOBUF_RING, SUCCESS};
use crate::link::Link;
use crate::link::back_off::back_off;

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
    link: Arc<Link>,
    id: u16,
    end: TxEnd,
}

impl TxQueue {
    pub(crate) fn new(link: Arc<Link>, id: u16, end: TxEnd) -> Self {
        Self { link, id, end }
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

    /// What it means that not all were sent.
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

    /// Free slots of the ring; a packet takes one for every buffer it fills.
    ///
    /// # Errors
    ///
    /// [`Eof::LinkDown`], [`Eof::Closed`].
    pub fn free_slots(&mut self) -> Result<usize, Error> {
        let free = self.link.conn()?.tx_free(&mut self.end);
        self.slots(free)
    }

    /// Slots that the peer has not taken yet. A master sees only that the
    /// slave offers buffers again, which some slaves do late.
    ///
    /// # Errors
    ///
    /// [`Eof::LinkDown`], [`Eof::Closed`].
    pub fn pending_slots(&self) -> Result<usize, Error> {
        match self.link.conn()?.tx_pending(self.id) {
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
            |queue| match queue.link.conn()?.tx_pending(queue.id) {
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

//! An interface of the C core, and the calls on its queues.

use std::cell::Cell;
use std::ffi::c_void;
use std::io;
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, RawFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use super::bindings::memif_ext_lent_t as Lent;
use super::bindings::memif_ext_packet_t as ReceivedPacket;
use super::bindings::*;
use super::callbacks::ConnEvents;
use super::code::{INVAL_ARG, QID, SUCCESS};

/// The most packets of a part that is sent.
pub(crate) const TX_PART: usize = 256;

/// A live interface. Its methods may be called from any thread. Methods for the owner of a queue
/// take the queue's end.
#[derive(Debug)]
pub(crate) struct Conn {
    pub(super) ptr: NonNull<c_void>,
    /// The argument of the callbacks. It is owned, and freed by [`super::Loop::delete`].
    pub(super) events: NonNull<Box<dyn ConnEvents>>,
    /// Unique in this process, even after an interface is deleted.
    serial: u64,
    /// The receive queues and transmit queues that have an owner.
    taken: [Mutex<Vec<u8>>; 2],
}

/// The right to receive on a queue; there is one at a time.
#[derive(Debug)]
pub(crate) struct RxEnd {
    serial: u64,
    qid: u8,
    /// Not shared between threads: reading what is lent takes a shared one.
    _one_thread: PhantomData<Cell<()>>,
}

/// The right to send on a queue; there is one at a time.
#[derive(Debug)]
pub(crate) struct TxEnd {
    serial: u64,
    qid: u8,
}

// SAFETY: the pointers are only used for calls that exclude each other (see
// "Queues"), and by the control thread; `ConnEvents` is Send and Sync.
unsafe impl Send for Conn {}
// SAFETY: as for Send.
unsafe impl Sync for Conn {}

/// The state of a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum QueueState {
    Gone,
    Up,
    Draining,
}

/// How a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WaitOutcome {
    Ready,
    TimedOut,
    LinkDown,
    Woken,
}

impl Conn {
    pub(super) fn new(ptr: NonNull<c_void>, events: NonNull<Box<dyn ConnEvents>>) -> Self {
        static SERIAL: AtomicU64 = AtomicU64::new(0);
        Self {
            ptr,
            events,
            serial: SERIAL.fetch_add(1, Ordering::Relaxed),
            taken: Default::default(),
        }
    }

    /// `None` while somebody else has it.
    pub(crate) fn take_rx(&self, qid: u8) -> Option<RxEnd> {
        let serial = self.serial;
        take(&self.taken[0], qid).then_some(RxEnd {
            serial,
            qid,
            _one_thread: PhantomData,
        })
    }

    /// `None` while somebody else has it.
    pub(crate) fn take_tx(&self, qid: u8) -> Option<TxEnd> {
        let serial = self.serial;
        take(&self.taken[1], qid).then_some(TxEnd { serial, qid })
    }

    pub(crate) fn give_back_rx(&self, end: &mut RxEnd) {
        self.give_back(&self.taken[0], &mut end.serial, end.qid);
    }

    pub(crate) fn give_back_tx(&self, end: &mut TxEnd) {
        self.give_back(&self.taken[1], &mut end.serial, end.qid);
    }

    /// The end can't be used afterwards.
    fn give_back(&self, taken: &Mutex<Vec<u8>>, serial: &mut u64, qid: u8) {
        if *serial == self.serial {
            *serial = u64::MAX;
            let mut taken = taken.lock().unwrap_or_else(PoisonError::into_inner);
            taken.retain(|q| *q != qid);
        }
    }

    /// Copies packets into the arena. Returns their number and libmemif's error.
    pub(crate) fn rx_burst(
        &self,
        end: &mut RxEnd,
        arena: &mut [u8],
        snaplen: u32,
        packets: &mut [ReceivedPacket],
    ) -> (u16, i32) {
        let arena_len = u32::try_from(arena.len()).unwrap_or(u32::MAX);
        let count = u16::try_from(packets.len()).unwrap_or(u16::MAX);
        let mut received = 0;
        if end.serial != self.serial {
            return (0, QID);
        }
        // SAFETY: the pointers and lengths are those of live slices; the C side
        // writes no more than `arena_len` bytes and `count` records. The owner, by `end`.
        let err = unsafe {
            memif_ext_rx_burst(
                self.ptr.as_ptr(),
                end.qid.into(),
                arena.as_mut_ptr(),
                arena_len,
                snaplen,
                packets.as_mut_ptr(),
                count,
                &mut received,
            )
        };
        (received, err)
    }

    /// Lends the buffers of packets: how many, in which memory, and libmemif's error.
    pub(crate) fn rx_lend(&self, end: &mut RxEnd, bufs: &mut [Lent]) -> (u16, u32, i32) {
        let count = u16::try_from(bufs.len()).unwrap_or(u16::MAX);
        let (mut lent, mut link) = (0, 0);
        if end.serial != self.serial {
            return (0, 0, QID);
        }
        // SAFETY: live memory, of which no more than `count` records are written. The owner, by
        // `end`.
        let err = unsafe {
            memif_ext_rx_lend(
                self.ptr.as_ptr(),
                end.qid.into(),
                bufs.as_mut_ptr(),
                count,
                &mut lent,
                &mut link,
            )
        };
        (lent, link, err)
    }

    pub(crate) fn rx_return(&self, end: &mut RxEnd, link: u32, count: u16) {
        if end.serial == self.serial {
            // SAFETY: the owner, by `end`.
            unsafe { memif_ext_rx_return(self.ptr.as_ptr(), end.qid.into(), link, count) };
        }
    }

    /// Copies bytes of a lent buffer, from this one on; libmemif's error.
    pub(crate) fn rx_read(
        &self,
        end: &RxEnd,
        link: u32,
        buf: &Lent,
        from: u32,
        to: &mut [u8],
    ) -> i32 {
        let Ok(length) = u32::try_from(to.len()) else {
            return INVAL_ARG;
        };
        if end.serial != self.serial {
            return QID;
        }
        // SAFETY: `to` has `length` bytes; where they come from is checked in C. The owner, by
        // `end`, which can't be reached from two threads.
        unsafe {
            memif_ext_rx_read(
                self.ptr.as_ptr(),
                end.qid.into(),
                link,
                buf,
                from,
                to.as_mut_ptr(),
                length,
            )
        }
    }

    /// Sends a packet. Returns how many were sent and libmemif's error.
    #[inline]
    pub(crate) fn tx_one(&self, end: &mut TxEnd, packet: &[u8]) -> (u16, i32) {
        if end.serial != self.serial {
            return (0, QID);
        }
        let raw = raw_slice(packet);
        let mut sent = 0;
        // SAFETY: one packet, whose bytes outlive the call and are only read. The
        // owner, by `end`.
        let err =
            unsafe { memif_ext_tx_burst(self.ptr.as_ptr(), end.qid.into(), &raw, 1, &mut sent) };
        (sent, err)
    }

    /// Sends packets, which come in parts; how many were sent whole, and libmemif's error.
    pub(crate) fn tx_parts<'p, P: ExactSizeIterator<Item = &'p [u8]>>(
        &self,
        end: &mut TxEnd,
        parts: impl Iterator<Item = P>,
    ) -> (u16, i32) {
        if end.serial != self.serial {
            return (0, QID);
        }
        let mut total = 0u16;
        for part in parts {
            let mut raw = [const { MaybeUninit::<memif_ext_slice_t>::uninit() }; TX_PART];
            let mut count = 0;
            for (raw, packet) in raw.iter_mut().zip(part) {
                raw.write(raw_slice(packet));
                count += 1;
            }
            let mut sent = 0;
            // SAFETY: the first `count` elements of `raw` were written just now; the
            // packets' bytes outlive the call and are only read. The owner, by `end`.
            let err = unsafe {
                memif_ext_tx_burst(
                    self.ptr.as_ptr(),
                    end.qid.into(),
                    raw.as_ptr().cast(),
                    count,
                    &mut sent,
                )
            };
            total += sent;
            let room = u16::MAX - total >= TX_PART as u16;
            if err != SUCCESS || sent < count || !room {
                return (total, err);
            }
        }
        (total, SUCCESS)
    }

    pub(crate) fn rx_wait(
        &self,
        end: &mut RxEnd,
        timeout_ns: u64,
        spin_ns: u64,
        through_down: bool,
    ) -> Result<WaitOutcome, i32> {
        let mut result = 0;
        if end.serial != self.serial {
            return Err(QID);
        }
        // SAFETY: `result` outlives the call. The owner, by `end`; it sleeps on a
        // descriptor that lives as long as the interface.
        let err = unsafe {
            memif_ext_rx_wait(
                self.ptr.as_ptr(),
                end.qid.into(),
                timeout_ns,
                spin_ns,
                i32::from(through_down),
                &mut result,
            )
        };
        if err != SUCCESS {
            return Err(err);
        }
        Ok(match result as u32 {
            MEMIF_EXT_WAIT_READY => WaitOutcome::Ready,
            MEMIF_EXT_WAIT_LINK_DOWN => WaitOutcome::LinkDown,
            MEMIF_EXT_WAIT_WOKEN => WaitOutcome::Woken,
            _ => WaitOutcome::TimedOut,
        })
    }

    /// How many queues the link has to receive and to send; none when it is down.
    pub(crate) fn link_queues(&self) -> (u16, u16) {
        let (mut rx, mut tx) = (0, 0);
        // SAFETY: both outlive the call. See "Queues".
        unsafe { memif_ext_link_queues(self.ptr.as_ptr(), &mut rx, &mut tx) };
        (rx, tx)
    }

    /// Whether a transmit queue has had room since its link is up.
    pub(crate) fn tx_offered(&self, qid: u8) -> bool {
        let mut offered = 0;
        // SAFETY: `offered` outlives the call. See "Queues".
        unsafe { memif_ext_tx_offered(self.ptr.as_ptr(), qid.into(), &mut offered) };
        offered != 0
    }

    /// Wakes the readers of all queues that have an owner.
    pub(crate) fn rx_wake_all(&self) {
        let taken = self.taken[0].lock().unwrap_or_else(PoisonError::into_inner);
        taken.iter().for_each(|qid| self.rx_wake(*qid));
    }

    pub(crate) fn rx_wake(&self, qid: u8) {
        // SAFETY: see "Queues". Unknown queues are refused, and have no waiter.
        unsafe { memif_ext_rx_wake(self.ptr.as_ptr(), qid.into()) };
    }

    pub(crate) fn set_polling(&self, qid: u8, polling: bool) -> i32 {
        let mode = if polling {
            MEMIF_RX_MODE_POLLING
        } else {
            MEMIF_RX_MODE_INTERRUPT
        };
        // SAFETY: see "Queues".
        unsafe { memif_set_rx_mode(self.ptr.as_ptr(), mode, qid.into()) }
    }

    /// Makes what waiting needs.
    pub(crate) fn rx_prepare(&self, qid: u8) -> io::Result<()> {
        // SAFETY: see "Queues".
        match unsafe { memif_ext_rx_prepare(self.ptr.as_ptr(), qid.into()) } {
            SUCCESS => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// The descriptor to wait on, made on first use; it lives as long as `self`.
    pub(crate) fn rx_fd(&self, qid: u8) -> io::Result<BorrowedFd<'_>> {
        let mut fd: RawFd = -1;
        // SAFETY: `fd` outlives the call. See "Queues".
        let err = unsafe { memif_ext_rx_fd(self.ptr.as_ptr(), qid.into(), &mut fd) };
        if err != SUCCESS || fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: open until the interface is deleted, which takes `self`.
        Ok(unsafe { BorrowedFd::borrow_raw(fd) })
    }

    pub(crate) fn rx_state(&self, qid: u8) -> QueueState {
        let mut state = 0;
        // SAFETY: `state` outlives the call. See "Queues".
        unsafe { memif_ext_rx_state(self.ptr.as_ptr(), qid.into(), &mut state) };
        match state as u32 {
            MEMIF_EXT_QUEUE_UP => QueueState::Up,
            MEMIF_EXT_QUEUE_DRAINING => QueueState::Draining,
            _ => QueueState::Gone,
        }
    }

    /// Whether a packet of this length would be sent now, as libmemif's error.
    pub(crate) fn tx_fits(&self, end: &mut TxEnd, length: usize) -> i32 {
        if end.serial != self.serial {
            return QID;
        }
        let length = u32::try_from(length).unwrap_or(u32::MAX);
        // SAFETY: the owner, by `end`.
        unsafe { memif_ext_tx_fits(self.ptr.as_ptr(), end.qid.into(), length) }
    }

    pub(crate) fn tx_free(&self, end: &mut TxEnd) -> Result<u16, i32> {
        let mut slots = 0;
        if end.serial != self.serial {
            return Err(QID);
        }
        // SAFETY: `slots` outlives the call. The owner, by `end`.
        match unsafe { memif_ext_tx_free(self.ptr.as_ptr(), end.qid.into(), &mut slots) } {
            SUCCESS => Ok(slots),
            err => Err(err),
        }
    }

    /// The size of the largest buffer in bytes, and the number of buffers.
    pub(crate) fn tx_room(&self, end: &mut TxEnd) -> Result<(u32, u16), i32> {
        let (mut size, mut slots) = (0, 0);
        if end.serial != self.serial {
            return Err(QID);
        }
        // SAFETY: both outlive the call. The owner, by `end`.
        match unsafe { memif_ext_tx_room(self.ptr.as_ptr(), end.qid.into(), &mut size, &mut slots) }
        {
            SUCCESS => Ok((size, slots)),
            err => Err(err),
        }
    }

    /// How many slots the peer offers again at a time.
    pub(crate) fn tx_lot(&self, qid: u8) -> u16 {
        let mut lot = 1;
        // SAFETY: `lot` outlives the call. See "Queues".
        unsafe { memif_ext_tx_lot(self.ptr.as_ptr(), qid.into(), &mut lot) };
        lot
    }

    /// Slots that peers have overwritten before they were read.
    pub(crate) fn rx_overrun(&self, qid: u8) -> u64 {
        let mut slots = 0;
        // SAFETY: `slots` outlives the call. See "Queues".
        unsafe { memif_ext_rx_overrun(self.ptr.as_ptr(), qid.into(), &mut slots) };
        slots
    }

    /// How often a ring was found with all slots filled.
    pub(crate) fn rx_full(&self, qid: u8) -> u64 {
        let mut times = 0;
        // SAFETY: `times` outlives the call. See "Queues".
        unsafe { memif_ext_rx_full(self.ptr.as_ptr(), qid.into(), &mut times) };
        times
    }

    /// The number of slots that the peer has not read, also of a link that went down, and the error
    /// number.
    pub(crate) fn tx_pending(&self, qid: u8) -> (u16, i32) {
        let mut slots = 0;
        // SAFETY: `slots` outlives the call. See "Queues".
        let err = unsafe { memif_ext_tx_pending(self.ptr.as_ptr(), qid.into(), &mut slots) };
        (slots, err)
    }
}

fn take(taken: &Mutex<Vec<u8>>, qid: u8) -> bool {
    let mut taken = taken.lock().unwrap_or_else(PoisonError::into_inner);
    let free = !taken.contains(&qid);
    if free {
        taken.push(qid);
    }
    free
}

/// A length above 32 bits is too long for any ring.
#[inline]
fn raw_slice(packet: &[u8]) -> memif_ext_slice_t {
    memif_ext_slice_t {
        data: packet.as_ptr(),
        len: u32::try_from(packet.len()).unwrap_or(u32::MAX),
    }
}

//! An interface of the C core: the calls on its queues.

use std::ffi::c_void;
use std::os::fd::{BorrowedFd, RawFd};
use std::ptr::NonNull;

use super::bindings::*;
use super::control::ConnEvents;
use super::{ReceivedPacket, SUCCESS};

/// A live interface. Its methods may be called from any thread.
#[derive(Debug)]
pub(crate) struct Conn {
    pub(super) ptr: NonNull<c_void>,
    /// What the callbacks get: owned, freed by [`super::Loop::delete`].
    pub(super) events: NonNull<Box<dyn ConnEvents>>,
}

// SAFETY: the pointers are only used for burst calls, which lock (see "Queues"),
// and by the control thread; `ConnEvents` is Send and Sync.
unsafe impl Send for Conn {}
// SAFETY: as for Send.
unsafe impl Sync for Conn {}

/// Where a queue stands.
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
    /// Copies packets into the arena; the number of packets, and libmemif's error.
    pub(crate) fn rx_burst(
        &self,
        qid: u16,
        arena: &mut [u8],
        snaplen: u32,
        packets: &mut [ReceivedPacket],
    ) -> (u16, i32) {
        let arena_len = u32::try_from(arena.len()).unwrap_or(u32::MAX);
        let count = u16::try_from(packets.len()).unwrap_or(u16::MAX);
        let mut received = 0;
        // SAFETY: the pointers and lengths are those of live slices; the C side
        // writes no more than `arena_len` bytes and `count` records. See "Queues".
        let err = unsafe {
            memif_ext_rx_burst(
                self.ptr.as_ptr(),
                qid,
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

    /// Sends packets; how many went out whole, and libmemif's error.
    pub(crate) fn tx_burst<T: AsRef<[u8]>>(&self, qid: u16, packets: &[T]) -> (u16, i32) {
        const AT_A_TIME: usize = 64;
        let mut total = 0u16;
        for chunk in packets.chunks(AT_A_TIME) {
            let mut raw = [memif_ext_slice_t {
                data: std::ptr::null(),
                len: 0,
            }; AT_A_TIME];
            for (raw, packet) in raw.iter_mut().zip(chunk) {
                let bytes = packet.as_ref();
                raw.data = bytes.as_ptr();
                // Too long for 32 bits is too long for any ring.
                raw.len = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
            }
            let mut sent = 0;
            // SAFETY: `raw` holds as many packets as `chunk`, whose bytes outlive the
            // call and are only read. See "Queues".
            let err = unsafe {
                memif_ext_tx_burst(
                    self.ptr.as_ptr(),
                    qid,
                    raw.as_ptr(),
                    chunk.len() as u16,
                    &mut sent,
                )
            };
            total = total.saturating_add(sent);
            if err != SUCCESS || usize::from(sent) < chunk.len() || total > u16::MAX - 64 {
                return (total, err);
            }
        }
        (total, SUCCESS)
    }

    pub(crate) fn rx_wait(
        &self,
        qid: u16,
        timeout_ns: u64,
        spin_ns: u64,
        through_down: bool,
    ) -> Result<WaitOutcome, i32> {
        let mut result = 0;
        // SAFETY: `result` outlives the call. See "Queues": the wait itself holds no lock
        // and sleeps on a descriptor that lives as long as the interface.
        let err = unsafe {
            memif_ext_rx_wait(
                self.ptr.as_ptr(),
                qid,
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

    pub(crate) fn rx_wake(&self, qid: u16) {
        // SAFETY: see "Queues". Unknown queues are refused, and have no waiter.
        unsafe { memif_ext_rx_wake(self.ptr.as_ptr(), qid) };
    }

    pub(crate) fn set_polling(&self, qid: u16, polling: bool) -> i32 {
        let mode = if polling {
            MEMIF_RX_MODE_POLLING
        } else {
            MEMIF_RX_MODE_INTERRUPT
        };
        // SAFETY: see "Queues".
        unsafe { memif_set_rx_mode(self.ptr.as_ptr(), mode, qid) }
    }

    /// The descriptor to wait on; it lives as long as `self`.
    pub(crate) fn rx_fd(&self, qid: u16) -> Option<BorrowedFd<'_>> {
        let mut fd: RawFd = -1;
        // SAFETY: `fd` outlives the call. See "Queues".
        let err = unsafe { memif_ext_rx_fd(self.ptr.as_ptr(), qid, &mut fd) };
        if err != SUCCESS || fd < 0 {
            return None;
        }
        // SAFETY: open until the interface is deleted, which takes `self`.
        Some(unsafe { BorrowedFd::borrow_raw(fd) })
    }

    pub(crate) fn rx_state(&self, qid: u16) -> QueueState {
        let mut state = 0;
        // SAFETY: `state` outlives the call. See "Queues".
        unsafe { memif_ext_rx_state(self.ptr.as_ptr(), qid, &mut state) };
        match state as u32 {
            MEMIF_EXT_QUEUE_UP => QueueState::Up,
            MEMIF_EXT_QUEUE_DRAINING => QueueState::Draining,
            _ => QueueState::Gone,
        }
    }

    pub(crate) fn tx_is_up(&self, qid: u16) -> bool {
        let mut state = 0;
        // SAFETY: `state` outlives the call. See "Queues".
        unsafe { memif_ext_tx_state(self.ptr.as_ptr(), qid, &mut state) };
        state as u32 == MEMIF_EXT_QUEUE_UP
    }

    pub(crate) fn tx_free(&self, qid: u16) -> Result<u16, i32> {
        let mut slots = 0;
        // SAFETY: `slots` outlives the call. See "Queues".
        match unsafe { memif_ext_tx_free(self.ptr.as_ptr(), qid, &mut slots) } {
            SUCCESS => Ok(slots),
            err => Err(err),
        }
    }

    pub(crate) fn tx_pending(&self, qid: u16) -> Result<u16, i32> {
        let mut slots = 0;
        // SAFETY: `slots` outlives the call. See "Queues".
        match unsafe { memif_ext_tx_pending(self.ptr.as_ptr(), qid, &mut slots) } {
            SUCCESS => Ok(slots),
            err => Err(err),
        }
    }
}

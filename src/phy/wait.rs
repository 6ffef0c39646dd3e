//! Waits for packets and for room in the ring.

use std::thread;
use std::time::{Duration, Instant};

use smoltcp::iface::{Interface, SocketSet};
use smoltcp::phy::{Device, PcapSink, PcapWriter, Tracer};
use smoltcp::time::{Duration as SmolDuration, Instant as SmolInstant};

use super::device::MemifDevice;
use super::shared::SharedDevice;
#[cfg(doc)]
use crate::error::Eof;
use crate::error::Error;
use crate::link::back_off::Schedule;
use crate::queue::Wait;

/// Gives access to a [`MemifDevice`]: the device itself, or middleware that wraps it.
///
/// ```
/// use memif::phy::{MemifDevice, Reach};
///
/// fn sent(device: &mut impl Reach) -> u64 {
///     device.reach(|device| device.stats().tx_packets)
/// }
/// # let _: fn(&mut MemifDevice) -> u64 = sent;
/// ```
pub trait Reach {
    /// Calls `f` with the device and returns its result.
    fn reach<R>(&mut self, f: impl FnOnce(&mut MemifDevice) -> R) -> R;
}

impl Reach for MemifDevice {
    fn reach<R>(&mut self, f: impl FnOnce(&mut MemifDevice) -> R) -> R {
        f(self)
    }
}

impl Reach for SharedDevice {
    fn reach<R>(&mut self, f: impl FnOnce(&mut MemifDevice) -> R) -> R {
        f(&mut self.lock())
    }
}

impl<D: Device + Reach> Reach for Tracer<D> {
    fn reach<R>(&mut self, f: impl FnOnce(&mut MemifDevice) -> R) -> R {
        self.get_mut().reach(f)
    }
}

impl<D: Device + Reach, S: PcapSink> Reach for PcapWriter<D, S> {
    fn reach<R>(&mut self, f: impl FnOnce(&mut MemifDevice) -> R) -> R {
        self.get_mut().reach(f)
    }
}

/// Publishes what the stack has sent, and sleeps until the interface should be polled again: a
/// packet can be received, there is room again for what it could not send, or one of the stack's
/// timers is over. [`wait`] for the time that [`poll_delay`] says.
///
/// # Errors
///
/// As for [`wait`].
pub fn sleep(
    device: &mut impl Reach,
    iface: &mut Interface,
    sockets: &SocketSet<'_>,
) -> Result<(), Error> {
    let delay = poll_delay(device, iface, sockets, SmolInstant::now());
    wait(device, delay)
}

/// Publishes what the stack has sent, and blocks until the stack should be polled: a packet can be
/// received, there is room again for what it could not send, or the timeout has passed. `None`
/// means no timeout. The [`RxMode`](crate::RxMode) decides whether it spins or sleeps.
///
/// While the link is down it keeps waiting, and the stack continues when the peer is back.
///
/// While the ring is full or the link is down, smoltcp asks to be polled at once, again and again.
/// Then this function may wait longer than the timeout: up to 1 ms for a full ring, up to 10 ms for
/// the link.
///
/// # Errors
///
/// [`Eof::Closed`] if the interface is closed: end the loop. [`Error::Memif`] if the system can't
/// wait. A timeout is no error here, as it is the stack's own.
pub fn wait(device: &mut impl Reach, timeout: Option<SmolDuration>) -> Result<(), Error> {
    match device.reach(|device| device.wait(timeout.map(Into::into))) {
        Ok(wait) => wait.ready(),
        Err(Error::TimedOut) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Publishes what the stack has sent, and returns how long [`wait`] may wait. Use it instead of
/// `Interface::poll_delay`, which does not publish. `None` means that no timer is running. Never
/// blocks.
pub fn poll_delay(
    device: &mut impl Reach,
    iface: &mut Interface,
    sockets: &SocketSet<'_>,
    now: SmolInstant,
) -> Option<SmolDuration> {
    device.reach(MemifDevice::publish);
    iface.poll_delay(now, sockets)
}

const FOR_ROOM: Schedule = Schedule {
    longest: Duration::from_millis(1),
    ..Schedule::THREAD
};
const FOR_LINK: Schedule = Schedule {
    longest: Duration::from_millis(10),
    ..Schedule::THREAD
};

impl MemifDevice {
    fn wait(&mut self, timeout: Option<Duration>) -> Result<Wait, Error> {
        let start = Instant::now();
        let refused = std::mem::take(&mut self.out.refused);
        loop {
            let before = self.out.stats.tx_packets;
            self.out.publish();
            if self.out.stats.tx_packets > before {
                self.tries = 0;
            }
            let left = timeout.map(|t| t.saturating_sub(start.elapsed()));
            let stuck = self.out.is_stuck();
            if !stuck {
                self.tries = 0;
                if refused || self.has_cached() {
                    return Ok(Wait::Ready);
                }
                return self.rx.wait_for(left, true);
            }
            // A stack that can't send can still receive, up to a point; see `may_answer`.
            let receives = self.out.may_answer();
            self.out.refused = false;
            if receives && self.has_cached() {
                return Ok(Wait::Ready);
            }
            self.tries = self.tries.saturating_add(1);
            let waiting = self.out.waiting() > 0;
            let schedule = if waiting { FOR_ROOM } else { FOR_LINK };
            let Some(mut pause) = schedule.briefly(self.tries) else {
                continue;
            };
            match left {
                // If nothing is held up here, the stack does not need to know when the link
                // returns.
                _ if !waiting && !refused => pause = left.unwrap_or(Duration::MAX),
                // A time in the future belongs to a timer. No time at all is a reason to back off.
                Some(left) if timeout > Some(Duration::ZERO) => {
                    pause = pause.min(left.max(Schedule::FIRST_SLEEP));
                }
                _ => {}
            }
            if waiting && !receives {
                thread::sleep(pause);
            } else {
                match self.rx.wait_for(Some(pause), true) {
                    Err(Error::TimedOut) => {}
                    ended => return ended,
                }
            }
            if timeout.is_some_and(|t| start.elapsed() >= t) {
                return Err(Error::TimedOut);
            }
        }
    }
}

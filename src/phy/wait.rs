//! Waiting for packets, and for room.

use std::thread;
use std::time::{Duration, Instant};

use smoltcp::iface::{Interface, SocketSet};
use smoltcp::phy::{Device, PcapSink, PcapWriter, Tracer};
use smoltcp::time::{Duration as SmolDuration, Instant as SmolInstant};

use super::device::MemifDevice;
use super::shared::SharedDevice;
use crate::error::Error;
use crate::link::back_off::Schedule;
use crate::queue::Wait;

/// What leads to a [`MemifDevice`]: itself, and the middleware that it can be in.
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
    /// Calls `f` with the device.
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

/// Publishes what the stack has sent, then waits until it should be polled: a packet
/// can be received, or there is room again for what it could not send, or the time is over. `None`: no
/// limit. What waiting costs is up to the [`RxMode`](crate::RxMode).
///
/// A link that goes down, or is down, is waited out: the stack goes on when the peer is back.
/// Only a closed interface is told, at once, as [`Wait::Closed`]; end the loop then.
///
/// While the ring is full or the link is down smoltcp asks to be polled at once, again
/// and again. Then this backs off, and may wait longer than it was asked to: up to 1 ms for a
/// full ring, up to 10 ms for the link.
///
/// # Errors
///
/// [`Error::Memif`] when the system refuses to wait.
pub fn wait(device: &mut impl Reach, timeout: Option<SmolDuration>) -> Result<Wait, Error> {
    device.reach(|device| device.wait(timeout.map(Into::into)))
}

/// Publishes what the stack has sent, then says how long [`wait`] may wait: `Interface::poll_delay`
/// for a device whose bursts must not be forgotten.
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
                return self.rx.wait_while(left, true, || false);
            }
            // A stuck stack can still receive, up to a point; see `may_answer`.
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
                // With nothing held up here the link's return can wait for the stack.
                _ if !waiting && !refused => pause = left.unwrap_or(Duration::MAX),
                // A time in the future is a timer's; none at all is what to back off from.
                Some(left) if timeout > Some(Duration::ZERO) => {
                    pause = pause.min(left.max(Schedule::FIRST_SLEEP));
                }
                _ => {}
            }
            if waiting && !receives {
                thread::sleep(pause);
            } else {
                match self.rx.wait_while(Some(pause), true, || false)? {
                    Wait::TimedOut => {}
                    other => return Ok(other),
                }
            }
            if timeout.is_some_and(|t| start.elapsed() >= t) {
                return Ok(Wait::TimedOut);
            }
        }
    }
}

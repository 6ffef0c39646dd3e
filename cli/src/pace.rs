//! When each packet of a replay is due.
//!
//! A deadline is computed from the anchor and from all that came before, by one integer division,
//! never by adding to the last deadline: a million packets are as exact as one, and lateness is
//! made up for, not passed on.
//!
//! ```text
//! pacer.start();
//! for each packet:
//!     if let Some(due) = pacer.deadline(timestamp, length) && due > pacer.reached():
//!         send the burst collected so far
//!         pacer.wait_until(due, stop)
//!     collect the packet
//! ```
//!
//! The clock is read only when a deadline lies after its last reading, hence once a burst. Whoever
//! waits a few microseconds past the deadline sends larger bursts, at the same rate.

use std::time::{Duration, Instant};

use memif::Timestamp;

use crate::failure::Failure;

/// How fast to send.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Rate {
    /// With the gaps of the capture, divided by `speed`.
    Original {
        /// 2 is twice as fast.
        speed: f64,
    },
    /// Packets a second.
    Pps(f64),
    /// Megabits (10^6 bits) a second of what is sent: from the link header to the last byte of the
    /// packet, without the preamble, checksum and gap that a cable would add.
    Mbps(f64),
    /// As fast as the peer takes them.
    Top,
}

/// A clock in nanoseconds that never goes back, and ways to let it go on. Tests bring their own.
pub(crate) trait Clock {
    /// Nanoseconds since some moment in the past.
    fn now(&mut self) -> u64;
    /// Sleeps about this long.
    fn sleep(&mut self, nanos: u64);
    /// Passes the last microseconds; `left` says how many nanoseconds.
    fn spin(&mut self, left: u64);
}

/// The system's monotonic clock.
#[derive(Debug)]
pub(crate) struct SystemClock(Instant);

impl Default for SystemClock {
    fn default() -> Self {
        Self(Instant::now())
    }
}

impl Clock for SystemClock {
    fn now(&mut self) -> u64 {
        u64::try_from(self.0.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    fn sleep(&mut self, nanos: u64) {
        std::thread::sleep(Duration::from_nanos(nanos));
    }

    fn spin(&mut self, left: u64) {
        // A yield may cost a few microseconds.
        if left > 10_000 {
            std::thread::yield_now();
        } else {
            std::hint::spin_loop();
        }
    }
}

/// Tells when packets are due, and waits for that moment.
#[derive(Debug)]
pub(crate) struct Pacer<C: Clock = SystemClock> {
    clock: C,
    pace: Pace,
    /// The clock's time that all deadlines count from.
    anchor: u64,
    /// The clock's last reading.
    reached: u64,
    /// Sent since the anchor.
    packets: u64,
    bits: u128,
    capture: CaptureTime,
}

impl Pacer {
    /// By the system's clock; starts now.
    ///
    /// # Errors
    ///
    /// [`Failure::Usage`] when the rate is not within 0.001 and 10^9 (speed: 10^6).
    pub(crate) fn new(rate: Rate) -> Result<Self, Failure> {
        Self::with_clock(rate, SystemClock::default())
    }
}

impl<C: Clock> Pacer<C> {
    /// By the clock given; starts now.
    ///
    /// # Errors
    ///
    /// As [`Pacer::new`].
    pub(crate) fn with_clock(rate: Rate, clock: C) -> Result<Self, Failure> {
        let mut pacer = Self {
            clock,
            pace: Pace::new(rate)?,
            anchor: 0,
            reached: 0,
            packets: 0,
            bits: 0,
            capture: CaptureTime::default(),
        };
        pacer.start();
        Ok(pacer)
    }

    /// Makes now the anchor: the next packet is due at once, and nothing that was missed is made up
    /// for.
    ///
    /// For the beginning, and after a halt: a pause between loops, a link that was down.
    pub(crate) fn start(&mut self) {
        self.anchor = self.now();
        self.packets = 0;
        self.bits = 0;
        self.capture = CaptureTime::default();
    }

    /// The next packet is the first of a file, or of another loop over it: its time has nothing to
    /// do with those before.
    ///
    /// With the gaps of the capture it is due when the last packet was; a rate simply goes on, so
    /// that looping over a single packet keeps to it too.
    pub(crate) fn next_file(&mut self) {
        self.capture.origin = None;
    }

    /// When the next packet is due, by the clock; `None` at top speed. Call it once for each
    /// packet, in order.
    ///
    /// A packet that is older than the one before is due with it.
    pub(crate) fn deadline(&mut self, timestamp: Timestamp, length: usize) -> Option<u64> {
        let offset = match self.pace {
            Pace::Original { speed } => self.capture.advance(timestamp.as_nanos()) * NANO / speed,
            Pace::Pps { rate } => u128::from(self.packets) * (NANO * NANO) / rate,
            Pace::Mbps { rate } => self.bits * MEGABIT_NANOS / rate,
            Pace::Top => {
                self.advance(1, length as u64);
                return None;
            }
        };
        self.advance(1, length as u64);
        Some(
            self.anchor
                .saturating_add(u64::try_from(offset).unwrap_or(u64::MAX)),
        )
    }

    /// Whether nothing is ever waited for.
    pub(crate) fn is_unpaced(&self) -> bool {
        matches!(self.pace, Pace::Top)
    }

    fn advance(&mut self, packets: u64, bytes: u64) {
        self.packets = self.packets.saturating_add(packets);
        self.bits += bits(bytes);
    }

    /// Reads the clock.
    pub(crate) fn now(&mut self) -> u64 {
        self.reached = self.clock.now().max(self.reached);
        self.reached
    }

    /// The clock's last reading: what is due by then needs no other.
    pub(crate) fn reached(&self) -> u64 {
        self.reached
    }

    /// Waits until the clock shows `deadline`; returns false if `stop` was true first, at most 50
    /// ms after it was.
    ///
    /// Sleeps while there is time, then spins: a sleep ends up to some 50 µs late.
    pub(crate) fn wait_until(&mut self, deadline: u64, stop: impl Fn() -> bool) -> bool {
        loop {
            if stop() {
                return false;
            }
            let left = deadline.saturating_sub(self.now());
            if left == 0 {
                return true;
            }
            if left > SPIN {
                self.clock.sleep((left - SPIN).min(SLICE));
            } else {
                self.clock.spin(left);
            }
        }
    }
}

/// The last part of a wait, which is spun.
const SPIN: u64 = 60_000;
/// The longest sleep between two looks at the stop flag.
const SLICE: u64 = 50_000_000;
/// A capture whose time goes back by more had its clock set; by less, its packets were reordered.
const REORDERED: u64 = 1_000_000_000;

const NANO: u128 = 1_000_000_000;
/// Nanoseconds that 1 bit takes at 1 Mbit/s, in the billionths that rates are kept in.
const MEGABIT_NANOS: u128 = 1_000 * NANO;

/// The rate in billionths, so that fractions are exact too. The limits keep all products within 128
/// bits.
#[derive(Clone, Copy, Debug)]
enum Pace {
    Original { speed: u128 },
    Pps { rate: u128 },
    Mbps { rate: u128 },
    Top,
}

impl Pace {
    fn new(rate: Rate) -> Result<Self, Failure> {
        Ok(match rate {
            Rate::Original { speed } => Self::Original {
                speed: billionths("speed", speed, 1e6)?,
            },
            Rate::Pps(rate) => Self::Pps {
                rate: billionths("packets a second", rate, 1e9)?,
            },
            Rate::Mbps(rate) => Self::Mbps {
                rate: billionths("megabits a second", rate, 1e9)?,
            },
            Rate::Top => Self::Top,
        })
    }
}

fn billionths(what: &'static str, value: f64, most: f64) -> Result<u128, Failure> {
    if (0.001..=most).contains(&value) {
        Ok((value * 1e9).round() as u128)
    } else {
        Err(Failure::Usage(format!(
            "{what}: {value} is not within 0.001 and {most}"
        )))
    }
}

fn bits(bytes: u64) -> u128 {
    u128::from(bytes) * 8
}

/// The time that passed in the captures, files and loops one after the other.
#[derive(Debug, Default)]
struct CaptureTime {
    /// What the file's first packet says, and what had passed before it.
    origin: Option<(u64, u128)>,
    passed: u128,
}

impl CaptureTime {
    fn advance(&mut self, time: u64) -> u128 {
        let (first, before) = *self.origin.get_or_insert((time, self.passed));
        // What this file's latest packet said.
        let latest = u128::from(first) + (self.passed - before);
        if u128::from(time) >= latest {
            self.passed = before + u128::from(time - first);
        } else if latest - u128::from(time) > u128::from(REORDERED) {
            self.origin = Some((time, self.passed));
        }
        self.passed
    }
}

#[cfg(test)]
mod tests;

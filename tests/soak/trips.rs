//! A good link on which a packet goes there and back all the time, and how long that takes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use memif::{Context, MemifConfig, PacketHandle, Role};

use crate::common::{LONG, pattern, read, up, writable};
use crate::peer::PAUSE;

/// The longest that has a count of its own, in microseconds.
const MOST: usize = 1 << 16;

/// Round trips of each phase, by their microseconds.
type Counts = [Vec<u32>; 2];

pub(crate) struct Trips {
    phase: Arc<AtomicUsize>,
    thread: JoinHandle<Counts>,
    /// The other process's, as it were.
    _context: Context,
}

impl Trips {
    /// `ours` is the context that is attacked.
    pub(crate) fn start(ours: &Context, socket: &str, ending: Arc<AtomicBool>) -> Self {
        let other = crate::common::context();
        let config = |role| MemifConfig::new(socket).id(8).role(role);
        let master = ours.create_interface(config(Role::Master)).unwrap();
        let slave = other.create_interface(config(Role::Slave)).unwrap();
        up(&slave);
        up(&master);
        writable(&master);
        let mut echo = master.packet_handle(0).unwrap();
        thread::spawn(move || {
            while let Ok(packet) = echo.read_packet_timeout(None) {
                let packet = packet.to_vec();
                echo.write_packet(&packet).expect("room for a packet");
            }
        });
        let phase = Arc::<AtomicUsize>::default();
        let counted = Arc::clone(&phase);
        let handle = slave.packet_handle(0).unwrap();
        let thread = thread::spawn(move || {
            let counts = count(handle, &counted, &ending);
            master.close();
            counts
        });
        Self {
            phase,
            thread,
            _context: other,
        }
    }

    /// What follows is with an attacker, or without.
    pub(crate) fn attacked(&self, attacked: bool) {
        self.phase.store(usize::from(attacked), Ordering::Relaxed);
    }

    /// Half of the trips, and 99 of a hundred, were as fast: without an attacker, and with.
    pub(crate) fn finish(self) -> [[Duration; 2]; 2] {
        let counts = self.thread.join().expect("the link with round trips works");
        counts.map(|counts| [0.5, 0.99].map(|part| percentile(&counts, part)))
    }
}

fn count(mut handle: PacketHandle, phase: &AtomicUsize, ending: &AtomicBool) -> Counts {
    let mut counts = [vec![0; MOST], vec![0; MOST]];
    let mut number = 0;
    while !ending.load(Ordering::Acquire) {
        number += 1;
        let packet = pattern(number, 64);
        let start = Instant::now();
        handle.write_packet(&packet).expect("room for a packet");
        assert_eq!(read(&mut handle), packet);
        assert!(start.elapsed() < LONG);
        let microseconds = (start.elapsed().as_micros() as usize).min(MOST - 1);
        counts[phase.load(Ordering::Relaxed)][microseconds] += 1;
        thread::sleep(PAUSE);
    }
    counts
}

fn percentile(counts: &[u32], part: f64) -> Duration {
    let all: u32 = counts.iter().sum();
    let mut left = (f64::from(all) * part) as u32;
    let at = counts.iter().position(|count| {
        let here = left < *count;
        left = left.saturating_sub(*count);
        here
    });
    Duration::from_micros(at.unwrap_or_default() as u64)
}

//! The victim's other link, whose program keeps sending and receiving while an attack runs.

use std::fs;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::common::*;
use memif::PacketHandle;

/// Between two rounds, so that they are no load.
const PAUSE: Duration = Duration::from_micros(200);

/// A thread that has both ends of the link.
pub(crate) struct Bystander {
    orders: Option<SyncSender<()>>,
    told: Receiver<Duration>,
    thread: Option<JoinHandle<()>>,
}

impl Bystander {
    pub(crate) fn start(ends: [PacketHandle; 2]) -> Self {
        let (orders, order) = sync_channel(0);
        let (tell, told) = sync_channel(0);
        let thread = thread::spawn(move || run(ends, &order, &tell));
        Self {
            orders: Some(orders),
            told,
            thread: Some(thread),
        }
    }

    pub(crate) fn go(&self) {
        self.order();
    }

    /// The longest that a packet took there and another back.
    pub(crate) fn stop(&self) -> Duration {
        self.order();
        self.told.recv().expect("the other link works")
    }

    fn order(&self) {
        let orders = self.orders.as_ref().expect("only dropped at the end");
        orders.send(()).expect("the other link works");
    }
}

impl Drop for Bystander {
    fn drop(&mut self) {
        drop(self.orders.take());
        let thread = self.thread.take().expect("only taken here");
        let _ = thread.join();
    }
}

fn run(mut ends: [PacketHandle; 2], order: &Receiver<()>, tell: &SyncSender<Duration>) {
    let mut number = 0;
    while order.recv().is_ok() {
        let mut longest = Duration::ZERO;
        loop {
            let (before, start) = (without_processor(), Instant::now());
            for from in [0, 1] {
                number += 1;
                let packet = pattern(number, 100);
                ends[from].write_packet(&packet).unwrap();
                assert_same(&read(&mut ends[1 - from]), &packet, "the other link");
            }
            let took = start.elapsed();
            let without = without_processor().saturating_sub(before);
            longest = longest.max(took.saturating_sub(without));
            match order.recv_timeout(PAUSE) {
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
                Ok(()) => break,
            }
        }
        if tell.send(longest).is_err() {
            return;
        }
    }
}

/// How long this thread has been ready to run, and had no processor.
fn without_processor() -> Duration {
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let waited = text.split_whitespace().nth(1).and_then(|n| n.parse().ok());
    Duration::from_nanos(waited.unwrap_or_default())
}

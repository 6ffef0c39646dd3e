//! No packet that is delivered is torn or out of order, and every packet is delivered or missed.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use memif::observe::{Direction, Observer, RingReader};
use memif::{Burst, Memif, Role, RxMode};

use crate::common::{Pair, is_long, other};
use crate::traffic::{Dice, check, link_of, turn, write};

#[derive(Clone, Copy, Debug)]
struct Case {
    log2: u8,
    buffer: u16,
    queues: u8,
    /// Of packets.
    sizes: (usize, usize),
    burst: u64,
    /// Packets a second and queue; 0: as fast as it goes.
    rate: u64,
    rx_mode: RxMode,
    /// Between two looks of the observer.
    pause: Duration,
}

const USUAL: Case = Case {
    log2: 10,
    buffer: 2048,
    queues: 1,
    sizes: (64, 64),
    burst: 32,
    rate: 0,
    rx_mode: RxMode::Interrupt,
    pause: Duration::ZERO,
};

/// How long each case runs; MEMIF_TORTURE_MS makes it longer.
fn time() -> Duration {
    let given = std::env::var("MEMIF_TORTURE_MS").ok();
    let usual = if is_long() { 250 } else { 50 };
    Duration::from_millis(given.and_then(|ms| ms.parse().ok()).unwrap_or(usual))
}

struct Shared {
    stop: AtomicBool,
    done: AtomicBool,
    /// By direction and queue.
    sent: [Vec<AtomicU64>; 2],
}

/// Also when something is found to be wrong: the threads would go on for ever.
struct Ending<'a>(&'a Shared);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.stop.store(true, Ordering::Relaxed);
        if thread::panicking() {
            self.0.done.store(true, Ordering::Release);
        }
    }
}

fn index(direction: Direction) -> usize {
    usize::from(direction == Direction::ToSlave)
}

fn sender(memif: &Memif, queue: u8, case: Case, sent: &AtomicU64, stop: &AtomicBool) {
    let mut tx = memif.tx_queue(queue).unwrap();
    let mut dice = Dice(u64::from(queue) + 88_172_645_463_325_252);
    let mut packets = vec![Vec::new(); case.burst as usize];
    let (mut number, start) = (0u64, Instant::now());
    while !stop.load(Ordering::Relaxed) {
        let count = 1 + dice.below(case.burst) as usize;
        for packet in &mut packets[..count] {
            let span = (case.sizes.1 - case.sizes.0) as u64 + 1;
            write(packet, number, case.sizes.0 + dice.below(span) as usize);
            number += 1;
        }
        let mut from = 0;
        while from < count && !stop.load(Ordering::Relaxed) {
            let n = tx.tx_burst(&packets[from..count]).unwrap();
            from += n;
            sent.fetch_add(n as u64, Ordering::Release);
            if n == 0 {
                thread::yield_now();
            }
        }
        number -= (count - from) as u64;
        while case.rate > 0
            && start.elapsed().as_secs_f64() < number as f64 / case.rate as f64
            && !stop.load(Ordering::Relaxed)
        {
            thread::sleep(Duration::from_micros(20));
        }
    }
}

fn receiver(memif: &Memif, queue: u8, mode: RxMode, sent: &AtomicU64, done: &AtomicBool) {
    let mut rx = memif.rx_queue(queue).unwrap();
    rx.set_rx_mode(mode).unwrap();
    let mut burst = Burst::new(64).with_snaplen(16_384);
    let mut next = 0;
    loop {
        // Before the ring: what was sent by then is there.
        let ended = done.load(Ordering::Acquire);
        let n = rx.rx_burst(&mut burst).unwrap();
        for packet in &burst {
            assert_eq!(check(&packet).unwrap(), next, "the receiver's");
            next += 1;
        }
        if n == 0 {
            if ended && next == sent.load(Ordering::Acquire) {
                return;
            }
            let _ = rx.wait(Some(Duration::from_millis(1)));
        }
    }
}

/// What the observer has of a ring.
struct Seen {
    next: u64,
    packets: u64,
}

fn look(ring: &mut RingReader, burst: &mut Burst, seen: &mut Seen, case: &Case) -> usize {
    let n = ring.rx_burst(burst).unwrap();
    for packet in &*burst {
        let number = check(&packet).unwrap_or_else(|e| panic!("torn: {e}: {ring:?} {case:?}"));
        assert!(
            number >= seen.next,
            "{number} after {}: {case:?}",
            seen.next
        );
        seen.next = number + 1;
        seen.packets += 1;
    }
    n
}

fn run(case: Case) -> (u64, u64) {
    let _turn = turn();
    let pair = Pair::with(|c| {
        c.log2_ring_size(case.log2)
            .buffer_size(case.buffer)
            .queues(case.queues, case.queues)
    });
    let link = link_of(&pair);
    let mut observer = Observer::of(&link).attach().unwrap();
    let zeros = || (0..case.queues).map(|_| AtomicU64::new(0)).collect();
    let shared = Shared {
        stop: AtomicBool::new(false),
        done: AtomicBool::new(false),
        sent: [zeros(), zeros()],
    };
    let mut burst = Burst::new(256).with_snaplen(16_384);
    let mut seen: Vec<Seen> = observer
        .rings()
        .iter()
        .map(|_| Seen {
            next: 0,
            packets: 0,
        })
        .collect();
    thread::scope(|scope| {
        let ending = Ending(&shared);
        let mut senders = Vec::new();
        let mut receivers = Vec::new();
        for from in [Role::Slave, Role::Master] {
            for queue in 0..case.queues {
                let sent = &shared.sent[usize::from(from == Role::Master)][usize::from(queue)];
                let (shared, pair) = (&shared, &pair);
                senders.push(
                    scope.spawn(move || sender(pair.side(from), queue, case, sent, &shared.stop)),
                );
                receivers.push(scope.spawn(move || {
                    receiver(
                        pair.side(other(from)),
                        queue,
                        case.rx_mode,
                        sent,
                        &shared.done,
                    )
                }));
            }
        }
        let end = Instant::now() + time();
        while Instant::now() < end {
            let mut n = 0;
            for (ring, seen) in observer.rings().iter_mut().zip(&mut seen) {
                n += look(ring, &mut burst, seen, &case);
            }
            if !case.pause.is_zero() {
                thread::sleep(case.pause);
            } else if n == 0 {
                let _ = observer.wait(Some(Duration::from_millis(1)));
            }
        }
        drop(ending);
        senders.into_iter().for_each(|s| s.join().unwrap());
        shared.done.store(true, Ordering::Release);
        // Also what is still in the rings.
        receivers.into_iter().for_each(|r| r.join().unwrap());
        for (ring, seen) in observer.rings().iter_mut().zip(&mut seen) {
            while look(ring, &mut burst, seen, &case) > 0 {}
        }
    });
    let mut total = (0, 0);
    for (ring, seen) in observer.rings().iter().zip(&seen) {
        let counts = ring.counts();
        let sent = &shared.sent[index(ring.direction())][usize::from(ring.queue())];
        let sent = sent.load(Ordering::Relaxed);
        assert_eq!(counts.delivered, seen.packets, "{case:?}");
        let known = counts.delivered + counts.missed;
        // Packets that were missed count as long as the longest that was seen: of some twenty it is
        // not much less than the longest of all.
        let chains = case.sizes.1 > case.buffer.into();
        let unknown = chains && (1..20).contains(&counts.delivered);
        if counts.at_least {
            assert!(
                unknown || known <= sent,
                "{known} of {sent}: {ring:?} {case:?}"
            );
        } else {
            assert_eq!(known, sent, "{ring:?} {case:?}");
        }
        println!(
            "{} {} sent {sent}: {counts:?}",
            ring.direction(),
            ring.queue()
        );
        total = (total.0 + counts.delivered, total.1 + sent);
    }
    total
}

/// In all that is common to the cases, for each of the receive modes.
fn each_mode(case: Case) {
    for rx_mode in [RxMode::Interrupt, RxMode::Polling] {
        let case = Case { rx_mode, ..case };
        println!("{case:?}");
        run(case);
    }
}

#[test]
fn at_top_speed() {
    for burst in [1, 32, 256] {
        each_mode(Case { burst, ..USUAL });
    }
}

#[test]
fn rings_of_all_sizes() {
    for log2 in 5..=14 {
        each_mode(Case {
            log2,
            burst: 256,
            sizes: (64, 300),
            ..USUAL
        });
    }
}

#[test]
fn packets_of_all_sizes() {
    for sizes in [(64, 1514), (64, 9000), (2000, 2100), (9000, 9000)] {
        each_mode(Case { sizes, ..USUAL });
    }
}

#[test]
fn chains_in_small_rings() {
    for log2 in [5, 6, 8] {
        each_mode(Case {
            log2,
            buffer: 512,
            sizes: (64, 9000),
            ..USUAL
        });
    }
}

#[test]
fn one_to_four_queues() {
    for queues in 1..=4 {
        each_mode(Case {
            queues,
            sizes: (64, 3000),
            ..USUAL
        });
    }
    each_mode(Case {
        queues: 3,
        rate: 20_000,
        ..USUAL
    });
}

#[test]
fn at_every_speed() {
    for rate in [100, 1_000, 10_000, 100_000, 1_000_000] {
        for sizes in [(64, 64), (64, 9000)] {
            let burst = 1 + rate / 10_000;
            each_mode(Case {
                rate,
                burst,
                sizes,
                ..USUAL
            });
        }
    }
}

#[test]
fn observers_that_sleep() {
    for pause in [100, 1000, 5000, 30_000] {
        let pause = Duration::from_micros(pause);
        each_mode(Case {
            pause,
            sizes: (64, 2500),
            ..USUAL
        });
        each_mode(Case {
            pause,
            rate: 50_000,
            ..USUAL
        });
    }
}

#[test]
fn at_a_moderate_speed_nearly_all_is_seen() {
    let (delivered, sent) = run(Case {
        rate: 2_000,
        burst: 4,
        ..USUAL
    });
    assert!(delivered * 10 >= sent * 9, "{delivered} of {sent}");
}

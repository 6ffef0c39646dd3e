use std::cell::Cell;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};

use proptest::prelude::*;

use super::*;

const SECOND: u64 = 1_000_000_000;
const START: u64 = 5_000;

/// Goes on only when it is slept on, spun on, or told to.
#[derive(Clone, Debug, Default)]
struct TestClock {
    now: Rc<Cell<u64>>,
    reads: Rc<Cell<u64>>,
    longest_sleep: Rc<Cell<u64>>,
    stop_at: Option<(u64, Rc<AtomicBool>)>,
}

impl TestClock {
    fn pass(&self, nanos: u64) {
        self.now.set(self.now.get() + nanos);
        if let Some((at, stop)) = &self.stop_at
            && self.now.get() >= *at
        {
            stop.store(true, Ordering::Relaxed);
        }
    }
}

impl Clock for TestClock {
    fn now(&mut self) -> u64 {
        self.reads.set(self.reads.get() + 1);
        self.now.get()
    }

    fn sleep(&mut self, nanos: u64) {
        self.longest_sleep.set(self.longest_sleep.get().max(nanos));
        self.pass(nanos + 40_000);
    }

    fn spin(&mut self, _left: u64) {
        self.pass(30);
    }
}

fn pacer(rate: Rate) -> (Pacer<TestClock>, TestClock) {
    let clock = TestClock::default();
    clock.now.set(START);
    (Pacer::with_clock(rate, clock.clone()).unwrap(), clock)
}

fn at(nanos: u64) -> Timestamp {
    Timestamp::from_nanos(nanos)
}

fn deadline(pacer: &mut Pacer<TestClock>, nanos: u64, length: usize) -> u64 {
    pacer.deadline(at(nanos), length).unwrap() - START
}

#[test]
fn a_rate_in_packets_never_drifts() {
    let (mut pacer, _) = pacer(Rate::Pps(1000.0));
    for n in 0..10_000 {
        assert_eq!(deadline(&mut pacer, 0, 60), n * 1_000_000);
    }
    for n in [1_000_000_000_u64, 5_400_000_000, 1 << 40] {
        pacer.packets = n;
        assert_eq!(deadline(&mut pacer, 0, 60), n * 1_000_000);
    }
}

#[test]
fn rates_that_do_not_divide_a_second_are_off_by_less_than_a_nanosecond() {
    for rate in [1_u64, 3, 7, 1000, 999_983, 14_880_952, 100_000_000] {
        let (mut pacer, _) = pacer(Rate::Pps(rate as f64));
        for n in (0..1000).chain([1_000_000_000, 5_400_000_001]) {
            pacer.packets = n;
            let exact = u128::from(n) * u128::from(SECOND) / u128::from(rate);
            assert_eq!(
                u128::from(deadline(&mut pacer, 0, 60)),
                exact,
                "packet {n} at {rate}"
            );
        }
    }
}

#[test]
fn fractional_rates() {
    let (mut pacer, _) = pacer(Rate::Pps(0.5));
    assert_eq!(deadline(&mut pacer, 0, 60), 0);
    assert_eq!(deadline(&mut pacer, 0, 60), 2 * SECOND);
}

#[test]
fn megabits_count_the_bits_sent_before() {
    let (mut pacer, _) = pacer(Rate::Mbps(8.0));
    // 8 Mbit/s is a byte a microsecond.
    assert_eq!(deadline(&mut pacer, 0, 1500), 0);
    assert_eq!(deadline(&mut pacer, 0, 60), 1_500_000);
    assert_eq!(deadline(&mut pacer, 0, 9000), 1_560_000);
    assert_eq!(deadline(&mut pacer, 0, 60), 10_560_000);
    pacer.bits = 5_400_000_000 * 1514 * 8;
    assert_eq!(deadline(&mut pacer, 0, 60), 5_400_000_000 * 1514 * 1000);
}

#[test]
fn original_gaps_at_any_speed() {
    for (speed, factor) in [
        (1.0, 1_000_000),
        (0.001, 1_000_000_000),
        (2.0, 500_000),
        (1e6, 1),
    ] {
        let (mut pacer, _) = pacer(Rate::Original { speed });
        let first = 1_700_000_000 * SECOND;
        for gap in [0, 1, 1000, 5_000_000] {
            assert_eq!(
                deadline(&mut pacer, first + gap * 1_000_000, 60),
                gap * factor,
                "at {speed}"
            );
        }
    }
}

#[test]
fn time_that_goes_back_is_no_gap() {
    let (mut pacer, _) = pacer(Rate::Original { speed: 1.0 });
    let deadlines =
        [100, 110, 105, 112, 110, 120].map(|time| deadline(&mut pacer, 10 * SECOND + time, 60));
    assert_eq!(deadlines, [0, 10, 10, 12, 12, 20], "packets out of order");
    // A clock set back by hours goes on from where it is.
    let deadlines = [0, 7, 9].map(|time| deadline(&mut pacer, SECOND + time, 60));
    assert_eq!(deadlines, [20, 27, 29]);
}

#[test]
fn every_loop_keeps_the_gaps() {
    let (mut pacer, _) = pacer(Rate::Original { speed: 1.0 });
    for n in 0..100 {
        assert_eq!(deadline(&mut pacer, 50, 60), n * 30);
        assert_eq!(deadline(&mut pacer, 60, 60), n * 30 + 10);
        assert_eq!(deadline(&mut pacer, 80, 60), n * 30 + 30);
        pacer.next_file();
    }
}

#[test]
fn a_file_of_another_year_does_not_wait() {
    let (mut pacer, _) = pacer(Rate::Original { speed: 1.0 });
    assert_eq!(deadline(&mut pacer, 50, 60), 0);
    for year in [40_u64, 20, 60] {
        pacer.next_file();
        assert_eq!(deadline(&mut pacer, year * 365 * 86_400 * SECOND, 60), 0);
    }
}

#[test]
fn loops_over_one_packet_keep_the_rate() {
    let (mut pacer, _) = pacer(Rate::Pps(10.0));
    for n in 0..100 {
        assert_eq!(deadline(&mut pacer, 50, 60), n * SECOND / 10);
        pacer.next_file();
    }
}

#[test]
fn start_forgets_what_was_missed() {
    let (mut pacer, clock) = pacer(Rate::Pps(10.0));
    for _ in 0..5 {
        deadline(&mut pacer, 0, 60);
    }
    clock.pass(60 * SECOND);
    pacer.start();
    assert_eq!(deadline(&mut pacer, 0, 60), 60 * SECOND);
    assert_eq!(deadline(&mut pacer, 0, 60), 60 * SECOND + SECOND / 10);
}

#[test]
fn bursts_read_the_clock_once() {
    let (mut pacer, clock) = pacer(Rate::Pps(5_000_000.0));
    let stop = AtomicBool::new(false);
    let (mut sent, reads) = (0, clock.reads.get());
    while sent < 5_000_000 {
        if let Some(due) = pacer.deadline(at(0), 60)
            && due > pacer.reached()
        {
            // What sending a burst takes.
            clock.pass(10_000);
            assert!(pacer.wait_until(due, || stop.load(Ordering::Relaxed)));
        }
        sent += 1;
    }
    let seconds = (clock.now.get() - START) as f64 / 1e9;
    assert!((0.9999..1.0001).contains(&seconds), "{seconds}");
    assert!(
        clock.reads.get() - reads <= 5_000_000 / 50 + 1,
        "{}",
        clock.reads.get()
    );
}

#[test]
fn top_speed_has_no_deadlines() {
    let (mut top, _) = pacer(Rate::Top);
    assert_eq!(top.deadline(at(0), 60), None);
}

#[test]
fn waits_to_the_point_and_in_slices() {
    let (mut pacer, clock) = pacer(Rate::Top);
    let stop = AtomicBool::new(false);
    let deadline = START + SECOND;
    assert!(pacer.wait_until(deadline, || stop.load(Ordering::Relaxed)));
    assert!((deadline..deadline + 100).contains(&clock.now.get()));
    assert_eq!(clock.longest_sleep.get(), SLICE);
    assert!(
        pacer.wait_until(START, || stop.load(Ordering::Relaxed)),
        "the past needs no waiting"
    );
}

#[test]
fn a_stop_ends_the_wait() {
    let stop = Rc::new(AtomicBool::new(false));
    let clock = TestClock {
        stop_at: Some((SECOND, Rc::clone(&stop))),
        ..TestClock::default()
    };
    let mut pacer = Pacer::with_clock(Rate::Top, clock.clone()).unwrap();
    assert!(!pacer.wait_until(u64::MAX, || stop.load(Ordering::Relaxed)));
    assert!(clock.now.get() < SECOND + SLICE + SPIN);
}

#[test]
fn rates_out_of_range_are_refused() {
    for rate in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e10, 1e-9] {
        for rate in [
            Rate::Pps(rate),
            Rate::Mbps(rate),
            Rate::Original { speed: rate },
        ] {
            assert!(Pacer::new(rate).is_err(), "{rate:?}");
        }
    }
    let error = Pacer::new(Rate::Pps(0.0)).unwrap_err();
    let said = "packets a second: 0 is not within 0.001 and 1000000000";
    assert!(matches!(error, Failure::Usage(text) if text == said));
}

proptest! {
    #[test]
    fn nothing_overflows(
        value in 0.001_f64..1e6,
        packets: u64,
        times in proptest::collection::vec(any::<u64>(), 1..20),
        length in 0_usize..100_000,
    ) {
        for rate in [Rate::Pps(value), Rate::Pps(value * 1000.0), Rate::Mbps(value), Rate::Original { speed: value }] {
            let (mut pacer, _) = pacer(rate);
            pacer.advance(packets, packets);
            let mut last = START;
            for &time in &times {
                let due = pacer.deadline(at(time), length).unwrap();
                prop_assert!(due >= last);
                last = due;
            }
        }
    }
}

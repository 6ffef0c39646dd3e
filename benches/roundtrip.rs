//! Round trips of 64 bytes between two threads, beside what they are made of: a cache line that
//! goes to the other core and back, what the protocol moves without any library, and a pair of
//! eventfds. All in turn, again and again.
//!
//!     cargo bench --bench roundtrip

use std::error::Error;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use memif::{Context, Eof, MemifConfig, PacketHandle, Role, RxMode};
use nix::sys::eventfd::{EfdFlags, EventFd};

const ROUNDS: usize = 21;
const TRIPS_POLLING: u32 = 20_000;
const TRIPS_INTERRUPT: u32 = 2_000;

type Outcome = Result<Vec<u64>, Box<dyn Error>>;

/// Goes there and back so often; the nanoseconds of each trip.
fn trips(
    count: u32,
    mut there: impl FnMut(u32) -> Result<(), Box<dyn Error>>,
    mut back: impl FnMut(u32) -> Result<(), Box<dyn Error>>,
) -> Outcome {
    (1..=count)
        .map(|n| {
            let start = Instant::now();
            there(n)?;
            back(n)?;
            Ok(start.elapsed().as_nanos() as u64)
        })
        .collect()
}

/// Alone on its cache line, and not fetched along with a neighbour.
#[repr(align(128))]
struct Line(AtomicU32);

fn await_value(line: &AtomicU32, value: u32) {
    while line.load(Ordering::Acquire) != value {
        std::hint::spin_loop();
    }
}

fn cache_line() -> Outcome {
    let line = Line(AtomicU32::new(0));
    let line = &line.0;
    thread::scope(|scope| {
        scope.spawn(|| {
            for n in 1..=TRIPS_POLLING {
                await_value(line, 2 * n - 1);
                line.store(2 * n, Ordering::Release);
            }
        });
        let there = |n| {
            line.store(2 * n - 1, Ordering::Release);
            Ok(())
        };
        let back = |n| {
            await_value(line, 2 * n);
            Ok(())
        };
        trips(TRIPS_POLLING, there, back)
    })
}

/// What the protocol has in shared memory for one direction.
struct Ring {
    head: Line,
    tail: Line,
    descriptors: Vec<Descriptors>,
    buffers: Vec<Buffer>,
}

/// Those of a cache line: length and flags, offset.
#[derive(Default)]
#[repr(align(64))]
struct Descriptors([[AtomicU64; 2]; 4]);

#[derive(Default)]
#[repr(align(128))]
struct Buffer([AtomicU64; 8]);

impl Ring {
    const SLOTS: u32 = 1024;

    fn new() -> Self {
        let buffers = (0..Self::SLOTS).map(|_| Buffer::default()).collect();
        let descriptors = (0..Self::SLOTS / 4).map(|_| Descriptors::default());
        Self {
            head: Line(AtomicU32::new(0)),
            tail: Line(AtomicU32::new(0)),
            descriptors: descriptors.collect(),
            buffers,
        }
    }

    fn descriptor(&self, number: u32) -> &[AtomicU64; 2] {
        let slot = (number % Self::SLOTS) as usize;
        &self.descriptors[slot / 4].0[slot % 4]
    }

    /// The packet with this number, from 0.
    fn send(&self, number: u32, packet: &[u64; 8]) {
        // Not next to the one before, as in the library.
        let offset = number.wrapping_mul(37) % Self::SLOTS;
        for (to, from) in self.buffers[offset as usize].0.iter().zip(packet) {
            to.store(*from, Ordering::Relaxed);
        }
        let [length, place] = self.descriptor(number);
        length.store(64, Ordering::Relaxed);
        place.store(offset.into(), Ordering::Relaxed);
        self.head.0.swap(number + 1, Ordering::SeqCst);
    }

    fn receive(&self, number: u32) -> [u64; 8] {
        await_value(&self.head.0, number + 1);
        let [length, place] = self.descriptor(number);
        let offset = place.load(Ordering::Relaxed);
        assert_eq!(length.load(Ordering::Relaxed), 64);
        let buffer = &self.buffers[offset as usize].0;
        let packet = std::array::from_fn(|at| buffer[at].load(Ordering::Relaxed));
        self.tail.0.store(number + 1, Ordering::Release);
        packet
    }
}

fn protocol() -> Outcome {
    let [to, from] = [Ring::new(), Ring::new()];
    thread::scope(|scope| {
        scope.spawn(|| (0..TRIPS_POLLING).for_each(|n| from.send(n, &to.receive(n))));
        let mut packet = [7; 8];
        let trip = |n| {
            let start = Instant::now();
            to.send(n, &packet);
            packet = from.receive(n);
            start.elapsed().as_nanos() as u64
        };
        Ok((0..TRIPS_POLLING).map(trip).collect())
    })
}

fn eventfds() -> Outcome {
    let [to, from] = [
        EventFd::from_flags(EfdFlags::empty())?,
        EventFd::from_flags(EfdFlags::empty())?,
    ];
    thread::scope(|scope| {
        let other = scope.spawn(|| -> nix::Result<()> {
            for _ in 0..TRIPS_INTERRUPT {
                to.read()?;
                from.write(1)?;
            }
            Ok(())
        });
        let there = |_| to.write(1).map(drop).map_err(Into::into);
        let back = |_| from.read().map(drop).map_err(Into::into);
        let times = trips(TRIPS_INTERRUPT, there, back);
        other.join().expect("the other thread does not panic")?;
        times
    })
}

/// One packet, looked for again and again, or waited for.
fn receive(handle: &mut PacketHandle, mode: RxMode, packet: &mut [u8]) -> Result<(), memif::Error> {
    loop {
        match handle.read_packet() {
            Ok(got) => {
                packet.copy_from_slice(&got);
                return Ok(());
            }
            Err(memif::Error::Eof(Eof::Empty)) if mode == RxMode::Polling => {
                std::hint::spin_loop();
            }
            Err(memif::Error::Eof(Eof::Empty)) => {
                let _ = handle.wait(None)?; // as the eventfds: a limit costs the kernel a timer
            }
            Err(e) => return Err(e),
        }
    }
}

fn memif(near: &mut PacketHandle, far: &mut PacketHandle, mode: RxMode, count: u32) -> Outcome {
    near.set_rx_mode(mode)?;
    far.set_rx_mode(mode)?;
    thread::scope(|scope| {
        let other = scope.spawn(|| -> Result<(), memif::Error> {
            let mut packet = [0; 64];
            for _ in 0..count {
                receive(far, mode, &mut packet)?;
                far.write_packet(&packet)?;
            }
            Ok(())
        });
        let mut packet = [7; 64];
        let times = (0..count)
            .map(|_| {
                let start = Instant::now();
                near.write_packet(&packet)?;
                receive(near, mode, &mut packet)?;
                Ok(start.elapsed().as_nanos() as u64)
            })
            .collect();
        other.join().expect("the other thread does not panic")?;
        times
    })
}

fn at(sorted: &[u64], share: f64) -> u64 {
    sorted[((sorted.len() - 1) as f64 * share) as usize]
}

fn main() -> Result<(), Box<dyn Error>> {
    let context = Context::new("roundtrip")?;
    let socket = format!("@memif-roundtrip-{}", std::process::id());
    let create = |role| context.create_interface(MemifConfig::new(&socket).role(role));
    let (master, slave) = (create(Role::Master)?, create(Role::Slave)?);
    slave.wait_link_up(None)?;
    master.wait_link_up(None)?;
    let mut near = slave.packet_handle(0)?.with_burst(1).with_timestamps(false);
    let mut far = master
        .packet_handle(0)?
        .with_burst(1)
        .with_timestamps(false);

    let names = [
        "cache line",
        "protocol",
        "memif, polling",
        "eventfds",
        "memif, interrupt",
    ];
    let mut medians: [Vec<u64>; 5] = Default::default();
    let mut all: [Vec<u64>; 5] = Default::default();
    for _ in 0..ROUNDS {
        let round = [
            cache_line()?,
            protocol()?,
            memif(&mut near, &mut far, RxMode::Polling, TRIPS_POLLING)?,
            eventfds()?,
            memif(&mut near, &mut far, RxMode::Interrupt, TRIPS_INTERRUPT)?,
        ];
        for (i, mut times) in round.into_iter().enumerate() {
            times.sort_unstable();
            medians[i].push(at(&times, 0.5));
            all[i].append(&mut times);
        }
    }
    println!("medians of {ROUNDS} rounds; p99 of all trips");
    for (i, bare) in [&[][..], &[0], &[0, 1], &[], &[3]].into_iter().enumerate() {
        all[i].sort_unstable();
        let mut sorted = medians[i].clone();
        sorted.sort_unstable();
        let p50 = at(&sorted, 0.5);
        let p99 = at(&all[i], 0.99);
        print!("{:17} p50 {p50:6} ns, p99 {p99:7} ns", names[i]);
        for bare in bare.iter().copied() {
            let pairs = medians[bare].iter().zip(&medians[i]);
            let mut ratios: Vec<f64> = pairs.map(|(bare, it)| *it as f64 / *bare as f64).collect();
            ratios.sort_unstable_by(f64::total_cmp);
            print!(
                "; {:.2} times the {}",
                ratios[ratios.len() / 2],
                names[bare]
            );
        }
        println!();
    }
    Ok(())
}

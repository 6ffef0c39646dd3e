//! Round trips of 64 bytes between two threads, beside what they are made of: a cache line that
//! goes to the other core and back, and a pair of eventfds. All four in turn, again and again.
//!
//!     cargo bench --bench roundtrip

use std::error::Error;
use std::sync::atomic::{AtomicU32, Ordering};
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
        "memif, polling",
        "eventfds",
        "memif, interrupt",
    ];
    let mut medians: [Vec<u64>; 4] = Default::default();
    let mut all: [Vec<u64>; 4] = Default::default();
    for _ in 0..ROUNDS {
        let round = [
            cache_line()?,
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
    for i in 0..4 {
        all[i].sort_unstable();
        let mut sorted = medians[i].clone();
        sorted.sort_unstable();
        let p50 = at(&sorted, 0.5);
        let p99 = at(&all[i], 0.99);
        print!("{:17} p50 {p50:6} ns, p99 {p99:7} ns", names[i]);
        if i % 2 == 1 {
            let mut ratios: Vec<f64> = medians[i - 1]
                .iter()
                .zip(&medians[i])
                .map(|(bare, memif)| *memif as f64 / *bare as f64)
                .collect();
            ratios.sort_unstable_by(f64::total_cmp);
            print!(
                "; {:.2} times the {}",
                ratios[ratios.len() / 2],
                names[i - 1]
            );
        }
        println!();
    }
    Ok(())
}

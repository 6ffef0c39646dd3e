//! What borrowed reads gain: of packets of 1518 bytes nine of ten are dropped by their first 64.
//!
//!     cargo bench --bench views
//!
//! One thread sends and receives by turns, so that only reading is timed, both ways alternating.

use std::hint::black_box;
use std::time::{Duration, Instant};

use memif::{Burst, Context, Error, MemifConfig, Role, RxQueue};

const PACKETS: usize = 64;
const LENGTH: usize = 1518;
const ROUNDS: usize = 20_000;

/// By a byte of the first 64, after a look at all of them, as a filter takes it.
fn wanted(head: &[u8]) -> bool {
    head[20] == 0 && head.iter().map(|b| u32::from(*b)).sum::<u32>() < u32::MAX
}

fn copying(queue: &mut RxQueue, burst: &mut Burst, kept: &mut [u8]) -> Result<usize, Error> {
    let mut count = 0;
    queue.rx_burst(burst)?;
    for packet in &*burst {
        if wanted(&packet[..64]) {
            kept[..packet.len()].copy_from_slice(&packet);
            black_box(&kept);
            count += 1;
        }
    }
    Ok(count)
}

fn viewing(queue: &mut RxQueue, kept: &mut [u8]) -> Result<usize, Error> {
    let mut count = 0;
    for view in &queue.views(PACKETS as u16)? {
        if view.head::<64>()?.is_some_and(|head| wanted(&head)) {
            view.copy_to(kept)?;
            black_box(&kept);
            count += 1;
        }
    }
    Ok(count)
}

/// What other programs delay does not count.
fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn main() -> Result<(), Error> {
    let context = Context::new("bench")?;
    let socket = format!("@memif-bench-views-{}", std::process::id());
    let master = context.create_interface(MemifConfig::new(&socket).role(Role::Master))?;
    let slave = context.create_interface(MemifConfig::new(&socket))?;
    slave.wait_link_up(None)?;
    master.wait_link_up(None)?;
    let packets: Vec<_> = (0..PACKETS)
        .map(|n| {
            let mut packet = vec![1; LENGTH];
            packet[20] = (n % 10) as u8;
            packet
        })
        .collect();
    for (name, from, to) in [("master", &slave, &master), ("slave", &master, &slave)] {
        let (mut tx, mut rx) = (from.tx_queue(0)?, to.rx_queue(0)?);
        let mut burst = Burst::new(PACKETS as u16);
        let mut kept = vec![0; LENGTH];
        let mut times = [(); 2].map(|()| Vec::with_capacity(ROUNDS));
        for round in 0..ROUNDS {
            assert_eq!(tx.tx_burst(&packets)?, PACKETS);
            let start = Instant::now();
            let count = match round % 2 {
                0 => copying(&mut rx, &mut burst, &mut kept)?,
                _ => viewing(&mut rx, &mut kept)?,
            };
            times[round % 2].push(start.elapsed());
            assert_eq!(count, PACKETS.div_ceil(10));
        }
        let each = times.map(|time| median(time).as_nanos() as f64 / PACKETS as f64);
        println!(
            "{name}: copying {:.1} ns a packet, views {:.1} ns: {:.2} times as fast",
            each[0],
            each[1],
            each[0] / each[1]
        );
    }
    Ok(())
}

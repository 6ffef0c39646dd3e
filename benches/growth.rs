//! How packets per second follow from the size of packets, rings and bursts, and from the number of
//! queues and links; and connections per second from the links that are there already.
//!
//!     cargo bench --bench growth >growth.json     # one JSON object a line
//!     docs/draw-growth growth.json                # curves, as docs/growth.svg
//!
//! Both ends of a queue are in one thread: a burst is sent and then received. Each queue has a
//! thread of its own; all links are in one context and one thread, and each has its burst in turn.
//! Rounds over all points, and of each point the median.

use std::sync::Barrier;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use memif::{Burst, Context, Error, Memif, MemifConfig, Role, RxMode, RxQueue, TxQueue};

const ROUNDS: usize = 5;
const TIME: Duration = Duration::from_millis(100);

/// A place on a curve; what is not varied has these values.
#[derive(Clone, Copy)]
struct Point {
    length: usize,
    log2_ring_size: u8,
    burst: u16,
    queues: u8,
    links: usize,
}

const USUAL: Point = Point {
    length: 64,
    log2_ring_size: 10,
    burst: 32,
    queues: 1,
    links: 1,
};

fn curves() -> Vec<(&'static str, usize, Point)> {
    let mut points = Vec::new();
    for length in [64, 128, 256, 512, 1024, 1518, 2048, 4096, 9000] {
        points.push(("bytes", length, Point { length, ..USUAL }));
    }
    for log2_ring_size in 5..=14 {
        let point = Point {
            log2_ring_size,
            ..USUAL
        };
        points.push(("slots", 1 << log2_ring_size, point));
    }
    for burst in [1, 2, 4, 8, 16, 32, 64, 128, 256] {
        points.push(("burst", burst.into(), Point { burst, ..USUAL }));
    }
    for queues in 1..=8 {
        points.push(("queues", queues.into(), Point { queues, ..USUAL }));
    }
    for links in [1, 2, 5, 10, 20, 50, 100, 200] {
        points.push(("links", links, Point { links, ..USUAL }));
    }
    points
}

fn link(context: &Context, point: Point) -> Result<[Memif; 2], Error> {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let socket = format!("@memif-growth-{}-{number}", std::process::id());
    let config = MemifConfig::new(&socket).queues(point.queues, point.queues);
    // The master first, so that no slave waits for its timer.
    let master = context.create_interface(config.clone().role(Role::Master))?;
    let slave = context.create_interface(config.log2_ring_size(point.log2_ring_size))?;
    slave.wait_link_up(None)?;
    master.wait_link_up(None)?;
    Ok([master, slave])
}

/// Both ends of a queue of each link.
fn ends(links: &[[Memif; 2]], queue: u8) -> Result<Vec<(TxQueue, RxQueue)>, Error> {
    let of = |[master, slave]: &[Memif; 2]| {
        let mut receiver = master.rx_queue(queue)?;
        receiver.set_rx_mode(RxMode::Polling)?;
        Ok((slave.tx_queue(queue)?, receiver))
    };
    links.iter().map(of).collect()
}

/// Packets that went over these queues, each in turn, from when until when.
fn pass(ends: &mut [(TxQueue, RxQueue)], point: Point) -> Result<(usize, [Instant; 2]), Error> {
    let packets = vec![vec![1; point.length]; point.burst.into()];
    let mut burst = Burst::new(point.burst);
    let mut count = 0;
    let start = Instant::now();
    while start.elapsed() < TIME {
        for _ in 0..1 + 64 / ends.len() {
            for (sender, receiver) in &mut *ends {
                let mut left = sender.tx_burst(&packets)?;
                count += left;
                while left > 0 {
                    left -= receiver.rx_burst(&mut burst)?;
                }
            }
        }
    }
    Ok((count, [start, Instant::now()]))
}

/// Million packets per second.
fn mpps(point: Point) -> Result<f64, Error> {
    let context = Context::new("growth")?;
    let links = (0..point.links).map(|_| link(&context, point));
    let links = links.collect::<Result<Vec<_>, _>>()?;
    let together = Barrier::new(point.queues.into());
    thread::scope(|scope| {
        let run = |queue| {
            let ends = ends(&links, queue);
            together.wait();
            pass(&mut ends?, point)
        };
        let threads = (0..point.queues).map(|queue| scope.spawn(move || run(queue)));
        let threads: Vec<_> = threads.collect();
        let passes = threads.into_iter().map(|t| t.join().expect("no panic"));
        let passes = passes.collect::<Result<Vec<_>, _>>()?;
        let packets: usize = passes.iter().map(|(packets, _)| packets).sum();
        let start = passes.iter().map(|(_, [start, _])| *start).min();
        let end = passes.iter().map(|(_, [_, end])| *end).max();
        let took = start.zip(end).map(|(start, end)| end - start);
        Ok(packets as f64 / took.unwrap_or_default().as_secs_f64() / 1e6)
    })
}

/// Links made one after the other, while others are there.
fn connections(others: usize) -> Result<f64, Error> {
    const LINKS: usize = 50;
    let context = Context::new("growth")?;
    let _others = (0..others)
        .map(|_| link(&context, USUAL))
        .collect::<Result<Vec<_>, _>>()?;
    let start = Instant::now();
    let links = (0..LINKS).map(|_| link(&context, USUAL));
    let links = links.collect::<Result<Vec<_>, _>>()?;
    Ok(links.len() as f64 / start.elapsed().as_secs_f64())
}

fn main() -> Result<(), Error> {
    let curves = curves();
    let others = [0, 50, 100, 200];
    let mut rates = vec![Vec::with_capacity(ROUNDS); curves.len() + others.len()];
    for _ in 0..ROUNDS {
        for (rates, (_, _, point)) in rates.iter_mut().zip(&curves) {
            rates.push(mpps(*point)?);
        }
        for (rates, others) in rates[curves.len()..].iter_mut().zip(others) {
            rates.push(connections(others)?);
        }
    }
    let names = curves.iter().map(|(name, at, _)| (*name, *at));
    let names = names.chain(others.map(|others| ("connections", others)));
    for ((name, at), rates) in names.zip(&mut rates) {
        rates.sort_by(f64::total_cmp);
        println!(
            r#"{{"curve":"{name}","at":{at},"rate":{:.3},"low":{:.3},"high":{:.3}}}"#,
            rates[ROUNDS / 2],
            rates[0],
            rates[ROUNDS - 1]
        );
    }
    Ok(())
}

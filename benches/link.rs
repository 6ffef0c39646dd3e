//! What a link costs besides its packets: the time to connect, and the memory of links that are
//! idle.
//!
//!     cargo bench --bench link
//!
//! Both ends are in this process. The regions are shared memory, which the system counts apart.

use std::error::Error;
use std::fs;
use std::time::{Duration, Instant};

use memif::{Context, Memif, MemifConfig, Role};

const CONNECTS: usize = 101;
const LINKS: usize = 64;

/// Memory of this process alone, in KiB.
fn private_kib() -> Result<f64, Box<dyn Error>> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|l| l.strip_prefix("RssAnon:"));
    let number = line.and_then(|l| l.split_whitespace().next());
    Ok(number.ok_or("no RssAnon in /proc/self/status")?.parse()?)
}

fn link(context: &Context, number: usize) -> Result<[Memif; 2], Box<dyn Error>> {
    let socket = format!("@memif-link-{}-{number}", std::process::id());
    // The master first, so that no slave waits for its timer.
    let master = context.create_interface(MemifConfig::new(&socket).role(Role::Master))?;
    let slave = context.create_interface(MemifConfig::new(&socket))?;
    slave.wait_link_up(None)?;
    master.wait_link_up(None)?;
    Ok([master, slave])
}

fn main() -> Result<(), Box<dyn Error>> {
    let context = Context::new("link")?;
    let mut times = (0..CONNECTS)
        .map(|number| {
            let start = Instant::now();
            let ends = link(&context, number)?;
            let took = start.elapsed();
            drop(ends);
            Ok(took)
        })
        .collect::<Result<Vec<Duration>, Box<dyn Error>>>()?;
    times.sort_unstable();
    println!(
        "connecting, from creating both interfaces to the link at both: median {:.3} ms, longest {:.3} ms",
        times[CONNECTS / 2].as_secs_f64() * 1e3,
        times[CONNECTS - 1].as_secs_f64() * 1e3
    );

    let before = private_kib()?;
    let links = (0..LINKS)
        .map(|number| link(&context, number))
        .collect::<Result<Vec<_>, _>>()?;
    let each = (private_kib()? - before) / LINKS as f64;
    println!("an idle link, both ends: {each:.1} KiB besides the regions, mean of {LINKS}");
    drop(links);
    Ok(())
}

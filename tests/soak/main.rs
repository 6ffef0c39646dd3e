//! Four links whose peers are killed, stopped and started again at random, while numbered packets
//! go both ways: none that was published is lost, duplicated or reordered, and nothing grows.
//!
//! ```sh
//! cargo test --release --test soak -- 600     # seconds; 3 unless given, 5 with MEMIF_LONG
//! cargo test --release --test soak -- 600 attacker
//! ```
//!
//! With an attacker, a hostile process runs random cases against a master and a slave of the same
//! context, for ten seconds of every twenty; round trips on a fifth link are measured with it and
//! without.

#[path = "../common/mod.rs"]
mod common;

mod attacker;
mod held;
mod peer;
mod side;
mod trips;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use attacker::Attacker;
use common::{ROLES, context, heap, is_long, other, socket, until};
use held::Held;
use memif::{MemifConfig, Role};
use peer::Process;
use side::Side;
use trips::Trips;

const LINKS: usize = 4;
/// For so long there is an attacker, and then none.
const ATTACKED: Duration = Duration::from_secs(10);

/// Pseudo-random numbers that follow from a seed.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.0 >> 33) % limit
    }

    fn milliseconds(&mut self, from: u64, to: u64) -> Duration {
        Duration::from_millis(from + self.below(to - from))
    }
}

/// A link, the process at its other end, and what happens to that next.
struct Link {
    socket: String,
    role: Role,
    peer: Process,
    stopped: bool,
    due: Instant,
    side: Side,
}

#[derive(Debug, Default)]
struct Count {
    kills: u32,
    stops: u32,
    leaves: u32,
}

impl Link {
    /// Another process takes the peer's place.
    fn renew(&mut self, folder: &Path) {
        self.peer = Process::start(other(self.role), &self.socket, folder);
    }

    fn next(&mut self, random: &mut Random, count: &mut Count, folder: &Path) {
        self.due = Instant::now() + random.milliseconds(100, 1500);
        if std::mem::take(&mut self.stopped) {
            if random.below(3) > 0 {
                self.peer.go_on();
                return;
            }
            count.kills += 1; // while it is stopped
            self.peer.kill();
            self.renew(folder);
            return;
        }
        match random.below(10) {
            0..4 => {
                count.kills += 1;
                self.peer.kill();
                self.renew(folder);
            }
            4..6 => {
                count.leaves += 1;
                self.peer.leave();
                self.renew(folder);
            }
            _ => {
                count.stops += 1;
                self.stopped = true;
                self.peer.stop();
            }
        }
    }
}

/// All links are up, and packets cross in both directions.
fn all_flow(links: &[Link]) {
    for link in links {
        let before = (link.side.received(), link.peer.received());
        until("packets both ways", || {
            link.side.received() > before.0 && link.peer.received() > before.1
        });
    }
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let [peer, role, socket, file, number] = &args[..]
        && peer == "--peer"
    {
        peer::main(role, socket, file, number);
        return ExitCode::SUCCESS;
    }
    if let Some(code) = memif_hostile::child() {
        return code;
    }
    if let [attacker, master, slave, seed] = &args[..]
        && attacker == "--attacker"
    {
        attacker::main(master, slave, seed);
        return ExitCode::SUCCESS;
    }
    let attacked = args.iter().any(|arg| arg == "attacker");
    let seconds = args.iter().find_map(|arg| arg.parse().ok());
    // Options and names of other tests come here too.
    let list = args.iter().any(|arg| arg == "--list");
    let named =
        |arg: &String| !arg.starts_with('-') && !arg.starts_with("seed=") && arg != "attacker";
    if list
        || seconds.is_none()
            && args
                .iter()
                .filter(|arg| named(arg))
                .any(|arg| arg != "soak")
    {
        println!("soak: test");
        return ExitCode::SUCCESS;
    }
    heap::without_caches();
    let seconds = seconds.unwrap_or(if is_long() { 5 } else { 3 });
    let seed = args
        .iter()
        .find_map(|arg| arg.strip_prefix("seed=")?.parse().ok());
    let seed = seed.unwrap_or(u64::from(std::process::id()));
    let mut random = Random(seed);
    let folder = tempfile::tempdir().unwrap();
    let context = context();
    let ending = Arc::new(AtomicBool::new(false));
    let mut links: Vec<Link> = (0..LINKS)
        .map(|i| {
            let (role, socket) = (ROLES[i % 2], socket());
            let config = MemifConfig::new(&socket).role(role).log2_ring_size(8);
            let memif = context.create_interface(config).unwrap();
            Link {
                peer: Process::start(other(role), &socket, folder.path()),
                side: Side::start(memif, PathBuf::from(folder.path()), Arc::clone(&ending)),
                role,
                socket,
                stopped: false,
                due: Instant::now() + random.milliseconds(100, 1500),
            }
        })
        .collect();

    let mut attacker = attacked.then(|| {
        let trips = Trips::start(&context, &links[0].socket, Arc::clone(&ending));
        (Attacker::start(&context, &links[0].socket, seed), trips)
    });

    // Once through all, for what is made at first use.
    let mut count = Count::default();
    all_flow(&links);
    for link in &mut links {
        link.peer.kill();
        link.renew(folder.path());
    }
    all_flow(&links);
    if let Some((attacker, _)) = &mut attacker {
        attacker.go();
        thread::sleep(ATTACKED);
        attacker.stop();
        all_flow(&links);
    }
    let look = Duration::from_secs(if is_long() { 2 } else { 1 });
    let before = Held::over(look);
    println!("{seconds} s, {LINKS} links, seed={seed}\nat the start  {before}");

    let start = Instant::now();
    let mut told = 0;
    let mut is_attacked = false;
    while start.elapsed().as_secs() < seconds {
        thread::sleep(Duration::from_millis(10));
        for link in &mut links {
            if link.due <= Instant::now() {
                link.next(&mut random, &mut count, folder.path());
            }
        }
        if let Some((attacker, trips)) = &mut attacker {
            let now = (start.elapsed().as_secs() / ATTACKED.as_secs()).is_multiple_of(2);
            if now != std::mem::replace(&mut is_attacked, now) {
                if now {
                    attacker.go()
                } else {
                    attacker.stop()
                }
                trips.attacked(now);
            }
        }
        let minute = start.elapsed().as_secs() / 60;
        if minute > told {
            told = minute;
            println!("after {minute:>3} min {}, {count:?}", Held::now());
        }
    }
    if let Some((attacker, _)) = &mut attacker
        && is_attacked
    {
        attacker.stop();
    }
    for link in &mut links {
        if link.stopped {
            link.peer.go_on();
        }
    }
    all_flow(&links);
    let after = Held::over(look);
    println!("at the end    {after}");

    for link in &mut links {
        link.peer.leave();
    }
    ending.store(true, Ordering::Release);
    if let Some((attacker, trips)) = attacker {
        let [without, with] = trips.finish();
        println!(
            "{} hostile cases; round trips, half and 99 % within: {without:?} without them, {with:?} meanwhile",
            attacker.cases
        );
    }
    let mut faults = Vec::new();
    for (i, link) in links.into_iter().enumerate() {
        let told = link.side.finish();
        println!("link {i}, ours is the {}: {told}", link.role);
        faults.extend(told.faults.iter().map(|fault| format!("link {i}: {fault}")));
    }
    // What is left is of processes of which not a single packet came.
    faults.extend(peer::left(folder.path()));
    faults.extend(before.grown_to(&after));
    println!("{count:?}; {} faults", faults.len());
    for fault in &faults {
        println!("FAILED {fault}");
    }
    ExitCode::from(u8::from(!faults.is_empty()))
}

//! What a hostile peer can do, one case after another, in both roles, as a table:
//!
//! ```sh
//! cargo test --test hostile              # all of it
//! cargo test --test hostile -- cookie    # cases that have the word
//! HOSTILE_RANDOM=10000 HOSTILE_SEED=7 cargo test --test hostile    # so many random ones before
//! ```
//!
//! After each case the victim must have logged a reason that names the offence, serve a peer that
//! behaves, and hold no more descriptors and mappings than before; over whole rounds of all cases
//! its memory must not grow. All the time another process asks the same victim (the table's `asked`
//! is its longest wait for an answer), and another link of it passes packets (`bursts`): neither
//! may wait for more than 5 ms, or `HOSTILE_DELAY_MS`.

#[path = "../common/mod.rs"]
mod common;

mod bystander;
mod log;
mod scene;
mod table;
mod victim;

use std::process::ExitCode;

use memif_hostile::{Role, cases, child};
use table::{Table, rounds};

fn main() -> ExitCode {
    if let Some(code) = child() {
        return code;
    }
    common::heap::without_caches();
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&String> = args.iter().filter(|a| !a.starts_with('-')).collect();
    let mut cases = cases::all();
    cases.retain(|case| words.iter().all(|word| case.title().contains(*word)));
    if args.iter().any(|arg| arg == "--list") {
        for case in &cases {
            println!("{}: test", case.title());
        }
        return ExitCode::SUCCESS;
    }
    log::install();
    scene::raise_descriptor_limit(4096);
    let (count, seed) = (number("HOSTILE_RANDOM", 200), number("HOSTILE_SEED", 1));
    let random = table::random(&cases, count as usize, seed);
    let mut table = Table::new(cases);
    match random {
        Ok(took) => {
            println!("{count} random cases; all was given back {took:.1?} after the last\n")
        }
        Err(why) => table.failures.push(why),
    }
    table.rounds();
    let count = |role| table.cases.iter().filter(|case| case.role == role).count();
    let others = table.longest();
    println!(
        "\n{} cases as master, {} as slave, {} times each: {} failures; the next peer waited {:.1?} at most, \
         others {:.1?} for an answer and {:.1?} for a packet; {} bytes of heap more after {} rounds",
        count(Role::Master),
        count(Role::Slave),
        rounds(),
        table.failures.len(),
        table.slowest,
        others.asked.longest,
        others.bursts,
        table.grown,
        rounds() - 1,
    );
    for failure in &table.failures {
        println!("FAILED {failure}");
    }
    ExitCode::from(u8::from(!table.failures.is_empty()))
}

/// A setting of the environment.
fn number(name: &str, unset: u64) -> u64 {
    let value = std::env::var(name).ok();
    value.map_or(unset, |text| text.parse().expect("a number"))
}

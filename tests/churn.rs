//! Interfaces that are made and closed from callbacks and from several threads. One test, alone in
//! its process: it looks at all that the process has.
//!
//! `CHURN_ROUNDS`: 1000 unless set, 10000 with MEMIF_LONG.

mod common;

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use memif::{MemifConfig, Role};

use common::{context, is_long, socket, until};

const THREADS: u32 = 4;

/// Open descriptors, and mappings of shared memory.
fn open() -> (usize, usize) {
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let regions = maps.lines().filter(|line| line.contains("memfd:")).count();
    (fs::read_dir("/proc/self/fd").unwrap().count(), regions)
}

fn resident_kib() -> u64 {
    let text = fs::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find(|l| l.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn small(socket: &str) -> MemifConfig {
    MemifConfig::new(socket).log2_ring_size(2).buffer_size(128)
}

/// On each thread slaves come and go, in one context; each closes itself in its callback,
/// which makes and closes another interface too.
fn churn(rounds: u32) -> u32 {
    let context = Arc::new(context());
    thread::scope(|scope| {
        let work = || {
            let (socket, links) = (socket(), Arc::new(AtomicU32::new(0)));
            let master = small(&socket).role(Role::Master);
            let _master = context.create_interface(master).unwrap();
            for done in 0..rounds / THREADS {
                let (weak, count) = (Arc::downgrade(&context), Arc::clone(&links));
                let slave = small(&socket).on_connect(move |memif| {
                    memif.close();
                    let context = weak.upgrade().expect("outlives its interfaces");
                    let other = MemifConfig::new(memif.socket()).id(77).role(Role::Master);
                    drop(context.create_interface(other).unwrap());
                    count.fetch_add(1, Ordering::Release);
                });
                let _slave = context.create_interface(slave).unwrap();
                until("the callback's end", || {
                    links.load(Ordering::Acquire) > done
                });
            }
            links.load(Ordering::Acquire)
        };
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(work)).collect();
        threads.into_iter().map(|t| t.join().unwrap()).sum()
    })
}

#[test]
fn thousands_of_interfaces_leave_nothing_behind() {
    let rounds = std::env::var("CHURN_ROUNDS").map(|n| n.parse().unwrap());
    let rounds = rounds.unwrap_or(if is_long() { 10_000 } else { 1_000 });
    // What the process keeps for itself.
    assert_eq!(churn(1_000), 1_000);
    let (before, resident) = (open(), resident_kib());
    assert_eq!(churn(rounds), rounds);
    let grown = resident_kib().saturating_sub(resident);
    // A callback may be the last that has the context.
    until("no more open than before", || {
        let now = open();
        now.0 <= before.0 && now.1 <= before.1
    });
    println!("{rounds} rounds, {grown} KiB grown");
    assert!(grown < 2048, "{grown} KiB grown");
}

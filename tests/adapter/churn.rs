//! Interfaces that are made and closed from callbacks and from several threads.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use memif::{MemifConfig, Role};

use crate::common::{context, socket, until, up};

const ROUNDS: u32 = 10_000;
const THREADS: u32 = 4;

fn open_descriptors() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
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
fn ten_thousand_interfaces_leave_nothing_behind() {
    let warm = churn(400);
    assert_eq!(warm, 400);
    let before = (open_descriptors(), resident_kib());
    assert_eq!(churn(ROUNDS), ROUNDS);
    // Other tests of this program run beside it, and have descriptors of their own.
    let mut after = (open_descriptors(), resident_kib());
    until("the descriptors' end", || {
        after = (open_descriptors(), resident_kib());
        after.0 <= before.0 + 64
    });
    assert!(after.1 < before.1 + 16 * 1024, "{before:?} {after:?}");
}

#[test]
fn one_callback_serves_many_interfaces() {
    let (master_context, slave_context) = (context(), context());
    let socket = socket();
    let seen = Arc::new(std::sync::Mutex::new(Vec::new()));
    let noted = Arc::clone(&seen);
    let config = MemifConfig::new(&socket)
        .role(Role::Master)
        .on_connect(move |memif| noted.lock().unwrap().push(memif.id()));
    let masters: Vec<_> = (0..10)
        .map(|id| {
            master_context
                .create_interface(config.clone().id(id))
                .unwrap()
        })
        .collect();
    let slaves: Vec<_> = (0..10)
        .map(|id| {
            slave_context
                .create_interface(MemifConfig::new(&socket).id(id))
                .unwrap()
        })
        .collect();
    masters.iter().chain(&slaves).for_each(up);
    until("all callbacks", || seen.lock().unwrap().len() == 10);
    let mut seen = seen.lock().unwrap().clone();
    seen.sort_unstable();
    assert!(seen.into_iter().eq(0..10));
}

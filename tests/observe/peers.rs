//! The hostile suite's cases of rings, regions and descriptors, while both ends are observed.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use memif::observe::{LinkId, Observer};
use memif::{Burst, Context, ErrorKind, MemifConfig};
use memif_hostile::peer::{BUFFER, LOG2};
use memif_hostile::{Case, Kind, RECONNECT, Role, Rule, Target, cases};

use crate::common::socket;
use crate::traffic::{own_links, turn};
use crate::victim::Victim;

/// Finds links, and reads all of their rings, until it is told to stop.
#[derive(Default)]
struct Watching {
    stop: AtomicBool,
    /// Links that were read, those whose rings contradicted themselves, those that were refused.
    read: AtomicUsize,
    broken: AtomicUsize,
    refused: AtomicUsize,
}

/// Also when a case fails: the threads would go on for ever.
struct Ending<'a>(&'a AtomicBool);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Watching {
    fn run(&self) {
        let mut burst = Burst::new(64);
        let mut known = HashSet::<LinkId>::new();
        let mut observers: Vec<Observer> = Vec::new();
        while !self.stop.load(Ordering::Relaxed) {
            for link in own_links() {
                if !known.insert(link.id()) {
                    continue;
                }
                match Observer::of(&link).attach() {
                    Ok(observer) => {
                        self.read.fetch_add(1, Ordering::Relaxed);
                        observers.push(observer);
                    }
                    Err(e) if e.kind() == ErrorKind::Again => {
                        known.remove(&link.id());
                    }
                    Err(_) => {
                        self.refused.fetch_add(1, Ordering::Relaxed);
                    }
                }
            }
            observers.retain_mut(|observer| {
                let mut ends = 0;
                for ring in observer.rings() {
                    // A ring that is written all the time has no last packet.
                    let read = (0..100).find_map(|_| match ring.rx_burst(&mut burst) {
                        Ok(0) => Some(Ok(())),
                        Ok(_) => None,
                        Err(e) => Some(Err(e)),
                    });
                    match read {
                        Some(Err(e)) if e.is_eof() => ends += 1,
                        Some(Err(e)) => {
                            assert_eq!(e.kind(), ErrorKind::MalformedMessage, "{e}");
                            self.broken.fetch_add(1, Ordering::Relaxed);
                        }
                        _ => {}
                    }
                }
                ends < observer.rings().len()
            });
        }
    }
}

fn victim(role: Role) -> (Context, Target) {
    let socket = socket();
    let target = Target::new(role, &socket).listening();
    let builder = Context::builder("victim").reconnect_interval(RECONNECT);
    let context = builder.build().unwrap();
    let role = match role {
        Role::Master => memif::Role::Master,
        Role::Slave => memif::Role::Slave,
    };
    let config = MemifConfig::new(&socket).role(role);
    let config = config
        .log2_ring_size(LOG2)
        .buffer_size(BUFFER as u16)
        .queues(1, 1);
    let victim = context.create_interface(config).unwrap();
    (context, target.with_inside(Victim(victim)))
}

fn is_of_memory(case: &Case) -> bool {
    use Rule::{Counters, Descriptor, OwnDescriptors, ReadOnce, Region, Ring};
    let rules = [Counters, Descriptor, OwnDescriptors, ReadOnce, Region, Ring];
    rules.contains(&case.rule) && case.kind == Kind::Plain
}

/// Each case, and after it a peer that behaves; both are links of this process with itself, so the
/// hostile peer is an end as well as its victim.
#[test]
fn hostile_ends_do_no_harm() {
    let _turn = turn();
    let watching = Watching::default();
    thread::scope(|scope| {
        // Three, as a search takes longer than many a link lives.
        let ending = Ending(&watching.stop);
        let threads: Vec<_> = (0..3).map(|_| scope.spawn(|| watching.run())).collect();
        let mut count = 0;
        for role in [Role::Master, Role::Slave] {
            let (_context, target) = victim(role);
            target.serves();
            for case in cases::all() {
                if case.role != role || !is_of_memory(&case) {
                    continue;
                }
                count += 1;
                let before = watching.read.load(Ordering::Relaxed);
                for _ in 0..4 {
                    case.attack(&target);
                    target.serves();
                    if watching.read.load(Ordering::Relaxed) > before {
                        break;
                    }
                }
            }
        }
        thread::sleep(Duration::from_millis(100));
        assert!(threads.iter().all(|thread| !thread.is_finished()));
        drop(ending);
        println!("{count} cases: {watching:?}");
    });
    assert!(watching.read.load(Ordering::Relaxed) > 0);
}

impl std::fmt::Debug for Watching {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let of = |n: &AtomicUsize| n.load(Ordering::Relaxed);
        write!(
            f,
            "{} links were read, {} rings contradicted themselves, {} links were refused",
            of(&self.read),
            of(&self.broken),
            of(&self.refused)
        )
    }
}

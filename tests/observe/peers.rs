//! The hostile suite's cases of rings, regions and descriptors, while both ends are observed.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use memif::observe::{LinkId, Observer};
use memif::{Burst, Context, ErrorKind, MemifConfig};
use memif_hostile::peer::{BUFFER, LOG2};
use memif_hostile::{Case, Inside, Kind, Queue, RECONNECT, Role, Rule, Target, cases};

use crate::common::{is_long, socket};
use crate::traffic::{own_links, turn};
use crate::victim::Victim;

/// The observers of all links that came up, and what came of them.
#[derive(Default)]
struct Watching {
    stop: AtomicBool,
    observers: Mutex<Vec<(LinkId, Observer)>>,
    /// Links that were observed while they were up, and those that were refused.
    attached: AtomicUsize,
    refused: AtomicUsize,
    /// Packets that were read, rings that contradicted themselves, links that were read to their end.
    packets: AtomicUsize,
    broken: AtomicUsize,
    ended: AtomicUsize,
}

/// Also when a case fails: the thread would go on for ever.
struct Ending<'a>(&'a Watching);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.stop.store(true, Ordering::Relaxed);
    }
}

fn count(of: &AtomicUsize, more: usize) {
    of.fetch_add(more, Ordering::Relaxed);
}

impl Watching {
    /// Observes each link that is there now and was not before. The thread waits meanwhile.
    fn attach(&self) {
        let mut observers = self.observers.lock().unwrap();
        for link in own_links() {
            if !link.is_up() || observers.iter().any(|(id, _)| *id == link.id()) {
                continue;
            }
            match Observer::of(&link).attach() {
                Ok(observer) => {
                    count(&self.attached, 1);
                    observers.push((link.id(), observer));
                }
                Err(e) => {
                    println!("refused: {e}");
                    count(&self.refused, 1);
                }
            }
        }
    }

    /// Links that an observer met while they were up.
    fn met(&self) -> usize {
        self.attached.load(Ordering::Relaxed) + self.refused.load(Ordering::Relaxed)
    }

    /// Reads all rings of all links, until it is told to stop.
    fn read(&self) {
        let mut burst = Burst::new(64);
        while !self.stop.load(Ordering::Relaxed) {
            self.observers.lock().unwrap().retain_mut(|(_, observer)| {
                let mut ends = 0;
                for ring in observer.rings() {
                    match ring.rx_burst(&mut burst) {
                        Ok(packets) => count(&self.packets, packets),
                        Err(e) if e.is_eof() => ends += 1,
                        Err(e) => {
                            assert_eq!(e.kind(), ErrorKind::MalformedMessage, "{e}");
                            count(&self.broken, 1);
                        }
                    }
                }
                let goes = ends == observer.rings().len();
                count(&self.ended, goes.into());
                !goes
            });
            thread::yield_now();
        }
    }
}

/// A victim whose links are observed as soon as they are up, which a case waits for.
struct Observed {
    victim: Victim,
    watching: Arc<Watching>,
}

impl Inside for Observed {
    fn is_link_up(&self) -> bool {
        self.victim.is_link_up()
    }

    fn shown(&self) -> String {
        self.victim.shown()
    }

    fn queue(&self) -> Box<dyn Queue> {
        if self.is_link_up() {
            self.watching.attach();
        }
        self.victim.queue()
    }
}

fn victim(role: Role, watching: &Arc<Watching>) -> (Context, Target) {
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
    let victim = Observed {
        victim: Victim(victim),
        watching: Arc::clone(watching),
    };
    (context, target.with_inside(victim))
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
    let watching = Arc::new(Watching::default());
    let (mut up, mut never_up) = (0, 0);
    thread::scope(|scope| {
        let ending = Ending(&watching);
        let reader = scope.spawn(|| watching.read());
        for role in [Role::Master, Role::Slave] {
            let (_context, target) = victim(role, &watching);
            target.serves();
            let of_memory = |case: &Case| case.role == role && is_of_memory(case);
            let some = if is_long() { 1 } else { 3 };
            for case in cases::all().into_iter().filter(of_memory).step_by(some) {
                let before = watching.met();
                case.attack(&target);
                match watching.met() > before {
                    true => up += 1,
                    // A region or a ring that is refused: there is no link to be observed.
                    false if matches!(case.rule, Rule::Region | Rule::Ring) => never_up += 1,
                    false => panic!("not observed: {}", case.title()),
                }
                target.serves();
            }
        }
        assert!(!reader.is_finished());
        drop(ending);
    });
    println!("{up} cases were observed, {never_up} had no link: {watching:?}");
}

impl std::fmt::Debug for Watching {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let of = |n: &AtomicUsize| n.load(Ordering::Relaxed);
        write!(
            f,
            "{} links, {} refused; {} packets, {} rings contradicted themselves, {} links ended",
            of(&self.attached),
            of(&self.refused),
            of(&self.packets),
            of(&self.broken),
            of(&self.ended)
        )
    }
}

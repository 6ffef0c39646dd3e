//! A victim, a link of its context that must not notice anything, and what is looked at after
//! each attack.

use std::cell::{Cell, RefCell};
use std::fs;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use crate::common::*;
use crate::peer::*;
use memif::{Context, ContextBuilder, Memif, MemifConfig, PacketHandle, Role};

/// In the victim's settings where a case wants one; must never be seen in a log.
pub(crate) const SECRET: &str = "hush-hush-hush";

/// How a case wants its victim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The same for all cases of a role.
    Plain,
    /// A handshake has 50 ms.
    Hasty,
    /// Eight unfinished handshakes at a time.
    Few,
    /// With a secret.
    Secret,
    /// 255 queues each way.
    Queues,
}

pub(crate) struct Scene {
    pub(crate) memif: Memif,
    pub(crate) socket: String,
    kind: Kind,
    /// For a slave: who listens.
    pub(crate) raw: RefCell<Option<Master>>,
    bystander: RefCell<[PacketHandle; 2]>,
    number: Cell<u64>,
    _contexts: [Context; 2],
}

impl Scene {
    pub(crate) fn new(role: Role, kind: Kind) -> Self {
        let settings: fn(ContextBuilder) -> ContextBuilder = match kind {
            Kind::Hasty => |b| b.handshake_timeout(Duration::from_millis(50)),
            Kind::Few => |b| b.max_half_open(8),
            _ => |b| b,
        };
        let builder = Context::builder("victim").reconnect_interval(Duration::from_millis(5));
        // Each case looks for its own.
        let builder = builder.peer_log_lines(u32::MAX);
        let context = settings(builder).build().unwrap();
        let other_context = context_of_others();
        let socket = socket();
        let raw = (role == Role::Slave).then(|| Master::listen(&socket));

        // On the same socket where that is possible.
        let beside = match role {
            Role::Master => socket.clone(),
            Role::Slave => crate::common::socket(),
        };
        let config = |r| MemifConfig::new(&beside).id(1).role(r);
        let master_context = [&other_context, &context][usize::from(role == Role::Master)];
        let slave_context = [&other_context, &context][usize::from(role == Role::Slave)];
        let master = config(Role::Master);
        let master = master_context.create_interface(master).unwrap();
        let slave = config(Role::Slave);
        let slave = slave_context.create_interface(slave).unwrap();
        up(&slave);
        up(&master);
        writable(&master);

        let victim = MemifConfig::new(&socket).role(role).name("victim");
        let victim = victim.log2_ring_size(LOG2).buffer_size(BUFFER as u16);
        let victim = match kind {
            Kind::Secret => victim.secret(SECRET),
            Kind::Queues => victim.queues(255, 255),
            _ => victim.queues(1, 1),
        };
        Self {
            memif: context.create_interface(victim).unwrap(),
            socket,
            kind,
            raw: RefCell::new(raw),
            bystander: RefCell::new([master, slave].map(|m| m.packet_handle(0, 4).unwrap())),
            number: Cell::new(0),
            _contexts: [context, other_context],
        }
    }

    /// As master: goes by the book up to this stage. For attacks on a slave.
    pub(crate) fn go(&self, stage: Stage) -> Link {
        let raw = self.raw.borrow();
        let raw = raw.as_ref().expect("who listens");
        // What the slave gave up while nobody answered is still in the queue.
        let mut link = None;
        until("a slave", || {
            link = raw.try_go(stage);
            link.is_some()
        });
        link.unwrap()
    }

    /// The default plan, with what this victim asks for.
    pub(crate) fn plan(&self) -> Plan {
        let mut plan = Plan::new(0);
        if self.kind == Kind::Secret {
            let init = &mut plan.steps[P_INIT];
            init.message = init.message.put(at::INIT_SECRET, SECRET.as_bytes());
        }
        plan
    }

    /// A link by the book, up on both sides. A slave's buffers are offered.
    pub(crate) fn link(&self) -> Link {
        let link = match self.memif.role() {
            Role::Slave => self.go(Stage::Up),
            Role::Master => loop {
                match self.plan().run(&self.socket) {
                    Outcome::Up(link) => break link,
                    // The one before is still there, or this was too slow.
                    Outcome::Refused(_) | Outcome::Dropped => std::thread::yield_now(),
                }
            },
        };
        // A waiter would be told of an earlier refusal.
        until("a link", || self.memif.is_link_up());
        if self.memif.role() == Role::Slave {
            until("offered buffers", || link.m2s().head() == 1 << LOG2);
        }
        link
    }

    pub(crate) fn handle(&self) -> PacketHandle {
        self.memif.packet_handle(0, 32).unwrap()
    }

    /// The victim serves a peer that behaves, and its other link has noticed nothing. How long
    /// the peer had to wait.
    pub(crate) fn serves(&self) -> Duration {
        let start = Instant::now();
        let link = self.link();
        let mut handle = self.handle();
        match self.memif.role() {
            Role::Master => {
                link.slave_sends(b"to the victim");
                assert_eq!(read(&mut handle), b"to the victim");
                link.offer();
                handle.write_packet(b"from the victim").unwrap();
                let ring = link.m2s();
                assert_eq!(link.data(ring.desc(0)), b"from the victim");
            }
            Role::Slave => {
                link.master_sends(b"to the victim");
                assert_eq!(read(&mut handle), b"to the victim");
                handle.write_packet(b"from the victim").unwrap();
                let ring = link.s2m();
                assert_eq!(link.data(ring.desc(0)), b"from the victim");
                ring.set_tail(1);
            }
        }
        let took = start.elapsed();
        link.wire.send(&Message::disconnect(0, "served"));
        drop(link);
        down(&self.memif);
        drop(handle);

        let [master, slave] = &mut *self.bystander.borrow_mut();
        self.number.set(self.number.get() + 1);
        for (to, from) in [(0, 1), (1, 0)] {
            let packet = pattern(self.number.get() * 2 + to, 100);
            let (writer, reader) = if from == 1 {
                (&mut *master, &mut *slave)
            } else {
                (&mut *slave, &mut *master)
            };
            writer.write_packet(&packet).unwrap();
            assert_same(&read(reader), &packet, "the other link");
        }
        took
    }

    /// Waits until a slave has asked again: then it has as many descriptors as ever.
    pub(crate) fn settle(&self) {
        if let Some(raw) = &*self.raw.borrow() {
            raw.wait_asked();
        }
    }
}

fn context_of_others() -> Context {
    let builder = Context::builder("other").reconnect_interval(Duration::from_millis(5));
    builder.build().unwrap()
}

/// What a process holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) descriptors: usize,
    /// Of shared memory.
    pub(crate) mappings: usize,
}

impl Held {
    pub(crate) fn now() -> Self {
        let maps = fs::read_to_string("/proc/self/maps").unwrap();
        // Without the one that counts.
        let folder = fs::read_dir("/proc/self/fd").unwrap();
        Self {
            descriptors: folder.count() - 1,
            mappings: maps.lines().filter(|line| line.contains("memfd:")).count(),
        }
    }

    /// Waits until no more is held than before: what is closed is so by the control thread, a
    /// moment after the other side sees it.
    pub(crate) fn returned(self) {
        until("as few descriptors and mappings as before", || {
            let now = Self::now();
            now.descriptors <= self.descriptors && now.mappings <= self.mappings
        });
    }
}

/// Bytes that malloc has given out, in C and Rust.
pub(crate) fn heap() -> usize {
    // SAFETY: takes no pointers.
    let info = unsafe { nix::libc::mallinfo2() };
    info.uordblks + info.hblkhd
}

/// So that a thousand raw peers fit beside all else; how many do.
pub(crate) fn raise_descriptor_limit(wanted: u64) -> u64 {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    let limit = soft.max(wanted.min(hard));
    setrlimit(Resource::RLIMIT_NOFILE, limit, hard).unwrap();
    limit
}

pub(crate) fn raw_fd(fd: &Fd) -> i32 {
    fd.as_raw_fd()
}

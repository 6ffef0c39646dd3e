//! A victim, a link of its context that must not notice anything, and what is looked at after
//! each attack.

use std::cell::RefCell;
use std::collections::HashSet;
use std::time::Duration;
use std::{fs, io};

use crate::bystander::Bystander;
use crate::common::*;
use crate::victim::Victim;
use memif::{Context, ContextBuilder, Memif, MemifConfig};
use memif_hostile::peer::{BUFFER, LOG2};
use memif_hostile::{Asked, Beside, Held, Kind, RECONNECT, Role, Target};

/// In the victim's settings where a case wants one; must never be seen in a log.
pub(crate) const SECRET: &str = "hush-hush-hush";

/// The interface that another process asks for all the time.
const BESIDE: &str = "beside";

pub(crate) struct Scene {
    pub(crate) target: Target,
    beside: RefCell<Beside>,
    bystander: Bystander,
    _beside: Memif,
    _contexts: [Context; 2],
}

impl Scene {
    pub(crate) fn new(role: Role, kind: Kind) -> Self {
        let settings: fn(ContextBuilder) -> ContextBuilder = match kind {
            Kind::Hasty => |b| b.handshake_timeout(Duration::from_millis(50)),
            Kind::Few => |b| b.max_half_open(8),
            _ => |b| b,
        };
        let builder = Context::builder("victim").reconnect_interval(RECONNECT);
        // Each case looks for its own.
        let builder = builder.peer_log_lines(u32::MAX);
        let before = threads();
        let context = settings(builder).build().unwrap();
        let control = threads().difference(&before).next().cloned();
        let control = control.map(|thread| format!("{}/task/{thread}", std::process::id()));
        let other_context = crate::common::context();
        let socket = socket();
        let secret = (kind == Kind::Secret).then_some(SECRET);
        let target = Target::new(role, &socket).with(0, secret).listening();

        // On the same socket where that is possible.
        let beside = match role {
            Role::Master => socket.clone(),
            _ => crate::common::socket(),
        };
        let config = |role| MemifConfig::new(&beside).id(1).role(role);
        let [master_context, slave_context] = match role {
            Role::Master => [&context, &other_context],
            _ => [&other_context, &context],
        };
        let master = config(memif::Role::Master);
        let master = master_context.create_interface(master).unwrap();
        let slave = config(memif::Role::Slave);
        let slave = slave_context.create_interface(slave).unwrap();
        up(&slave);
        up(&master);
        writable(&master);

        let role = match role {
            Role::Master => memif::Role::Master,
            _ => memif::Role::Slave,
        };
        let victim = MemifConfig::new(&socket).role(role).name("victim");
        let victim = victim.log2_ring_size(LOG2).buffer_size(BUFFER as u16);
        let victim = match kind {
            Kind::Secret => victim.secret(SECRET),
            Kind::Queues => victim.queues(255, 255),
            _ => victim.queues(1, 1),
        };
        let victim = context.create_interface(victim).unwrap();

        // A third interface, for the peer that asks.
        let beside = match role {
            memif::Role::Master => socket.clone(),
            _ => crate::common::socket(),
        };
        let third = MemifConfig::new(&beside).id(2).role(role).name(BESIDE);
        let third = context.create_interface(third).unwrap();
        let asker = Target::new(target.role, &beside).with(2, None);
        let asker = Beside::start(&asker, control.as_deref());
        let bystander = [master, slave].map(|m| m.packet_handle(0).unwrap().with_burst(4));
        Self {
            target: target.with_inside(Victim(victim)),
            beside: RefCell::new(asker),
            bystander: Bystander::start(bystander),
            _beside: third,
            _contexts: [context, other_context],
        }
    }

    /// The others begin to use the victim.
    pub(crate) fn go(&self) {
        self.beside.borrow_mut().go();
        self.bystander.go();
    }

    /// What the others saw.
    pub(crate) fn stop(&self) -> Others {
        let bursts = self.bystander.stop();
        let asked = self.beside.borrow_mut().stop();
        Others { asked, bursts }
    }

    /// What is made at first use is there, and each slave has asked for its link just now: for some
    /// seconds it holds a connection.
    pub(crate) fn settle(&self) {
        self.target.serves();
        self.go();
        self.stop();
        self.target.settle();
    }

    /// Whether a line of the log is about the peer beside.
    pub(crate) fn is_beside(&self, line: &str) -> bool {
        let process = format!("process {}", self.beside.borrow().pid());
        line.contains(BESIDE) || line.contains(&process)
    }
}

/// What the others saw while an attack ran.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Others {
    pub(crate) asked: Asked,
    /// The longest that a packet of the other link took there and back.
    pub(crate) bursts: Duration,
}

impl Others {
    fn each(self, other: Self, choose: fn(Duration, Duration) -> Duration) -> Self {
        let mut both = self;
        both.asked.longest = choose(self.asked.longest, other.asked.longest);
        both.bursts = choose(self.bursts, other.bursts);
        both
    }

    pub(crate) fn longer(self, other: Self) -> Self {
        self.each(other, Duration::max)
    }

    pub(crate) fn shorter(self, other: Self) -> Self {
        self.each(other, Duration::min)
    }

    /// The longest that any of them waited.
    pub(crate) fn waited(self) -> Duration {
        self.asked.longest.max(self.bursts)
    }
}

/// The threads of this process, to see which one is new.
fn threads() -> HashSet<String> {
    let tasks = fs::read_dir("/proc/self/task").unwrap();
    let name = |task: io::Result<fs::DirEntry>| task.unwrap().file_name().into_string().unwrap();
    tasks.map(name).collect()
}

/// Waits until no more is held than before: what is closed is so by another thread, a moment after
/// the other side sees it.
pub(crate) fn returned(before: Held) {
    until("as few descriptors and mappings as before", || {
        Held::here().is_within(before)
    });
}

/// So that a thousand raw peers fit beside all else; how many do.
pub(crate) fn raise_descriptor_limit(wanted: u64) -> u64 {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    let limit = soft.max(wanted.min(hard));
    setrlimit(Resource::RLIMIT_NOFILE, limit, hard).unwrap();
    limit
}

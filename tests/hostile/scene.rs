//! A victim, a link of its context that must not notice anything, and what is looked at after
//! each attack.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use crate::common::*;
use memif::{Context, ContextBuilder, Eof, Error, ErrorKind, Memif, MemifConfig, PacketHandle};
use memif_hostile::peer::{BUFFER, LOG2};
use memif_hostile::{Held, Inside, Kind, No, Queue, Role, Target};

/// In the victim's settings where a case wants one; must never be seen in a log.
pub(crate) const SECRET: &str = "hush-hush-hush";

pub(crate) struct Scene {
    pub(crate) target: Target,
    bystander: RefCell<[PacketHandle; 2]>,
    number: Cell<u64>,
    _contexts: [Context; 2],
}

struct Victim(Memif);

struct Packets(PacketHandle);

fn no(error: &Error) -> No {
    match error {
        Error::Eof(Eof::LinkDown) => No::LinkDown,
        Error::Eof(_) => No::Nothing,
        e if e.kind() == ErrorKind::MalformedMessage => No::Violation,
        e => No::Other(e.to_string()),
    }
}

impl Inside for Victim {
    fn is_link_up(&self) -> bool {
        self.0.is_link_up()
    }

    fn shown(&self) -> String {
        format!("{:?} {:?}", self.0, self.0.details())
    }

    fn queue(&self) -> Box<dyn Queue> {
        Box::new(Packets(self.0.packet_handle(0, 32).unwrap()))
    }
}

impl Queue for Packets {
    fn read(&mut self, wait: Duration) -> Result<Vec<u8>, No> {
        let packet = match wait {
            Duration::ZERO => self.0.read_packet(),
            wait => self.0.read_packet_timeout(Some(wait)),
        };
        packet.map(|packet| packet.to_vec()).map_err(|e| no(&e))
    }

    fn write(&mut self, packet: &[u8]) -> Result<(), No> {
        self.0.write_packet(packet).map_err(|e| no(&e))
    }
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
        let other_context = crate::common::context();
        let socket = socket();
        let secret = (kind == Kind::Secret).then_some(SECRET);
        let target = Target::new(role, &socket).with(0, secret);

        // On the same socket where that is possible.
        let beside = match role {
            Role::Master => socket.clone(),
            Role::Slave => crate::common::socket(),
        };
        let config = |role| MemifConfig::new(&beside).id(1).role(role);
        let [master_context, slave_context] = match role {
            Role::Master => [&context, &other_context],
            Role::Slave => [&other_context, &context],
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
            Role::Slave => memif::Role::Slave,
        };
        let victim = MemifConfig::new(&socket).role(role).name("victim");
        let victim = victim.log2_ring_size(LOG2).buffer_size(BUFFER as u16);
        let victim = match kind {
            Kind::Secret => victim.secret(SECRET),
            Kind::Queues => victim.queues(255, 255),
            _ => victim,
        };
        let victim = context.create_interface(victim).unwrap();
        Self {
            target: target.with_inside(Victim(victim)),
            bystander: RefCell::new([master, slave].map(|m| m.packet_handle(0, 4).unwrap())),
            number: Cell::new(0),
            _contexts: [context, other_context],
        }
    }

    /// The victim serves a peer that behaves, and its other link has noticed nothing. How long
    /// the peer had to wait.
    pub(crate) fn serves(&self) -> Duration {
        let took = self.target.serves();
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
}

/// Waits until no more is held than before: what is closed is so by another thread, a moment after
/// the other side sees it.
pub(crate) fn returned(before: Held) {
    until("as few descriptors and mappings as before", || {
        Held::here().is_within(before)
    });
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

//! Control messages in sequence: up to four raw peers against a socket with two interfaces.
//!
//! The input is a program: its first bytes choose the victim's role and settings, then each step
//! sends a message (the next legal one, or bent, with descriptors of any kind), polls, closes,
//! connects, writes into shared memory, or calls the victim's functions.
//!
//! What must hold: nothing crashes or leaks; every message that the victim sends is well formed;
//! each callback comes in its turn; no text holds anything unprintable, or the secret; and
//! afterwards a well-behaved peer is served.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::{Arc, OnceLock};

use libfuzzer_sys::arbitrary::Unstructured;
use nix::fcntl::{OFlag, open};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::socket::{AddressFamily, Shutdown, SockFlag, SockType, shutdown, socket};
use nix::sys::stat::Mode;
use nix::unistd::pipe;

use crate::plan::*;
use crate::victim::*;
use memif_hostile::peer::*;

const WIRES: usize = 4;
const STEPS: usize = 160;

/// Runs one input.
pub fn run(data: &[u8]) {
    static BEFORE: OnceLock<Held> = OnceLock::new();
    let before = BEFORE.get_or_init(|| Held::after(|| World::new(Unstructured::new(&[])).end()));
    {
        let mut world = World::new(Unstructured::new(data));
        for _ in 0..STEPS {
            if world.input.is_empty() {
                break;
            }
            world.step();
        }
        world.end();
    }
    before.returns();
}

/// A raw peer's connection.
struct Peer {
    wire: Wire,
    /// What it would say by the book, and what of it comes next.
    steps: Vec<Step>,
    next: usize,
    /// Memory it knows.
    memory: Vec<Memory>,
}

struct World<'a> {
    input: Unstructured<'a>,
    // In this order: peers, interfaces, the socket.
    peers: [Option<Peer>; WIRES],
    ifaces: [Option<Box<Iface>>; 2],
    victim: Victim,
    path: String,
    master: bool,
    settings: u8,
    layout: Layout,
    /// Of the raw master.
    listener: Option<OwnedFd>,
    /// Steps so far that a poll may still have to handle.
    to_handle: usize,
}

impl<'a> World<'a> {
    fn new(mut input: Unstructured<'a>) -> Self {
        let settings: u8 = input.arbitrary().unwrap_or(0);
        let sizes: u8 = input.arbitrary().unwrap_or(0);
        let master = settings & 1 == 0;
        let path = path();
        let listener = (!master).then(|| raw_listener(&path));
        let victim = Victim::new(&path, settings & 2 != 0);
        let layout = Layout {
            log2: 1 + (sizes & 3),
            buffer: 64 << (sizes >> 6),
            s2m: 1 + u16::from(sizes >> 2 & 1),
            m2s: 1 + u16::from(sizes >> 3 & 1),
            single: sizes & 0x10 != 0,
        };
        let mut world = Self {
            input,
            peers: [const { None }; WIRES],
            ifaces: [const { None }; 2],
            victim,
            path,
            master,
            settings,
            layout,
            listener,
            to_handle: 0,
        };
        world.create(0);
        if settings & 4 != 0 {
            world.create(1);
        }
        world
    }

    fn u8(&mut self) -> u8 {
        self.input.arbitrary().unwrap_or(0)
    }

    fn u32(&mut self) -> u32 {
        self.input.arbitrary().unwrap_or(0)
    }

    fn create(&mut self, index: usize) {
        let shape = Shape {
            master: self.master,
            id: index as u32,
            secret: index == 1,
            s2m: 1 + u8::from(self.settings & 8 != 0),
            m2s: 1 + u8::from(self.settings & 16 != 0),
            log2: self.layout.log2,
            buffer: self.layout.buffer as u16,
            keep_unread: self.settings & 32 != 0,
            interrupts: self.settings & 64 != 0,
            allow_unsealed: self.settings & 128 != 0,
        };
        self.ifaces[index] = None;
        self.ifaces[index] = Iface::new(&self.victim, shape);
    }

    fn iface(&mut self) -> (usize, u8) {
        let choice = self.u8();
        (usize::from(choice & 1), choice >> 1)
    }

    fn step(&mut self) {
        self.to_handle += 1;
        match self.u8() % 20 {
            0..=7 => self.message(),
            8 | 9 => self.victim.poll(),
            10 => self.victim.poll_times(4),
            11 => {
                let at = usize::from(self.u8()) % WIRES;
                self.peers[at] = None;
            }
            12 | 13 => self.connect(),
            14 => self.call(),
            15 => {
                let (index, what) = self.iface();
                match what & 3 {
                    0 => self.ifaces[index] = None,
                    _ => self.create(index),
                }
            }
            16 => self.scribble(),
            17 => {
                let choice = self.u8();
                if let Some(peer) = &self.peers[usize::from(choice) % WIRES] {
                    let how = [Shutdown::Read, Shutdown::Write, Shutdown::Both]
                        [usize::from(choice >> 4) % 3];
                    let _ = shutdown(peer.wire.0.as_raw_fd(), how);
                }
            }
            18 => {
                let at = usize::from(self.u8()) % WIRES;
                self.listen_to(at);
            }
            _ => {
                // The whole handshake at once, in one of many inputs' way to a link.
                let at = usize::from(self.u8()) % WIRES;
                let left = self.peers[at]
                    .as_ref()
                    .map_or(0, |p| p.steps.len().saturating_sub(p.next));
                for _ in 0..left {
                    self.send_next(at);
                }
                self.victim.poll_times(left + 2);
            }
        }
    }

    /// As a slave connects, as a master accepts.
    fn connect(&mut self) {
        let at = usize::from(self.u8()) % WIRES;
        self.peers[at] = None;
        let (wire, steps, memory) = if self.master {
            // Nobody listens while there is no interface.
            if !self.ifaces.iter().flatten().any(|i| i.alive()) {
                return;
            }
            let Some(wire) = try_connect(&self.path) else {
                return;
            };
            let id = (at & 1) as u32;
            let plan = self.layout.plan(id, if id == 1 { SECRET } else { b"" });
            (wire, plan.steps, plan.regions)
        } else {
            let listener = self.listener.as_ref().expect("a master listens");
            let Some(wire) = try_accept(listener) else {
                return;
            };
            let rings =
                2 + usize::from(self.settings & 8 != 0) + usize::from(self.settings & 16 != 0);
            let messages = master_messages(2, rings);
            (
                wire,
                messages.iter().map(|m| Step::new(*m, &[])).collect(),
                Vec::new(),
            )
        };
        self.peers[at] = Some(Peer {
            wire,
            steps,
            next: 0,
            memory,
        });
    }

    fn send_next(&mut self, at: usize) {
        if let Some(peer) = &mut self.peers[at]
            && let Some(step) = peer.steps.get(peer.next)
        {
            let _ = step.send(&peer.wire);
            peer.next += 1;
            self.to_handle += 1;
        }
    }

    /// The next by the book, or any, bent.
    fn message(&mut self) {
        let choice = self.u8();
        let at = usize::from(choice & 3);
        let Some(peer) = &self.peers[at] else { return };
        if choice >> 2 < 24 {
            return self.send_next(at);
        }
        let any = choice >> 2 < 40;
        let mut step = if any {
            Step::new(Message::new(u16::from(choice >> 2)), &[])
        } else {
            let which = if choice & 4 == 0 {
                peer.next
            } else {
                usize::from(choice >> 3)
            };
            match peer.steps.get(which) {
                Some(step) => step.clone(),
                None => Step::new(Message::disconnect(choice.into(), "fuzz"), &[]),
            }
        };
        let bends = self.u8();
        for _ in 0..(bends & 3) {
            let (place, value) = (usize::from(self.u8()) % 128, self.u32().to_ne_bytes());
            let width = (1 << (bends >> 2 & 3)).min(4).min(128 - place);
            step.message = step.message.put(place, &value[..width]);
        }
        match bends >> 4 {
            0..=9 => {}
            10 => step.length = self.u8().into(),
            11 => step.fds.clear(),
            12 => step.fds = vec![self.descriptor()],
            13 => {
                let fd = self.descriptor();
                step.fds.push(fd);
            }
            14 => step.fds = vec![self.descriptor(); 253],
            _ => {
                let kind = self.u8();
                step.fds = (0..kind % 6).map(|_| self.descriptor()).collect();
            }
        }
        let peer = self.peers[at].as_mut().expect("it was there");
        let _ = step.send(&peer.wire);
        if !any {
            peer.next += 1;
        }
    }

    fn descriptor(&mut self) -> Fd {
        let choice = self.u8();
        let size = 4096 * usize::from(1 + (choice >> 4));
        let own = |fd| Arc::new(fd);
        match choice & 15 {
            0 => eventfd(),
            1 => Memory::file(size),
            2 => Arc::clone(&Memory::new(size).fd),
            3 => own(
                EventFd::from_value_and_flags(u32::MAX, EfdFlags::EFD_CLOEXEC)
                    .expect("eventfd")
                    .into(),
            ),
            4 => own(
                EventFd::from_flags(EfdFlags::EFD_SEMAPHORE | EfdFlags::EFD_CLOEXEC)
                    .expect("eventfd")
                    .into(),
            ),
            5 => own(pipe().expect("a pipe").0),
            6 => own(pipe().expect("a pipe").1),
            7 => file("/dev/zero", OFlag::O_RDWR),
            8 => file("/proc/self", OFlag::O_DIRECTORY),
            9 => file("/proc/self/status", OFlag::O_RDONLY),
            10 => own(socket(
                AddressFamily::Unix,
                SockType::SeqPacket,
                SockFlag::SOCK_CLOEXEC,
                None,
            )
            .expect("a socket")),
            11 => file("/", OFlag::O_PATH),
            12 => {
                let full = EventFd::from_flags(EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC)
                    .expect("eventfd");
                full.write(u64::MAX - 1).expect("it takes so much");
                own(full.into())
            }
            13 => match self.peers.iter().flatten().flat_map(|p| &p.memory).next() {
                Some(memory) => Arc::clone(&memory.fd),
                None => eventfd(),
            },
            14 => match self
                .peers
                .iter()
                .flatten()
                .flat_map(|p| p.steps.iter().flat_map(|s| &s.fds))
                .last()
            {
                Some(fd) => Arc::clone(fd),
                None => eventfd(),
            },
            _ => match self.peers.iter().flatten().next() {
                // A control socket over a control socket.
                Some(peer) => own(peer.wire.0.as_fd().try_clone_to_owned().expect("dup")),
                None => eventfd(),
            },
        }
    }

    fn scribble(&mut self) {
        let choice = self.u8();
        let (place, value) = (self.u32(), self.u32());
        let Some(peer) = &self.peers[usize::from(choice & 3)] else {
            return;
        };
        let Some(memory) = peer.memory.get(usize::from(choice >> 2 & 1)) else {
            return;
        };
        let place = (place as usize % memory.len()) & !3;
        if place + 4 <= memory.len() {
            memory.store32(place, value);
        }
    }

    fn call(&mut self) {
        let (index, what) = self.iface();
        let qid = u16::from(what >> 4 & 3);
        let space = usize::from(self.u8()) * 8;
        if what & 15 == 0 {
            return self.victim.late_event();
        }
        let Some(iface) = &self.ifaces[index] else {
            return;
        };
        match what & 15 {
            1 => iface.details(space),
            2 | 3 => _ = iface.receive(qid, space as u16),
            4 | 5 => _ = iface.send(qid, &[60, space as u32 + 1, 1000], 0),
            6 if iface.alive() => iface.connect(),
            7 => iface.close(),
            8 if iface.alive() => iface.set_polling(qid, space & 8 == 0),
            9 => _ = iface.wait(qid),
            10 => iface.look(qid),
            11..=15 => iface.react_next(
                [
                    Reaction::Close,
                    Reaction::Delete,
                    Reaction::Connect,
                    Reaction::Details,
                    Reaction::Receive,
                ][usize::from(what & 15) - 11],
            ),
            _ => {}
        }
    }

    /// Reads what the victim says to this peer.
    fn listen_to(&mut self, at: usize) {
        let Some(peer) = &mut self.peers[at] else {
            return;
        };
        while readable(&peer.wire) {
            // Messages of 128 bytes only. A victim that got this socket in a message empties it
            // before it closes it.
            let Ok(Some(received)) = peer.wire.take() else {
                return;
            };
            let m = received.message;
            let with_fd = matches!(m.kind(), ADD_REGION | ADD_RING);
            assert_eq!(
                received.fds.len(),
                usize::from(with_fd),
                "descriptors with {m:?}"
            );
            match m.kind() {
                HELLO => assert_eq!(m.0[at::HELLO_NAME + 31], 0),
                INIT => assert_eq!(m.0[at::INIT_NAME + 31], 0),
                CONNECT | CONNECTED => assert_eq!(m.0[at::CONNECT_NAME + 31], 0),
                DISCONNECT => {
                    let reason = m.reason();
                    assert!(
                        !reason.is_empty()
                            && reason.is_ascii()
                            && m.0[at::DISCONNECT_REASON + 95] == 0
                    );
                }
                ACK => assert!(m.0[2..].iter().all(|b| *b == 0)),
                ADD_REGION => {
                    let fd = received.fds.into_iter().next().expect("counted");
                    if peer.memory.len() < 8 {
                        peer.memory
                            .push(Memory::map(Arc::new(fd), m.u64(at::REGION_SIZE) as usize));
                    }
                }
                ADD_RING => {}
                kind => panic!("no message has the type {kind}"),
            }
        }
    }

    /// Everything is as at first, and works.
    fn end(&mut self) {
        self.victim.poll_times(2);
        for at in 0..WIRES {
            self.listen_to(at);
            self.peers[at] = None;
        }
        if let Some(iface) = &self.ifaces[1] {
            iface.react_next(Reaction::Nothing);
        }
        if let Some(iface) = &self.ifaces[0] {
            iface.react_next(Reaction::Nothing);
        }
        // What was in flight: a message of each connection at a time.
        let is_up = |iface: &Box<Iface>| iface.up() && self.listener.is_none();
        for _ in 0..1000 {
            self.victim.poll_times(self.to_handle + 2 * WIRES);
            if !self.ifaces.iter().flatten().any(is_up) {
                break;
            }
        }
        for iface in self.ifaces.iter().flatten() {
            assert!(!is_up(iface), "its peer has gone");
        }
        if let Some(listener) = &self.listener {
            while try_accept(listener).is_some() {}
        }
        self.create(0);
        let iface = self.ifaces[0].as_ref().expect("the id is free");
        let link = if self.master {
            // As many rings as every interface here has.
            let plan = Layout {
                s2m: 1,
                m2s: 1,
                ..self.layout
            }
            .plan(0, b"");
            let wire = try_connect(&self.path).expect("it listens");
            for step in &plan.steps {
                step.send(&wire).expect("it takes them");
            }
            self.victim.poll_times(plan.steps.len() + 2);
            Some(Link {
                wire,
                regions: plan.regions,
                s2m: plan.s2m,
                m2s: plan.m2s,
            })
        } else {
            let listener = self.listener.as_ref().expect("a master listens");
            let wire = try_accept(listener).expect("it connects at once");
            let s = iface.shape;
            let messages = master_messages(2, usize::from(s.s2m + s.m2s));
            for message in &messages {
                wire.send(message);
            }
            self.victim.poll_times(messages.len() + 2 + WIRES);
            slaves_link(wire)
        };
        assert!(iface.up(), "a well-behaved peer is not served");
        let link = link.expect("it is up");
        let mut arena = [0; 4096];
        if self.master {
            link.slave_sends(b"still alive");
        } else {
            link.master_sends(b"still alive");
        }
        let packets = iface.receive_into(0, &mut arena, 2048, 4).expect("a burst");
        assert_eq!(packets.len(), 1);
        assert_eq!(&arena[..11], b"still alive");
    }
}

fn file(path: &str, flags: OFlag) -> Fd {
    Arc::new(open(path, flags | OFlag::O_CLOEXEC, Mode::empty()).expect("every system has it"))
}

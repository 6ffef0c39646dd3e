//! Ring and descriptor memory under bursts: a link to a raw peer that writes anything anywhere.
//!
//! The input is a program: role, sizes and settings, then steps. Some are the peer's (descriptors,
//! counters, flags, eventfds, the file's size), some the victim's (bursts of both interfaces,
//! waiting, looking, polling, reconnecting).
//!
//! What must hold, besides no access outside the memory (guard.rs): a packet received is what the
//! descriptors say; a packet sent stands in its slots as it was given; no buffer is in two slots
//! at a time; an offence ends the link, with a reason, and then a new link works.

mod attacks;
mod bursts;

use std::sync::OnceLock;

use std::collections::HashSet;
use std::os::fd::AsRawFd;

use libfuzzer_sys::arbitrary::Unstructured;
use nix::fcntl::{FcntlArg, OFlag, fcntl};

use crate::ffi::*;
use crate::plan::*;
use crate::victim::*;
use memif_hostile::peer::*;

const STEPS: usize = 200;
const DISCONNECTED: i32 = MEMIF_ERR_DISCONNECTED as i32;
const MFMSG: i32 = MEMIF_ERR_MFMSG as i32;

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

/// What is known of a ring that the victim sends on.
#[derive(Clone, Copy, Default)]
struct Sending {
    /// Published so far.
    done: u16,
    /// Up to where the peer had taken them when the victim may have looked.
    taken: u16,
}

struct World<'a> {
    input: Unstructured<'a>,
    // In this order: the peer, the interface, the socket.
    link: Option<Link>,
    iface: Box<Iface>,
    victim: Victim,
    path: String,
    layout: Layout,
    master: bool,
    /// The 4.0 calls are used, which work in place.
    in_place: bool,
    /// Next slot to read, and whether that is known: no other call has read, no fault was met.
    read_next: Option<u16>,
    /// Slots that the victim has left to the peer so far: then it goes on elsewhere.
    overrun: u64,
    sending: Sending,
    /// Buffers of the 4.0 interface that the victim holds.
    reserved: Vec<memif_buffer_t>,
    number: u8,
    /// The peer has written nothing but packets to this link.
    honest: bool,
}

impl<'a> World<'a> {
    fn new(mut input: Unstructured<'a>) -> Self {
        let settings: u8 = input.arbitrary().unwrap_or(0);
        let sizes: u8 = input.arbitrary().unwrap_or(0);
        let master = settings & 1 == 0;
        let layout = Layout {
            log2: 1 + sizes % 6,
            buffer: [64, 100, 256, 1500][usize::from(sizes >> 4 & 3)],
            s2m: 1,
            m2s: 1,
            single: sizes & 0x40 != 0,
        };
        let path = path();
        let victim = Victim::new(&path, false);
        let shape = Shape {
            master,
            id: 0,
            secret: false,
            s2m: 1,
            m2s: 1,
            log2: layout.log2,
            buffer: layout.buffer as u16,
            keep_unread: settings & 2 != 0,
            interrupts: false,
            allow_unsealed: false,
        };
        let listener = (!master).then(|| raw_listener(&path));
        let iface = Iface::new(&victim, shape).expect("the first interface");
        if settings & 4 != 0 {
            iface.set_polling(0, true);
        }
        let mut world = Self {
            input,
            link: None,
            iface,
            victim,
            path,
            layout,
            master,
            in_place: settings & 8 != 0,
            read_next: None,
            overrun: 0,
            sending: Sending::default(),
            reserved: Vec::new(),
            number: 0,
            honest: true,
        };
        match listener {
            Some(listener) => {
                let wire = try_accept(&listener).expect("it has connected");
                world.serve(wire);
            }
            None => {
                let wire = try_connect(&world.path).expect("it listens");
                world.connect(wire);
            }
        }
        world
    }

    fn u8(&mut self) -> u8 {
        self.input.arbitrary().unwrap_or(0)
    }

    fn u16(&mut self) -> u16 {
        self.input.arbitrary().unwrap_or(0)
    }

    fn u32(&mut self) -> u32 {
        self.input.arbitrary().unwrap_or(0)
    }

    /// The raw slave connects to the victim.
    fn connect(&mut self, wire: Wire) {
        let plan = self.layout.plan(0, b"");
        for step in &plan.steps {
            step.send(&wire).expect("it takes them");
        }
        self.victim.poll_times(plan.steps.len() + 3);
        self.came_up(Link {
            wire,
            regions: plan.regions,
            s2m: plan.s2m,
            m2s: plan.m2s,
        });
        let link = self.link.as_ref().expect("just made");
        // HELLO, the ACKs and CONNECTED.
        while readable(&link.wire) {
            link.wire.receive().expect("the link is up");
        }
    }

    /// The raw master takes the victim's connection.
    fn serve(&mut self, wire: Wire) {
        let messages = master_messages(2, 2);
        for message in &messages {
            wire.send(message);
        }
        self.victim.poll_times(messages.len() + 3);
        let link = slaves_link(wire).expect("it comes up");
        self.came_up(link);
    }

    fn came_up(&mut self, link: Link) {
        assert!(self.iface.up(), "a well-behaved peer is not served");
        self.link = Some(link);
        // Packets of earlier links may come first.
        self.read_next = (self.iface.links.get() == 1).then_some(0);
        self.overrun = self.iface.overrun(0);
        self.sending = Sending::default();
        self.reserved.clear();
        self.honest = true;
        self.offer();
    }

    /// The ring that the victim reads, and the one that it writes.
    fn rings(&self) -> Option<(RingView<'_>, RingView<'_>)> {
        let link = self.link.as_ref()?;
        Some(if self.master {
            (link.s2m(), link.m2s())
        } else {
            (link.m2s(), link.s2m())
        })
    }

    /// All buffers for the victim's packets.
    fn offer(&mut self) {
        if self.master
            && let Some(link) = &self.link
        {
            link.offer();
        }
    }

    fn step(&mut self) {
        match self.u8() % 24 {
            0..=2 => self.peer_sends(),
            3 | 4 => self.bend_descriptor(),
            5 => self.bend_counter(),
            6 => self.bend_anything(),
            7 => self.peer_takes(),
            8 => self.bend_files(),
            9..=12 => self.receive(),
            13..=15 => self.send(),
            16 => _ = self.iface.wait(0),
            17 => {
                self.iface.look(0);
                self.victim_looks();
            }
            18 => {
                let polling = self.u8() & 1 == 0;
                self.iface.set_polling(0, polling);
            }
            19 => self.iface.details(2048),
            20 => {
                self.victim.poll();
                self.notice_end();
            }
            21 => {
                // Goes without a word; what it sent stays readable.
                self.link = None;
                self.victim.poll_times(3);
                assert!(!self.iface.up());
            }
            22 => self.reconnect(),
            _ => {
                let mode = self.u8();
                if mode == 0xc1 {
                    self.iface.close();
                    self.link = None;
                } else {
                    self.attack(mode);
                }
            }
        }
    }

    fn reconnect(&mut self) {
        if self.link.is_some() || !self.iface.alive() || self.iface.links.get() > 40 {
            return;
        }
        if self.master {
            // It may be closed.
            if let Some(wire) = try_connect(&self.path) {
                self.connect(wire);
            }
        } else {
            let listener = raw_listener(&self.path);
            self.iface.connect();
            if let Some(wire) = try_accept(&listener) {
                self.serve(wire);
            }
        }
    }

    /// The victim was told of one.
    fn offence(&mut self) {
        self.victim.poll_times(2);
        // It may have been on an earlier link, whose packets were read only now.
        let earlier = self.iface.shape.keep_unread && self.iface.links.get() > 1;
        assert!(earlier || !self.iface.up(), "an offence ends the link");
        self.notice_end();
    }

    /// After polling: the link is up, or the peer was told why not.
    fn notice_end(&mut self) {
        if self.iface.up() {
            return;
        }
        let Some(link) = self.link.take() else { return };
        let mut reason = None;
        while let Some(received) = link.wire.receive() {
            if received.message.kind() == DISCONNECT {
                reason = Some(received.message.reason());
            }
        }
        assert!(!reason.expect("a DISCONNECT").is_empty());
        self.read_next = None;
    }

    /// What had arrived is read to its end, and a new link works.
    fn end(&mut self) {
        self.victim.poll_times(2);
        self.notice_end();
        self.link = None;
        self.victim.poll_times(3);
        assert!(!self.iface.up());
        let mut arena = vec![0; 8192];
        for bursts in 0.. {
            match self.iface.receive_into(0, &mut arena, 4096, 64) {
                Err(DISCONNECTED) => break,
                Err(err) if err == MFMSG || self.in_place => {}
                Err(err) => panic!("an error that no peer can cause: {err}"),
                Ok(_) => {}
            }
            if self.in_place {
                break;
            }
            assert!(bursts < 4000, "the end never comes");
        }
    }
}

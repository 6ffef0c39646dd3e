//! A slave's handshake as a list of messages, which a test may bend.

use std::path::Path;
use std::sync::Arc;

use nix::errno::Errno;

use super::*;

/// A message that is to be sent, with what comes with it.
#[derive(Clone, Debug)]
pub struct Step {
    pub message: Message,
    pub fds: Vec<Fd>,
    /// Bytes of the message that are sent; more than 128 are zeros.
    pub length: usize,
}

impl Step {
    pub fn new(message: Message, fds: &[&Fd]) -> Self {
        Self {
            message,
            fds: fds.iter().map(|fd| Arc::clone(fd)).collect(),
            length: 128,
        }
    }

    pub fn put8(&mut self, at: usize, value: u8) {
        self.message = self.message.put8(at, value);
    }

    pub fn put16(&mut self, at: usize, value: u16) {
        self.message = self.message.put16(at, value);
    }

    pub fn put32(&mut self, at: usize, value: u32) {
        self.message = self.message.put32(at, value);
    }

    pub fn send(&self, wire: &Wire) -> Result<(), Errno> {
        let mut bytes = self.message.0.to_vec();
        bytes.resize(self.length, 0);
        wire.send_bytes(&bytes, &self.fds)
    }
}

/// How a plan ended.
#[derive(Debug)]
pub enum Outcome {
    Up(Link),
    Refused(Refusal),
    /// Closed without a word.
    Dropped,
}

/// The steps of the default plan: INIT, two regions, a ring each way, CONNECT.
pub const P_INIT: usize = 0;
pub const P_REGION0: usize = 1;
pub const P_REGION1: usize = 2;
pub const P_S2M: usize = 3;
pub const P_M2S: usize = 4;
pub const P_CONNECT: usize = 5;

/// Slots of the default plan's rings, as a power of two.
pub const LOG2: u8 = 4;
/// Bytes of its buffers.
pub const BUFFER: usize = 2048;

/// A slave's handshake and memory, legal until a test bends it.
#[derive(Debug)]
pub struct Plan {
    pub steps: Vec<Step>,
    pub regions: Vec<Memory>,
    pub s2m: Vec<Ring>,
    pub m2s: Vec<Ring>,
}

fn refused(wire: &Wire, message: &Message) -> Outcome {
    assert!(wire.receive().is_none(), "nothing follows DISCONNECT");
    Outcome::Refused(Refusal {
        code: message.u32(at::DISCONNECT_CODE),
        reason: message.reason(),
    })
}

impl Plan {
    /// Rings in region 0, buffers in region 1, as libmemif and VPP have it.
    pub fn new(id: u32) -> Self {
        let rings = 2 * ring_bytes(LOG2);
        Self::of(
            id,
            vec![Memory::new(rings), Memory::new(2 * (BUFFER << LOG2))],
            1,
            0,
        )
    }

    /// All in region 0, as DPDK has it.
    pub fn single_region(id: u32) -> Self {
        let rings = 2 * ring_bytes(LOG2);
        Self::of(
            id,
            vec![Memory::new(rings + 2 * (BUFFER << LOG2))],
            0,
            rings,
        )
    }

    fn of(id: u32, regions: Vec<Memory>, buffers_in: u16, mut at: usize) -> Self {
        let ring = |i: usize| Ring {
            region: 0,
            offset: i * ring_bytes(LOG2),
            log2: LOG2,
            efd: eventfd(),
        };
        let (s2m, m2s) = (ring(0), ring(1));
        let mut steps = vec![Step::new(Message::init(id), &[])];
        for (i, region) in regions.iter().enumerate() {
            let message = Message::add_region(i as u16, region.len() as u64);
            steps.push(Step::new(message, &[&region.fd]));
        }
        for (is_s2m, ring) in [(true, &s2m), (false, &m2s)] {
            let message = Message::add_ring(is_s2m, 0, 0, ring.offset as u32, LOG2);
            steps.push(Step::new(message, &[&ring.efd]));
            let view = RingView {
                memory: &regions[0],
                base: ring.offset,
                size: 1 << LOG2,
                efd: Arc::clone(&ring.efd),
            };
            view.set_cookie(COOKIE);
            for slot in 0..view.size {
                view.set_desc(
                    slot,
                    Desc {
                        region: buffers_in,
                        length: BUFFER as u32,
                        offset: at as u32,
                        ..Desc::default()
                    },
                );
                at += BUFFER;
            }
        }
        steps.push(Step::new(Message::connect(), &[]));
        Self {
            steps,
            regions,
            s2m: vec![s2m],
            m2s: vec![m2s],
        }
    }

    /// Waits for HELLO, and sends step after step, each when the one before is acknowledged.
    pub fn run(self, socket: impl AsRef<Path>) -> Outcome {
        let wire = Wire::connect(socket);
        match wire.receive() {
            Some(answer) if answer.message.kind() == DISCONNECT => refused(&wire, &answer.message),
            Some(answer) => {
                assert_eq!(answer.message.kind(), HELLO);
                self.run_on(wire)
            }
            None => Outcome::Dropped,
        }
    }

    pub fn run_on(self, wire: Wire) -> Outcome {
        for (i, step) in self.steps.iter().enumerate() {
            if step.send(&wire).is_err() {
                return Outcome::Dropped;
            }
            let Some(answer) = wire.receive() else {
                return Outcome::Dropped;
            };
            match answer.message.kind() {
                DISCONNECT => return refused(&wire, &answer.message),
                CONNECTED => assert_eq!(step.message.kind(), CONNECT),
                kind => assert_eq!(kind, ACK, "the answer to step {i}"),
            }
        }
        Outcome::Up(Link {
            wire,
            regions: self.regions,
            s2m: self.s2m,
            m2s: self.m2s,
        })
    }

    #[track_caller]
    pub fn up(self, socket: impl AsRef<Path>) -> Link {
        match self.run(socket) {
            Outcome::Up(link) => link,
            other => panic!("the plan failed: {other:?}"),
        }
    }

    #[track_caller]
    pub fn refused(self, socket: impl AsRef<Path>) -> Refusal {
        match self.run(socket) {
            Outcome::Refused(refusal) => {
                assert!(!refusal.reason.is_empty(), "a reason is given");
                refusal
            }
            other => panic!("not refused: {other:?}"),
        }
    }
}

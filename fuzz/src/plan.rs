//! The raw peer's handshakes, of any size; both sides of them.

use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::sync::Arc;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, UnixAddr, accept4, bind, listen, socket,
};

use memif_hostile::peer::*;

/// How a slave lays out its memory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout {
    pub(crate) log2: u8,
    pub(crate) buffer: u32,
    pub(crate) s2m: u16,
    pub(crate) m2s: u16,
    /// Rings and buffers in one region.
    pub(crate) single: bool,
}

impl Layout {
    pub(crate) fn rings(&self) -> usize {
        usize::from(self.s2m + self.m2s)
    }

    /// All messages of a slave, and the memory they speak of.
    pub(crate) fn plan(&self, id: u32, secret: &[u8]) -> Plan {
        let rings_size = self.rings() * ring_bytes(self.log2);
        let buffers_size = (self.rings() * self.buffer as usize) << self.log2;
        let (regions, buffers_in, mut at) = if self.single {
            (vec![Memory::new(rings_size + buffers_size)], 0, rings_size)
        } else {
            (
                vec![Memory::new(rings_size), Memory::new(buffers_size)],
                1,
                0,
            )
        };
        let init = Message::init(id).put(at::INIT_SECRET, secret);
        let mut plan = Plan {
            steps: vec![Step::new(init, &[])],
            regions,
            s2m: vec![],
            m2s: vec![],
        };
        for (i, region) in plan.regions.iter().enumerate() {
            let message = Message::add_region(i as u16, region.len() as u64);
            plan.steps.push(Step::new(message, &[&region.fd]));
        }
        for i in 0..self.rings() {
            let s2m = i < usize::from(self.s2m);
            let index = if s2m { i } else { i - usize::from(self.s2m) } as u16;
            let ring = Ring {
                region: 0,
                offset: i * ring_bytes(self.log2),
                log2: self.log2,
                efd: eventfd(),
            };
            let message = Message::add_ring(s2m, index, 0, ring.offset as u32, self.log2);
            plan.steps.push(Step::new(message, &[&ring.efd]));
            let view = RingView {
                memory: &plan.regions[0],
                base: ring.offset,
                size: 1 << self.log2,
                efd: Arc::clone(&ring.efd),
            };
            view.set_cookie(COOKIE);
            for slot in 0..view.size {
                let (region, length, offset) = (buffers_in, self.buffer, at as u32);
                view.set_desc(
                    slot,
                    Desc {
                        region,
                        length,
                        offset,
                        ..Desc::default()
                    },
                );
                at += self.buffer as usize;
            }
            if s2m { &mut plan.s2m } else { &mut plan.m2s }.push(ring);
        }
        plan.steps.push(Step::new(Message::connect(), &[]));
        plan
    }
}

/// All messages of a master for a slave with so many regions and rings.
pub(crate) fn master_messages(regions: usize, rings: usize) -> Vec<Message> {
    let mut messages = vec![
        Message::hello()
            .put16(at::HELLO_MAX_S2M, 255)
            .put16(at::HELLO_MAX_M2S, 255),
    ];
    messages.extend((0..1 + regions + rings).map(|_| Message::new(ACK)));
    messages.push(Message::connected());
    messages
}

/// What a slave has told a master that answered by the book.
pub(crate) fn slaves_link(wire: Wire) -> Option<Link> {
    let mut link = Link {
        wire,
        regions: vec![],
        s2m: vec![],
        m2s: vec![],
    };
    while readable(&link.wire) {
        let mut got = link.wire.receive()?;
        let m = got.message;
        match m.kind() {
            ADD_REGION => {
                let size = m.u64(at::REGION_SIZE) as usize;
                link.regions
                    .push(Memory::map(Arc::new(got.fds.remove(0)), size));
            }
            ADD_RING => {
                let ring = Ring {
                    region: m.u16(at::RING_REGION),
                    offset: m.u32(at::RING_OFFSET) as usize,
                    log2: m.0[at::RING_LOG2],
                    efd: Arc::new(got.fds.remove(0)),
                };
                if m.u16(at::RING_FLAGS) == 1 {
                    &mut link.s2m
                } else {
                    &mut link.m2s
                }
                .push(ring);
            }
            INIT => {}
            CONNECT => return Some(link),
            kind => panic!("message {kind} while shaking hands"),
        }
    }
    None
}

pub(crate) fn readable(wire: &Wire) -> bool {
    let mut fds = [PollFd::new(wire.0.as_fd(), PollFlags::POLLIN)];
    poll(&mut fds, PollTimeout::ZERO).is_ok_and(|n| n > 0)
}

pub(crate) fn raw_listener(path: &str) -> OwnedFd {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let fd = socket(AddressFamily::Unix, SockType::SeqPacket, flags, None).expect("a socket");
    let address = UnixAddr::new_abstract(&path.as_bytes()[1..]).expect("an address");
    bind(fd.as_raw_fd(), &address).expect("bind");
    listen(&fd, Backlog::new(64).expect("in range")).expect("listen");
    fd
}

/// `None`: nobody listens. Nothing blocks on this wire, nor on the next function's.
pub(crate) fn try_connect(path: &str) -> Option<Wire> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let fd = socket(AddressFamily::Unix, SockType::SeqPacket, flags, None).expect("a socket");
    let address = UnixAddr::new_abstract(&path.as_bytes()[1..]).expect("an address");
    nix::sys::socket::connect(fd.as_raw_fd(), &address).ok()?;
    Some(Wire(fd))
}

/// `None`: nobody connects.
pub(crate) fn try_accept(listener: &OwnedFd) -> Option<Wire> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let fd = accept4(listener.as_raw_fd(), flags).ok()?;
    // SAFETY: accept has just made it for us.
    Some(Wire(unsafe { OwnedFd::from_raw_fd(fd) }))
}

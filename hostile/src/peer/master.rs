//! A master that listens by hand.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::Arc;

use nix::sys::socket::{Backlog, SockFlag, accept4, bind, listen};

use super::wire::{address, is_readable, seqpacket, wait_readable};
use super::*;

/// How far a master goes by the book.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Nothing is sent; the slave waits for HELLO.
    Accepted,
    /// INIT came.
    Init,
    /// The first region came.
    Region,
    /// The first ring came.
    Ring,
    /// CONNECT came.
    Connect,
    /// CONNECTED is sent.
    Up,
}

/// A master that listens by hand.
#[derive(Debug)]
pub struct Master {
    listener: OwnedFd,
    pub hello: Message,
}

impl Master {
    pub fn listen(socket: &str) -> Self {
        let listener = seqpacket();
        bind(listener.as_raw_fd(), &address(socket)).expect("bind");
        listen(&listener, Backlog::new(8).unwrap()).expect("listen");
        Self {
            listener,
            hello: Message::hello(),
        }
    }

    pub fn accept(&self) -> Wire {
        wait_readable(&self.listener, "a slave");
        let fd = accept4(self.listener.as_raw_fd(), SockFlag::SOCK_CLOEXEC).expect("accept");
        // SAFETY: accept has just made it for us.
        Wire(unsafe { OwnedFd::from_raw_fd(fd) })
    }

    /// Whether somebody has asked for a connection, now.
    pub fn is_asked(&self) -> bool {
        is_readable(&self.listener)
    }

    /// Waits until a slave has asked for a connection, just now: one that had asked before may have
    /// given up since.
    pub fn wait_asked(&self) {
        while self.is_asked() {
            drop(self.accept());
        }
        wait_readable(&self.listener, "a slave");
    }

    /// Goes by the book up to this stage: the messages so far are read, the last not answered
    /// (but with [`Stage::Up`], where all is done).
    #[track_caller]
    pub fn go(&self, stage: Stage) -> Link {
        self.try_go(stage).expect("a slave that stays")
    }

    /// As `go`; `None` when the slave has gone meanwhile.
    #[track_caller]
    pub fn try_go(&self, stage: Stage) -> Option<Link> {
        let mut link = Link {
            wire: self.accept(),
            regions: Vec::new(),
            s2m: Vec::new(),
            m2s: Vec::new(),
        };
        if stage == Stage::Accepted {
            // One that waits for HELLO has said nothing.
            return (!link.wire.is_readable()).then_some(link);
        }
        link.wire.send_bytes(&self.hello.0, &[]).ok()?;
        let init = link.wire.receive()?.message;
        if init.kind() == DISCONNECT {
            return None;
        }
        assert_eq!(init.kind(), INIT);
        if stage == Stage::Init {
            return Some(link);
        }
        loop {
            link.wire.send_bytes(&Message::new(ACK).0, &[]).ok()?;
            let mut got = link.wire.receive()?;
            let m = got.message;
            match m.kind() {
                ADD_REGION => {
                    let fd = Arc::new(got.fds.remove(0));
                    let size = m.u64(at::REGION_SIZE) as usize;
                    link.regions.push(Memory::map(fd, size));
                    if stage == Stage::Region {
                        return Some(link);
                    }
                }
                ADD_RING => {
                    let ring = Ring {
                        region: m.u16(at::RING_REGION),
                        offset: m.u32(at::RING_OFFSET) as usize,
                        log2: m.0[at::RING_LOG2],
                        efd: Arc::new(got.fds.remove(0)),
                    };
                    if m.u16(at::RING_FLAGS) == 1 {
                        link.s2m.push(ring);
                    } else {
                        link.m2s.push(ring);
                    }
                    if stage == Stage::Ring {
                        return Some(link);
                    }
                }
                CONNECT => {
                    if stage == Stage::Up {
                        link.wire.send_bytes(&Message::connected().0, &[]).ok()?;
                    }
                    return Some(link);
                }
                DISCONNECT => return None,
                kind => panic!("message {kind} while shaking hands"),
            }
        }
    }
}

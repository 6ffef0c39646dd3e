//! What changes while the victim works: the memory under it, and the eventfds.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, OFlag, fcntl};

use crate::case::{Case, Rule};
use crate::inside::{Handle, No};
use crate::peer::*;
use crate::target::{Role, noise};

/// Does the one again and again in another thread until the other is done, however that ends.
fn beside(mut again: impl FnMut() + Send, what: impl FnOnce()) {
    struct AtItsEnd<'a>(&'a AtomicBool);
    impl Drop for AtItsEnd<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                again();
            }
        });
        let _end = AtItsEnd(&done);
        what();
    });
}

/// So many packets, or what a ring holds where nobody reads them.
fn packets(handle: &Handle, link: &Link, wanted: u16) -> u16 {
    match handle.0 {
        Some(_) => wanted,
        None => wanted.min(link.s2m().size),
    }
}

/// Another thread changes words of the memory while the victim works on it. How it ends differs.
pub(crate) fn flickers(role: Role) -> impl Iterator<Item = Case> {
    type Flicker = fn(&Link, u64);
    const FLICKERS: [(&str, Flicker); 4] = [
        ("flags of the rings flicker", |link, n| {
            for ring in [link.s2m(), link.m2s()] {
                ring.set_flags(n as u16);
                ring.wake();
            }
        }),
        ("descriptors flicker", |link, n| {
            for ring in [link.s2m(), link.m2s()] {
                let word = ring.base + 128 + (n as usize % 64) * 4;
                let was = ring.memory.load32(word);
                ring.memory.store32(word, (n * 0x9e37_79b9) as u32);
                ring.memory.store32(word, was);
            }
        }),
        ("head and tail flicker", |link, n| {
            for ring in [link.s2m(), link.m2s()] {
                let (head, tail) = (ring.head(), ring.tail());
                ring.set_head(head.wrapping_add(n as u16));
                ring.set_tail(tail.wrapping_sub(n as u16));
                ring.set_head(head);
                ring.set_tail(tail);
            }
        }),
        ("cookies flicker", |link, n| {
            for ring in [link.s2m(), link.m2s()] {
                ring.set_cookie(n as u32);
            }
        }),
    ];
    FLICKERS.into_iter().map(move |(name, flicker)| {
        Case::new(Rule::ReadOnce, name, "", move |target| {
            let link = target.link();
            let mut handle = target.handle();
            if role == Role::Master {
                link.offer();
            }
            let (short, long) = (noise(1, 40), noise(2, 3000));
            let mut n = 0;
            let flickers = || {
                n += 1;
                flicker(&link, n);
            };
            beside(flickers, || {
                for _ in 0..5000 {
                    // By the book beside the flicker, as far as it lets us.
                    let (to_victim, from_victim) = match role {
                        Role::Master => (link.s2m(), link.m2s()),
                        Role::Slave => (link.m2s(), link.s2m()),
                    };
                    if role == Role::Master {
                        to_victim.set_head(to_victim.head().wrapping_add(1));
                    } else {
                        to_victim.set_tail(to_victim.tail().wrapping_add(1));
                        from_victim.set_tail(from_victim.head());
                    }
                    handle.tries(&short);
                    handle.tries(&long);
                }
            });
        })
    })
}

/// The eventfds are the peer's as much as ours.
pub(crate) fn eventfds(role: Role) -> impl Iterator<Item = Case> {
    type Spoil = fn(&Fd);
    const SPOILS: [(&str, Spoil); 4] = [
        ("the eventfds are full", |efd| {
            nix::unistd::write(&**efd, &(u64::MAX - 1).to_ne_bytes()).unwrap();
        }),
        ("the eventfds are blocking", |efd| {
            fcntl(&**efd, FcntlArg::F_SETFL(OFlag::empty())).unwrap();
        }),
        ("the eventfds are blocking and full", |efd| {
            nix::unistd::write(&**efd, &(u64::MAX - 1).to_ne_bytes()).unwrap();
            fcntl(&**efd, FcntlArg::F_SETFL(OFlag::empty())).unwrap();
        }),
        ("the eventfds are written without packets", |efd| {
            for _ in 0..1000 {
                nix::unistd::write(&**efd, &1u64.to_ne_bytes()).unwrap();
            }
        }),
    ];
    SPOILS.into_iter().map(move |(name, spoil)| {
        Case::new(Rule::Ring, name, "had enough", move |target| {
            let link = target.link();
            let mut handle = target.handle();
            spoil(&link.s2m().efd);
            spoil(&link.m2s().efd);
            for i in 0..8u8 {
                // None of these may block.
                match role {
                    Role::Master => {
                        link.offer();
                        let ring = link.s2m();
                        let mut desc = ring.desc(ring.head());
                        link.regions[1].write(desc.offset as usize, &[i]);
                        desc.length = 1;
                        ring.set_desc(ring.head(), desc);
                        ring.set_head(ring.head() + 1);
                    }
                    Role::Slave => {
                        let ring = link.m2s();
                        let mut desc = ring.desc(ring.tail());
                        link.regions[1].write(desc.offset as usize, &[i]);
                        desc.length = 1;
                        ring.set_desc(ring.tail(), desc);
                        ring.set_tail(ring.tail() + 1);
                    }
                }
                handle.reads(&[i]).has_nothing_to_read(No::Nothing);
                handle.writes(&[i]);
            }
            if role == Role::Slave {
                link.s2m().set_tail(8);
            }
            link.wire.send(&Message::disconnect(0, "had enough"));
            assert!(link.wire.receive().is_none());
        })
    })
}

/// Others take the count away between a look at the eventfd and the read of it, which blocks then.
pub(crate) fn emptied_eventfds(role: Role) -> Case {
    let name = "the eventfds are blocking, and emptied all the time";
    Case::new(Rule::Ring, name, "", move |target| {
        let link = target.link();
        let mut handle = target.handle();
        let empties = || {
            for efd in [&link.s2m().efd, &link.m2s().efd] {
                let _ = fcntl(&**efd, FcntlArg::F_SETFL(OFlag::empty()));
                let _ = nix::unistd::write(&**efd, &1u64.to_ne_bytes());
                let _ = fcntl(&**efd, FcntlArg::F_SETFL(OFlag::O_NONBLOCK));
                let _ = nix::unistd::read(&**efd, &mut [0; 8]);
            }
        };
        beside(empties, || {
            for _ in 0..packets(&handle, &link, 500) {
                match role {
                    Role::Master => link.slave_sends(b"x"),
                    Role::Slave => link.master_sends(b"x"),
                }
                handle.reads(b"x");
            }
        });
    })
}

/// A sender that looks at the flags before its packet is seen: it wakes nobody who has just gone
/// to sleep. As peers without a fence do, now and then.
pub(crate) fn without_fences(role: Role) -> Case {
    const PACKETS: u16 = 200;
    /// So soon after the packet before, the receiver is about to sleep.
    const SOON: Duration = Duration::from_micros(200);
    /// A hang, not a busy machine.
    const FOUND_WITHIN: Duration = Duration::from_secs(10);
    let name = "packets are published unseen, as the receiver goes to sleep";
    Case::new(Rule::Ring, name, "", move |target| {
        let link = target.link();
        let mut handle = target.handle();
        let packets = packets(&handle, &link, PACKETS);
        std::thread::scope(|scope| {
            let (tell, told) = channel();
            scope.spawn(move || {
                for _ in 0..packets {
                    let _ = tell.send(Instant::now());
                    handle.reads(b"x");
                }
                let _ = tell.send(Instant::now());
            });
            let ring = match role {
                Role::Master => link.s2m(),
                Role::Slave => link.m2s(),
            };
            let mut since = told.recv().unwrap();
            let mut longest = Duration::ZERO;
            for _ in 0..packets {
                while ring.flags() != 0 && since.elapsed() < patience() {}
                match role {
                    Role::Master => link.slave_publishes(b"x"),
                    Role::Slave => link.master_publishes(b"x"),
                }
                // One that may have slept for long has to be woken.
                if since.elapsed() > SOON {
                    ring.wake();
                }
                let start = Instant::now();
                since = told.recv_timeout(FOUND_WITHIN).unwrap_or_else(|_| {
                    ring.wake();
                    told.recv().unwrap()
                });
                longest = longest.max(start.elapsed());
            }
            assert!(longest < FOUND_WITHIN, "a packet was not found");
        });
    })
    .looking_inside()
}

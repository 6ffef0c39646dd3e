//! The handshake of a slave with one thing wrong.

use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;

use nix::fcntl::{FcntlArg, OFlag, SealFlag, fcntl};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};

use crate::case::{Case, Rule};
use crate::peer::*;

/// The rule, what is wrong, words of the refusal, and the change to the default plan.
type Bend = (Rule, &'static str, &'static str, fn(&mut Plan));

fn fd(file: impl Into<OwnedFd>) -> Fd {
    Arc::new(file.into())
}

fn open(path: &str) -> Fd {
    fd(File::open(path).unwrap())
}

fn a_socket() -> Fd {
    let kind = SockType::SeqPacket;
    fd(
        socketpair(AddressFamily::Unix, kind, None, SockFlag::SOCK_CLOEXEC)
            .unwrap()
            .0,
    )
}

fn sealed(len: usize, seals: SealFlag) -> Fd {
    let file = Memory::file(len);
    fcntl(
        &*file,
        FcntlArg::F_ADD_SEALS(SealFlag::F_SEAL_SHRINK | seals),
    )
    .unwrap();
    file
}

/// The same file, opened in another way.
fn reopened(file: &Fd, flags: OFlag) -> Fd {
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    let mode = nix::sys::stat::Mode::empty();
    Arc::new(nix::fcntl::open(path.as_str(), flags | OFlag::O_CLOEXEC, mode).unwrap())
}

fn region0(plan: &mut Plan, file: fn(usize) -> Fd) {
    plan.steps[P_REGION0].fds = vec![file(plan.regions[0].len())];
}

const BENDS: &[Bend] = &[
    (
        Rule::Turn,
        "INIT of version 1.0",
        "incompatible version 1.0",
        |p| p.steps[P_INIT].put16(at::INIT_VERSION, 0x0100),
    ),
    (
        Rule::Turn,
        "INIT of version 2.1",
        "incompatible version 2.1",
        |p| p.steps[P_INIT].put16(at::INIT_VERSION, 0x0201),
    ),
    (
        Rule::Turn,
        "INIT of version 0",
        "incompatible version 0.0",
        |p| p.steps[P_INIT].put16(at::INIT_VERSION, 0),
    ),
    (
        Rule::Turn,
        "INIT with an unknown id",
        "unmatched interface id 7",
        |p| p.steps[P_INIT].put32(at::INIT_ID, 7),
    ),
    (
        Rule::Turn,
        "INIT with the largest id",
        "unmatched interface id 4294967295",
        |p| p.steps[P_INIT].put32(at::INIT_ID, u32::MAX),
    ),
    (
        Rule::Turn,
        "INIT with the id of a link that is up",
        "already connected: interface id 1",
        |p| p.steps[P_INIT].put32(at::INIT_ID, 1),
    ),
    (
        Rule::Turn,
        "INIT with another mode",
        "mode mismatch: we have 0, you have 1",
        |p| p.steps[P_INIT].put8(at::INIT_MODE, 1),
    ),
    (
        Rule::Turn,
        "INIT with an unknown mode",
        "mode mismatch: we have 0, you have 255",
        |p| p.steps[P_INIT].put8(at::INIT_MODE, 255),
    ),
    (
        Rule::Turn,
        "INIT with a descriptor",
        "unexpected descriptor",
        |p| p.steps[P_INIT].fds = vec![eventfd()],
    ),
    (
        Rule::Turn,
        "a second INIT",
        "unexpected message of type 3 while setting up",
        |p| p.steps.insert(1, p.steps[P_INIT].clone()),
    ),
    (
        Rule::Turn,
        "a region before INIT",
        "unexpected message of type 4 while waiting for INIT",
        |p| {
            p.steps.remove(P_INIT);
        },
    ),
    (
        Rule::Turn,
        "an INIT after all",
        "unexpected message of type 3 while connected",
        |p| p.steps.push(p.steps[P_INIT].clone()),
    ),
    (
        Rule::Turn,
        "CONNECT without rings",
        "CONNECT before any ring",
        |p| {
            p.steps.drain(P_S2M..=P_M2S);
        },
    ),
    (
        Rule::Turn,
        "CONNECT right after INIT",
        "CONNECT before any ring",
        |p| {
            p.steps.drain(P_REGION0..=P_M2S);
        },
    ),
    (
        Rule::Turn,
        "CONNECT with a descriptor",
        "unexpected descriptor",
        |p| p.steps[P_CONNECT].fds = vec![eventfd()],
    ),
    (
        Rule::Turn,
        "a second CONNECT",
        "unexpected message of type 6 while connected",
        |p| p.steps.push(p.steps[P_CONNECT].clone()),
    ),
    // Regions
    (
        Rule::Region,
        "the first region is 1",
        "region index 1: expected 0",
        |p| p.steps[P_REGION0].put16(at::REGION_INDEX, 1),
    ),
    (
        Rule::Region,
        "region 0 twice",
        "region index 0: expected 1",
        |p| p.steps[P_REGION1].put16(at::REGION_INDEX, 0),
    ),
    (
        Rule::Region,
        "a gap between regions",
        "region index 2: expected 1",
        |p| p.steps[P_REGION1].put16(at::REGION_INDEX, 2),
    ),
    (
        Rule::Region,
        "regions in the other order",
        "region index 1: expected 0",
        |p| p.steps.swap(P_REGION0, P_REGION1),
    ),
    (
        Rule::Region,
        "region 256",
        "region index 256: at most 255",
        |p| p.steps[P_REGION0].put16(at::REGION_INDEX, 256),
    ),
    (
        Rule::Region,
        "region 65535",
        "region index 65535: at most 255",
        |p| p.steps[P_REGION0].put16(at::REGION_INDEX, 65535),
    ),
    (
        Rule::Region,
        "257 regions",
        "region index 256: at most 255",
        |p| {
            let more = (2..=256).map(|i| {
                let memory = Memory::new(4096);
                Step::new(Message::add_region(i, 4096), &[&memory.fd])
            });
            let more: Vec<_> = more.collect();
            p.steps.splice(P_REGION1 + 1..P_REGION1 + 1, more);
        },
    ),
    (
        Rule::Region,
        "no descriptor",
        "without its descriptor",
        |p| p.steps[P_REGION0].fds.clear(),
    ),
    (
        Rule::Region,
        "a byte more than its file",
        "larger than its file",
        |p| {
            p.steps[P_REGION0].message = Message::add_region(0, p.regions[0].len() as u64 + 1);
        },
    ),
    (
        Rule::Region,
        "8 GiB of a small file",
        "larger than its file",
        |p| p.steps[P_REGION0].message = Message::add_region(0, 1 << 33),
    ),
    (Rule::Region, "size 0", "size is 0", |p| {
        p.steps[P_REGION0].message = Message::add_region(0, 0)
    }),
    (Rule::Region, "size 2^63", "beyond the 8 GiB", |p| {
        p.steps[P_REGION0].message = Message::add_region(0, 1 << 63)
    }),
    (Rule::Region, "size 2^64 - 1", "beyond the 8 GiB", |p| {
        p.steps[P_REGION0].message = Message::add_region(0, u64::MAX)
    }),
    (
        Rule::Region,
        "sparse regions of 72 GiB",
        "more than 16 GiB",
        |p| {
            // Nothing of it is ever used.
            let file = sealed(1 << 33, SealFlag::empty());
            let more: Vec<_> = (2..=9)
                .map(|i| Step::new(Message::add_region(i, 1 << 33), &[&file]))
                .collect();
            p.steps.splice(P_REGION1 + 1..P_REGION1 + 1, more);
        },
    ),
    (
        Rule::Region,
        "a memfd that can't be sealed",
        "can't be sealed",
        |p| region0(p, unsealable),
    ),
    (Rule::Region, "a file on a disk", "region 0: it", |p| {
        region0(p, regular_file)
    }),
    (
        Rule::Region,
        "a memfd sealed against writing",
        "can't be mapped",
        |p| region0(p, |len| sealed(len, SealFlag::F_SEAL_WRITE)),
    ),
    (
        Rule::Region,
        "a memfd opened for reading",
        "region 0: it",
        |p| region0(p, |len| reopened(&Memory::file(len), OFlag::O_RDONLY)),
    ),
    (
        Rule::Region,
        "a memfd opened as a path",
        "region 0: it",
        |p| region0(p, |len| reopened(&Memory::file(len), OFlag::O_PATH)),
    ),
    (Rule::Region, "an eventfd as memory", "not a memfd", |p| {
        region0(p, |_| eventfd())
    }),
    (Rule::Region, "a pipe as memory", "not a memfd", |p| {
        region0(p, |_| fd(nix::unistd::pipe().unwrap().0))
    }),
    (Rule::Region, "a directory as memory", "region 0: it", |p| {
        region0(p, |_| open("/"))
    }),
    (Rule::Region, "/dev/zero as memory", "region 0: it", |p| {
        region0(p, |_| open("/dev/zero"))
    }),
    (Rule::Region, "/dev/shm as memory", "region 0: it", |p| {
        region0(p, |_| open("/dev/shm"))
    }),
    (Rule::Region, "a socket as memory", "not a memfd", |p| {
        region0(p, |_| a_socket())
    }),
    (
        Rule::Region,
        "two descriptors",
        "more than one descriptor",
        |p| p.steps[P_REGION0].fds = vec![p.regions[0].fd.clone(); 2],
    ),
    (
        Rule::Region,
        "253 descriptors",
        "more than one descriptor",
        |p| p.steps[P_REGION0].fds = vec![p.regions[0].fd.clone(); 253],
    ),
    // Rings
    (Rule::Ring, "in region 2 of 2", "unknown region", |p| {
        p.steps[P_S2M].put16(at::RING_REGION, 2)
    }),
    (Rule::Ring, "in region 65535", "unknown region", |p| {
        p.steps[P_S2M].put16(at::RING_REGION, 65535)
    }),
    (Rule::Ring, "before any region", "unknown region", |p| {
        p.steps.drain(P_REGION0..=P_REGION1);
    }),
    (
        Rule::Ring,
        "at the region's end",
        "out of its region",
        |p| p.steps[P_S2M].put32(at::RING_OFFSET, p.regions[0].len() as u32),
    ),
    (
        Rule::Ring,
        "over the region's end",
        "out of its region",
        |p| p.steps[P_M2S].put32(at::RING_OFFSET, p.m2s[0].offset as u32 + 64),
    ),
    (
        Rule::Ring,
        "at the end of all offsets",
        "out of its region",
        |p| p.steps[P_S2M].put32(at::RING_OFFSET, u32::MAX - 63),
    ),
    (
        Rule::Ring,
        "larger than its region",
        "out of its region",
        |p| p.steps[P_S2M].put8(at::RING_LOG2, 14),
    ),
    (Rule::Ring, "misaligned", "multiple of 8", |p| {
        p.steps[P_S2M].put32(at::RING_OFFSET, 1)
    }),
    (Rule::Ring, "log2 size 0", "log2 size", |p| {
        p.steps[P_S2M].put8(at::RING_LOG2, 0)
    }),
    (Rule::Ring, "log2 size 16", "log2 size", |p| {
        p.steps[P_S2M].put8(at::RING_LOG2, 16)
    }),
    (Rule::Ring, "log2 size 31", "log2 size", |p| {
        p.steps[P_S2M].put8(at::RING_LOG2, 31)
    }),
    (Rule::Ring, "log2 size 255", "log2 size", |p| {
        p.steps[P_M2S].put8(at::RING_LOG2, 255)
    }),
    (
        Rule::Ring,
        "a private header of 8 bytes",
        "private header",
        |p| p.steps[P_S2M].put8(at::RING_PRIVATE, 8),
    ),
    (
        Rule::Ring,
        "a private header of 256 bytes",
        "private header",
        |p| p.steps[P_M2S].put8(at::RING_PRIVATE + 1, 1),
    ),
    (Rule::Ring, "no descriptor", "without its eventfd", |p| {
        p.steps[P_S2M].fds.clear()
    }),
    (Rule::Ring, "a memfd as eventfd", "no eventfd", |p| {
        p.steps[P_S2M].fds = vec![p.regions[0].fd.clone()]
    }),
    (Rule::Ring, "/dev/null as eventfd", "no eventfd", |p| {
        p.steps[P_M2S].fds = vec![open("/dev/null")]
    }),
    (Rule::Ring, "a pipe as eventfd", "no eventfd", |p| {
        p.steps[P_S2M].fds = vec![fd(nix::unistd::pipe().unwrap().1)]
    }),
    (Rule::Ring, "a socket as eventfd", "no eventfd", |p| {
        p.steps[P_S2M].fds = vec![a_socket()]
    }),
    (Rule::Ring, "a directory as eventfd", "no eventfd", |p| {
        p.steps[P_S2M].fds = vec![open("/")]
    }),
    (Rule::Ring, "a semaphore as eventfd", "semaphore", |p| {
        let semaphore = EventFd::from_flags(EfdFlags::EFD_SEMAPHORE | EfdFlags::EFD_CLOEXEC);
        p.steps[P_S2M].fds = vec![fd(semaphore.unwrap())]
    }),
    (
        Rule::Ring,
        "two descriptors",
        "more than one descriptor",
        |p| p.steps[P_S2M].fds = vec![eventfd(), eventfd()],
    ),
    (
        Rule::Ring,
        "253 descriptors",
        "more than one descriptor",
        |p| p.steps[P_M2S].fds = vec![eventfd(); 253],
    ),
    (Rule::Ring, "ring 1 of 1", "fewer queues", |p| {
        p.steps[P_S2M].put16(at::RING_INDEX, 1)
    }),
    (Rule::Ring, "ring 65535", "fewer queues", |p| {
        p.steps[P_S2M].put16(at::RING_INDEX, 65535)
    }),
    (Rule::Ring, "ring 0 twice", "out of order", |p| {
        p.steps.insert(P_M2S, p.steps[P_S2M].clone())
    }),
    (Rule::Ring, "a wrong cookie", "wrong cookie", |p| {
        p.regions[0].store32(p.s2m[0].offset, COOKIE + 1)
    }),
    (Rule::Ring, "no cookie", "wrong cookie", |p| {
        p.regions[0].store32(p.m2s[0].offset, 0)
    }),
    (Rule::Ring, "another ring's middle", "wrong cookie", |p| {
        p.steps[P_M2S].put32(at::RING_OFFSET, p.m2s[0].offset as u32 - 64)
    }),
];

pub(crate) fn cases() -> impl Iterator<Item = Case> {
    BENDS.iter().map(|(rule, name, words, bend)| {
        Case::new(*rule, *name, words, move |target| {
            let mut plan = target.plan();
            bend(&mut plan);
            let refusal = plan.refused(&target.socket);
            assert_ne!(refusal.code, 0);
            refusal.says(words);
        })
    })
}

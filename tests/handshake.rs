//! The control channel and what a peer may do on it and in the shared memory, message by
//! message, against a raw peer. Its worst must be a disconnect with a reason, after which the
//! next peer finds everything in order.

mod common;
mod peer;

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use common::*;
use memif::{Context, Eof, ErrorKind, IfMode, Memif, MemifConfig, PacketHandle, Role, Wait};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use peer::*;

fn side(context: &Context, role: Role) -> Memif {
    let config = MemifConfig::new(socket()).role(role).name("ours0");
    // The raw peer's buffers and rings are what the default plan has.
    let config = config.log2_ring_size(LOG2).buffer_size(BUFFER as u16);
    context.create_interface(config).unwrap()
}

/// A packet goes each way.
#[track_caller]
fn works_as_slave(link: &Link, master: &Memif) {
    up(master);
    let mut handle = master.packet_handle(0, 8).unwrap();
    link.slave_sends(b"to the master");
    assert_eq!(read(&mut handle), b"to the master");
    link.offer();
    handle.write_packet(b"to the slave").unwrap();
    let ring = link.m2s();
    assert_eq!(ring.tail(), 1);
    assert_eq!(link.data(ring.desc(0)), b"to the slave");
}

#[track_caller]
fn works_as_master(link: &Link, slave: &Memif) {
    up(slave);
    let mut handle = slave.packet_handle(0, 8).unwrap();
    until("offered buffers", || link.m2s().head() == 1 << LOG2);
    link.master_sends(b"to the slave");
    assert_eq!(read(&mut handle), b"to the slave");
    handle.write_packet(b"to the master").unwrap();
    let ring = link.s2m();
    assert_eq!(ring.head(), 1);
    assert_eq!(link.data(ring.desc(0)), b"to the master");
    ring.set_tail(1); // or closing would wait for it
}

// By the book.

#[test]
fn a_master_s_messages_field_by_field() {
    let context = Context::new("our program").unwrap();
    let config = MemifConfig::new(socket()).role(Role::Master);
    let config = config.id(7).name("ours0").queues(3, 2);
    let master = context.create_interface(config).unwrap();
    let wire = Wire::connect(master.socket());

    let hello = Message::new(HELLO)
        .put(at::HELLO_NAME, b"our program")
        .put16(at::HELLO_MIN_VERSION, VERSION)
        .put16(at::HELLO_MAX_VERSION, VERSION)
        .put16(at::HELLO_MAX_REGION, 255)
        .put16(at::HELLO_MAX_M2S, 1)
        .put16(at::HELLO_MAX_S2M, 2)
        .put8(at::HELLO_MAX_LOG2, 14);
    let got = wire.receive().unwrap();
    assert_eq!(got.message, hello, "all 128 bytes");
    assert!(got.fds.is_empty());

    let plan = Plan::new(7);
    for (i, step) in plan.steps.iter().enumerate() {
        step.send(&wire).unwrap();
        let answer = wire.receive().unwrap();
        let wanted = if i == P_CONNECT {
            Message::new(CONNECTED).put(at::CONNECT_NAME, b"ours0")
        } else {
            Message::new(ACK)
        };
        assert_eq!(answer.message, wanted, "the answer to step {i}");
        assert!(answer.fds.is_empty());
    }
    up(&master);
    let details = master.details().unwrap();
    assert_eq!(details.remote_name, "raw slave");
    assert_eq!(details.remote_interface_name, "raw0");
    assert_eq!((details.rx_queues.len(), details.tx_queues.len()), (1, 1));
    assert_eq!(details.rx_queues[0].ring_size, 1 << LOG2);
    assert_eq!(details.regions.len(), 2);

    master.close();
    let got = wire.expect(DISCONNECT);
    assert!(!got.message.reason().is_empty());
    let text = at::DISCONNECT_REASON + got.message.reason().len();
    assert!(
        got.message.0[text..].iter().all(|b| *b == 0),
        "zeros follow"
    );
    assert!(wire.receive().is_none());
}

#[test]
fn a_slave_s_messages_field_by_field() {
    let context = Context::new("our program").unwrap();
    let socket = socket();
    let raw = Master::listen(&socket);
    let config = MemifConfig::new(&socket).id(7).name("ours0").queues(2, 3);
    let config = config.secret("hush").mode(IfMode::Ip);
    let config = config.log2_ring_size(5).buffer_size(1000);
    let slave = context.create_interface(config).unwrap();
    let wire = raw.accept();
    let hello = Message::hello().put16(at::HELLO_MAX_S2M, 7);
    wire.send(&hello.put16(at::HELLO_MAX_M2S, 7));

    let init = Message::new(INIT)
        .put16(at::INIT_VERSION, VERSION)
        .put32(at::INIT_ID, 7)
        .put8(at::INIT_MODE, 1)
        .put(at::INIT_SECRET, b"hush")
        .put(at::INIT_NAME, b"our program");
    let got = wire.receive().unwrap();
    assert_eq!(got.message, init, "all 128 bytes");
    assert!(got.fds.is_empty());
    let ack = Message::new(ACK);

    let rings = 5 * ring_bytes(5) as u64;
    let mut regions = Vec::new();
    for index in 0..2 {
        wire.send(&ack);
        let mut got = wire.expect(ADD_REGION);
        let size = got.message.u64(at::REGION_SIZE);
        assert_eq!(
            got.message,
            Message::add_region(index, size),
            "zeros follow"
        );
        assert_eq!(got.fds.len(), 1);
        let fd = got.fds.remove(0);
        let seals = fcntl(&fd, FcntlArg::F_GET_SEALS).unwrap();
        assert_ne!(seals & nix::libc::F_SEAL_SHRINK, 0, "sealed");
        assert_eq!(nix::sys::stat::fstat(&fd).unwrap().st_size as u64, size);
        regions.push(Memory::map(Arc::new(fd), size as usize));
    }
    assert_eq!(regions[0].len() as u64, rings);
    assert!(regions[1].len() >= 5 * 32 * 1000);

    let mut seen = Vec::new();
    for i in 0..5u16 {
        wire.send(&ack);
        let got = wire.expect(ADD_RING);
        let (s2m, index) = if i < 3 { (true, i) } else { (false, i - 3) };
        let offset = u32::from(i) * ring_bytes(5) as u32;
        assert_eq!(got.message, Message::add_ring(s2m, index, 0, offset, 5));
        assert_eq!(got.fds.len(), 1);
        let link = std::fs::read_link(format!("/proc/self/fd/{}", raw_fd(&got.fds[0])));
        assert_eq!(link.unwrap().to_str(), Some("anon_inode:[eventfd]"));
        let view = RingView {
            memory: &regions[0],
            base: offset as usize,
            size: 32,
            efd: eventfd(),
        };
        assert_eq!((view.cookie(), view.head(), view.tail()), (COOKIE, 0, 0));
        for slot in 0..32 {
            let desc = view.desc(slot);
            assert_eq!((desc.flags, desc.region, desc.length), (0, 1, 1000));
            seen.push(desc.offset);
        }
    }
    // Every slot has a buffer of its own.
    seen.sort_unstable();
    assert!(seen.windows(2).all(|w| w[1] - w[0] >= 1000));
    assert!(seen[seen.len() - 1] as usize + 1000 <= regions[1].len());

    wire.send(&ack);
    let got = wire.receive().unwrap();
    let connect = Message::new(CONNECT).put(at::CONNECT_NAME, b"ours0");
    assert_eq!(got.message, connect, "all 128 bytes");
    assert!(!slave.is_link_up());
    wire.send(&Message::connected());
    up(&slave);
    until("offered buffers", || {
        (3..5).all(|i| regions[0].load16(i * ring_bytes(5) + 6) == 32)
    });
    let details = slave.details().unwrap();
    assert_eq!(details.remote_name, "raw master");
    assert_eq!(details.remote_interface_name, "raw1");

    slave.close();
    wire.expect_refusal();
}

fn raw_fd(fd: &OwnedFd) -> i32 {
    use std::os::fd::AsRawFd;
    fd.as_raw_fd()
}

#[test]
fn packets_cross_between_raw_and_ours() {
    let context = context();
    let master = side(&context, Role::Master);
    works_as_slave(&Plan::new(0).up(master.socket()), &master);
    let socket = socket();
    let raw = Master::listen(&socket);
    let config = MemifConfig::new(&socket).log2_ring_size(LOG2);
    let slave = context.create_interface(config).unwrap();
    works_as_master(&raw.go(Stage::Up), &slave);
}

#[test]
fn rings_and_buffers_may_share_region_0() {
    let context = context();
    let master = side(&context, Role::Master);
    let link = Plan::single_region(0).up(master.socket());
    works_as_slave(&link, &master);
    assert_eq!(master.details().unwrap().regions.len(), 1);
}

#[test]
fn the_peer_s_disconnect_ends_the_link_with_its_words() {
    let context = context();
    let master = side(&context, Role::Master);
    let link = Plan::new(0).up(master.socket());
    up(&master);
    link.slave_sends(b"last");
    link.wire.send(&Message::disconnect(0, "had enough"));
    assert!(link.wire.receive().is_none());
    down(&master);
    assert!(master.details().unwrap().error.contains("had enough"));
    let mut handle = master.packet_handle(0, 1).unwrap();
    assert_eq!(read(&mut handle), b"last");
    assert_eq!(eof(handle.read_packet()), Eof::LinkDown);
}

#[test]
fn a_refusal_s_words_reach_the_waiter() {
    let context = context();
    let socket = socket();
    let raw = Master::listen(&socket);
    let slave = context.create_interface(MemifConfig::new(&socket)).unwrap();
    let link = raw.go(Stage::Init);
    link.wire
        .send(&Message::disconnect(25, "no such interface here"));
    let error = slave.wait_link_up(Some(LONG)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InterfaceId);
    assert!(
        error.to_string().contains("no such interface here"),
        "{error}"
    );
    let failure = slave.last_failure().unwrap();
    assert!(failure.refused);
    works_as_master_after(&raw, &slave);
}

fn works_as_master_after(raw: &Master, slave: &Memif) {
    let _link = raw.go(Stage::Up);
    // A waiter may still be told of an earlier refusal.
    until("a link", || slave.is_link_up());
}

// Messages out of turn.

/// A message of every type, the unknown ones too; each legal in itself.
fn any_message(kind: u16) -> Message {
    match kind {
        HELLO => Message::hello(),
        INIT => Message::init(0),
        ADD_REGION => Message::add_region(0, 4096),
        ADD_RING => Message::add_ring(true, 0, 0, 0, LOG2),
        CONNECT => Message::connect(),
        CONNECTED => Message::connected(),
        kind => Message::new(kind),
    }
}

const KINDS: [u16; 11] = [
    0, ACK, HELLO, INIT, ADD_REGION, ADD_RING, CONNECT, CONNECTED, 9, 255, 65535,
];

#[test]
fn a_master_refuses_messages_out_of_turn() {
    let context = context();
    let master = side(&context, Role::Master);
    // How many steps of the plan are done, and what is legal then.
    let states: [(usize, &[u16]); 5] = [
        (0, &[INIT]),
        (1, &[ADD_REGION]),
        (2, &[ADD_REGION, ADD_RING]),
        (4, &[ADD_REGION, ADD_RING, CONNECT]),
        (6, &[]),
    ];
    for (done, legal) in states {
        for kind in KINDS.into_iter().filter(|kind| !legal.contains(kind)) {
            for with_fd in [false, true] {
                let wire = Wire::connect(master.socket());
                wire.expect(HELLO);
                let plan = Plan::new(0);
                for step in &plan.steps[..done] {
                    step.send(&wire).unwrap();
                    wire.receive().unwrap();
                }
                let fds = if with_fd { vec![eventfd()] } else { vec![] };
                wire.send_with(&any_message(kind), &fds);
                let refusal = wire.expect_refusal();
                assert_ne!(refusal.code, 0, "{kind} after {done}: {refusal:?}");
                down(&master);
            }
        }
    }
    works_as_slave(&Plan::new(0).up(master.socket()), &master);
}

#[test]
fn a_slave_refuses_messages_out_of_turn() {
    let context = context();
    let socket = socket();
    let raw = Master::listen(&socket);
    let config = MemifConfig::new(&socket).log2_ring_size(LOG2);
    let slave = context.create_interface(config).unwrap();
    let states = [
        (Stage::Accepted, HELLO),
        (Stage::Init, ACK),
        (Stage::Region, ACK),
        (Stage::Ring, ACK),
        (Stage::Connect, CONNECTED),
        (Stage::Up, DISCONNECT),
    ];
    for (stage, legal) in states {
        for kind in KINDS.into_iter().filter(|kind| *kind != legal) {
            for with_fd in [false, true] {
                let link = raw.go(stage);
                let fds = if with_fd { vec![eventfd()] } else { vec![] };
                link.wire.send_with(&any_message(kind), &fds);
                let refusal = link.wire.expect_refusal();
                assert_ne!(refusal.code, 0, "{kind} at {stage:?}: {refusal:?}");
            }
        }
    }
    works_as_master(&raw.go(Stage::Up), &slave);
}

#[test]
fn a_legal_message_with_a_descriptor_it_should_not_have_is_refused() {
    let context = context();
    let socket = socket();
    let raw = Master::listen(&socket);
    let slave = context.create_interface(MemifConfig::new(&socket)).unwrap();
    let stages = [
        (Stage::Accepted, raw.hello),
        (Stage::Init, Message::new(ACK)),
        (Stage::Region, Message::new(ACK)),
        (Stage::Connect, Message::connected()),
    ];
    for (stage, message) in stages {
        let link = raw.go(stage);
        link.wire.send_with(&message, &[eventfd()]);
        link.wire.expect_refusal().says("descriptor");
    }
    works_as_master_after(&raw, &slave);
}

// Bent plans.

/// A change to the default plan, and words of the refusal.
type Bend = (&'static str, fn(&mut Plan));

fn unsealable(len: usize) -> Fd {
    let fd = memfd_create("no seals", MFdFlags::MFD_CLOEXEC).unwrap();
    nix::unistd::ftruncate(&fd, len as i64).unwrap();
    Arc::new(fd)
}

fn regular_file(len: usize) -> Fd {
    let file = tempfile::tempfile().unwrap();
    file.set_len(len as u64).unwrap();
    Arc::new(file.into())
}

const BENDS: &[Bend] = &[
    // INIT
    ("incompatible version 1.0", |p| {
        p.steps[P_INIT].put16(at::INIT_VERSION, 0x0100)
    }),
    ("incompatible version 2.1", |p| {
        p.steps[P_INIT].put16(at::INIT_VERSION, 0x0201)
    }),
    ("incompatible version", |p| {
        p.steps[P_INIT].put16(at::INIT_VERSION, 0)
    }),
    ("unmatched interface id 1", |p| {
        p.steps[P_INIT].put32(at::INIT_ID, 1)
    }),
    ("unmatched interface id", |p| {
        p.steps[P_INIT].put32(at::INIT_ID, u32::MAX)
    }),
    ("mode mismatch", |p| p.steps[P_INIT].put8(at::INIT_MODE, 1)),
    ("mode mismatch", |p| {
        p.steps[P_INIT].put8(at::INIT_MODE, 255)
    }),
    ("descriptor", |p| p.steps[P_INIT].fds = vec![eventfd()]),
    ("unexpected message", |p| {
        p.steps.insert(1, p.steps[P_INIT].clone())
    }),
    ("unexpected message", |p| {
        p.steps.remove(P_INIT);
    }),
    // Regions
    ("expected 0", |p| {
        p.steps[P_REGION0].put16(at::REGION_INDEX, 1)
    }),
    ("expected 1", |p| {
        p.steps[P_REGION1].put16(at::REGION_INDEX, 0)
    }),
    ("expected 1", |p| {
        p.steps[P_REGION1].put16(at::REGION_INDEX, 2)
    }),
    ("expected 0", |p| p.steps.swap(P_REGION0, P_REGION1)),
    ("region index 256", |p| {
        p.steps[P_REGION0].put16(at::REGION_INDEX, 256)
    }),
    ("region index 65535", |p| {
        p.steps[P_REGION0].put16(at::REGION_INDEX, 65535)
    }),
    ("without its descriptor", |p| p.steps[P_REGION0].fds.clear()),
    ("larger than its file", |p| {
        p.steps[P_REGION0].message = Message::add_region(0, p.regions[0].len() as u64 + 1);
    }),
    ("larger than its file", |p| {
        p.steps[P_REGION0].message = Message::add_region(0, 1 << 40)
    }),
    ("size is 0", |p| {
        p.steps[P_REGION0].message = Message::add_region(0, 0)
    }),
    ("size", |p| {
        p.steps[P_REGION0].message = Message::add_region(0, u64::MAX)
    }),
    ("size", |p| {
        p.steps[P_REGION0].message = Message::add_region(0, 1 << 63)
    }),
    ("sealed", |p| {
        p.steps[P_REGION0].fds = vec![unsealable(p.regions[0].len())]
    }),
    ("region 0", |p| {
        p.steps[P_REGION0].fds = vec![regular_file(p.regions[0].len())]
    }),
    ("not a memfd", |p| p.steps[P_REGION0].fds = vec![eventfd()]),
    ("allow unsealed", |p| {
        p.steps[P_REGION0].fds = vec![Arc::new(std::fs::File::open("/dev/zero").unwrap().into())]
    }),
    ("more than one descriptor", |p| {
        p.steps[P_REGION0].fds = vec![p.regions[0].fd.clone(); 2]
    }),
    ("more than one descriptor", |p| {
        p.steps[P_REGION0].fds = vec![p.regions[0].fd.clone(); 5]
    }),
    ("more than one descriptor", |p| {
        p.steps[P_REGION0].fds = vec![p.regions[0].fd.clone(); 250]
    }),
    // Rings
    ("unknown region", |p| {
        p.steps[P_S2M].put16(at::RING_REGION, 2)
    }),
    ("unknown region", |p| {
        p.steps[P_S2M].put16(at::RING_REGION, 65535)
    }),
    ("unknown region", |p| {
        p.steps.drain(P_REGION0..=P_REGION1);
    }),
    ("out of its region", |p| {
        p.steps[P_S2M].put32(at::RING_OFFSET, p.regions[0].len() as u32)
    }),
    ("out of its region", |p| {
        p.steps[P_M2S].put32(at::RING_OFFSET, p.m2s[0].offset as u32 + 64)
    }),
    ("out of its region", |p| {
        p.steps[P_S2M].put32(at::RING_OFFSET, u32::MAX - 63)
    }),
    ("out of its region", |p| {
        p.steps[P_S2M].put8(at::RING_LOG2, 14)
    }),
    ("multiple", |p| p.steps[P_S2M].put32(at::RING_OFFSET, 1)),
    ("log2 size", |p| p.steps[P_S2M].put8(at::RING_LOG2, 0)),
    ("log2 size", |p| p.steps[P_S2M].put8(at::RING_LOG2, 15)),
    ("log2 size", |p| p.steps[P_M2S].put8(at::RING_LOG2, 255)),
    ("private header", |p| {
        p.steps[P_S2M].put8(at::RING_PRIVATE, 8)
    }),
    ("private header", |p| {
        p.steps[P_M2S].put8(at::RING_PRIVATE + 1, 1)
    }),
    ("without its eventfd", |p| p.steps[P_S2M].fds.clear()),
    ("no eventfd", |p| {
        p.steps[P_S2M].fds = vec![p.regions[0].fd.clone()]
    }),
    ("no eventfd", |p| {
        p.steps[P_M2S].fds = vec![Arc::new(std::fs::File::open("/dev/null").unwrap().into())]
    }),
    ("more than one descriptor", |p| {
        p.steps[P_S2M].fds = vec![eventfd(), eventfd()]
    }),
    ("fewer queues", |p| p.steps[P_S2M].put16(at::RING_INDEX, 1)),
    ("fewer queues", |p| {
        p.steps[P_S2M].put16(at::RING_INDEX, 65535)
    }),
    ("out of order", |p| {
        p.steps.insert(P_M2S, p.steps[P_S2M].clone())
    }),
    // CONNECT
    ("before any ring", |p| {
        p.steps.drain(P_S2M..=P_M2S);
    }),
    ("before any ring", |p| {
        p.steps.drain(P_REGION0..=P_M2S);
    }),
    ("wrong cookie", |p| {
        p.regions[0].store32(p.s2m[0].offset, COOKIE + 1)
    }),
    ("wrong cookie", |p| p.regions[0].store32(p.m2s[0].offset, 0)),
    ("wrong cookie", |p| {
        p.steps[P_M2S].put32(at::RING_OFFSET, p.m2s[0].offset as u32 - 64)
    }),
    ("descriptor", |p| p.steps[P_CONNECT].fds = vec![eventfd()]),
    ("unexpected message", |p| {
        p.steps.push(p.steps[P_CONNECT].clone())
    }),
    ("unexpected message", |p| {
        p.steps.push(p.steps[P_INIT].clone())
    }),
];

#[test]
fn a_master_refuses_bent_plans_by_their_reason() {
    let context = context();
    let master = side(&context, Role::Master);
    for (i, (words, bend)) in BENDS.iter().enumerate() {
        let mut plan = Plan::new(0);
        bend(&mut plan);
        match bent(plan, master.socket()) {
            Outcome::Refused(refusal) => {
                assert!(
                    refusal.reason.contains(words),
                    "bend {i}: {refusal:?}, not '{words}'"
                );
                assert_ne!(refusal.code, 0, "bend {i}");
            }
            other => panic!("bend {i} ({words}): {other:?}"),
        }
        down(&master);
    }
    works_as_slave(&Plan::new(0).up(master.socket()), &master);
}

/// Runs a plan that may go on after CONNECTED.
fn bent(plan: Plan, socket: &str) -> Outcome {
    let wire = Wire::connect(socket);
    wire.expect(HELLO);
    for step in &plan.steps {
        if step.send(&wire).is_err() {
            return Outcome::Dropped;
        }
        let Some(answer) = wire.receive() else {
            return Outcome::Dropped;
        };
        if answer.message.kind() == DISCONNECT {
            assert!(wire.receive().is_none(), "nothing follows DISCONNECT");
            return Outcome::Refused(Refusal {
                code: answer.message.u32(at::DISCONNECT_CODE),
                reason: answer.message.reason(),
            });
        }
    }
    Outcome::Up(Link {
        wire,
        regions: plan.regions,
        s2m: plan.s2m,
        m2s: plan.m2s,
    })
}

#[test]
fn messages_of_a_wrong_size_are_refused_at_every_step() {
    let context = context();
    let master = side(&context, Role::Master);
    for step in P_INIT..=P_CONNECT {
        for length in [1, 2, 127, 129, 256, 4096] {
            let mut plan = Plan::new(0);
            plan.steps[step].length = length;
            plan.refused(master.socket()).says("128 bytes");
        }
        // An empty message can't be told from the channel's end.
        let mut plan = Plan::new(0);
        plan.steps[step].length = 0;
        plan.steps[step].fds.clear();
        assert!(matches!(plan.run(master.socket()), Outcome::Dropped));
    }
    works_as_slave(&Plan::new(0).up(master.socket()), &master);
}

#[test]
fn a_peer_that_goes_at_any_step_leaves_nothing_behind() {
    let context = context();
    let master = side(&context, Role::Master);
    for steps in 0..=P_CONNECT {
        let wire = Wire::connect(master.socket());
        wire.expect(HELLO);
        let plan = Plan::new(0);
        for step in &plan.steps[..steps] {
            step.send(&wire).unwrap();
            wire.expect(ACK);
        }
        drop(wire);
        // Without a pause: the next may come before the end of the last was seen.
        drop(Wire::connect(master.socket()));
    }
    let mut next = Plan::new(0).run(master.socket());
    while let Outcome::Refused(refusal) = next {
        refusal.says("already connected");
        next = Plan::new(0).run(master.socket());
    }
    let Outcome::Up(link) = next else {
        panic!("{next:?}")
    };
    works_as_slave(&link, &master);
}

#[test]
fn a_second_slave_is_refused_while_the_first_is_connected() {
    let context = context();
    let master = side(&context, Role::Master);
    let link = Plan::new(0).up(master.socket());
    Plan::new(0)
        .refused(master.socket())
        .says("already connected");
    works_as_slave(&link, &master);
}

#[test]
fn secrets_count_in_all_their_24_bytes() {
    let context = context();
    let secret = b"0123456789abcdefghijklmn";
    let config = MemifConfig::new(socket()).role(Role::Master);
    let master = context.create_interface(config.secret(secret)).unwrap();
    let with = |bytes: &[u8]| {
        let mut plan = Plan::new(0);
        plan.steps[P_INIT].message = plan.steps[P_INIT].message.put(at::INIT_SECRET, bytes);
        plan
    };
    let refusal = with(b"").refused(master.socket());
    refusal.says("secret required");
    assert_eq!(refusal.code, ErrorKind::SecretRequired.code() as u32);
    for wrong in [
        &secret[..23],
        b"x",
        b"0123456789abcdefghijklmN",
        b"\x000123456789abcdefghijkl",
    ] {
        let refusal = with(wrong).refused(master.socket());
        refusal.says("incorrect secret");
        assert_eq!(refusal.code, ErrorKind::WrongSecret.code() as u32);
    }
    works_as_slave(&with(secret).up(master.socket()), &master);
}

#[test]
fn names_that_do_not_end_or_are_not_text_do_no_harm() {
    let context = context();
    let master = side(&context, Role::Master);
    let mut plan = Plan::new(0);
    plan.steps[P_INIT].message = plan.steps[P_INIT].message.put(at::INIT_NAME, &[b'x'; 32]);
    let name = b"a\x1b[2J\xff\n";
    let connect = &mut plan.steps[P_CONNECT];
    connect.message = Message::new(CONNECT).put(at::CONNECT_NAME, name);
    let link = plan.up(master.socket());
    up(&master);
    let details = master.details().unwrap();
    assert_eq!(details.remote_name, "x".repeat(32));
    assert_eq!(details.remote_interface_name, "a?[2J??");
    link.wire
        .send(&Message::new(DISCONNECT).put(at::DISCONNECT_REASON, &[b'y'; 96]));
    assert!(link.wire.receive().is_none());
    down(&master);
    assert!(master.details().unwrap().error.contains(&"y".repeat(90)));
}

// Silence.

#[test]
fn a_silent_slave_is_dropped_in_time() {
    let context = Context::builder("test").handshake_timeout(Duration::from_millis(20));
    let context = context.build().unwrap();
    let master = side(&context, Role::Master);
    for steps in 0..=P_CONNECT {
        let wire = Wire::connect(master.socket());
        wire.expect(HELLO);
        let plan = Plan::new(0);
        let mut refused = false;
        for step in &plan.steps[..steps] {
            // On a machine this slow it may be refused before it is silent.
            if step.send(&wire).is_err() {
                refused = true;
                break;
            }
            if wire
                .receive()
                .is_none_or(|got| got.message.kind() == DISCONNECT)
            {
                refused = true;
                break;
            }
        }
        if !refused {
            wire.expect_refusal().says("in time");
        }
    }
}

#[test]
fn a_silent_master_is_left_in_time_and_asked_again() {
    let context = Context::builder("test")
        .handshake_timeout(Duration::from_millis(50))
        .reconnect_interval(Duration::from_millis(5))
        .build()
        .unwrap();
    let socket = socket();
    let raw = Master::listen(&socket);
    let slave = context.create_interface(MemifConfig::new(&socket)).unwrap();
    let wire = raw.go(Stage::Accepted).wire;
    wire.expect_refusal().says("in time");
    assert!(!slave.is_link_up());
    let wire = raw.accept();
    wire.send(&raw.hello);
    // INIT, if it came to that, and then the end.
    while let Some(got) = wire.receive() {
        if got.message.kind() == DISCONNECT {
            assert!(got.message.reason().contains("in time"));
        }
    }
}

#[test]
fn the_oldest_unfinished_handshake_goes_when_there_are_too_many() {
    let context = Context::builder("test").max_half_open(3).build().unwrap();
    let master = side(&context, Role::Master);
    let open = || {
        let wire = Wire::connect(master.socket());
        wire.expect(HELLO);
        wire
    };
    let first = open();
    let others = [open(), open()];
    let fourth = open();
    first.expect_refusal().says("too many");
    let link = match Plan::new(0).run_on(fourth) {
        Outcome::Up(link) => link,
        other => panic!("{other:?}"),
    };
    // A link that is up counts no longer.
    let _third = open();
    works_as_slave(&link, &master);
    for wire in others {
        wire.send(&Message::init(1));
        wire.expect_refusal().says("unmatched");
    }
}

// HELLO.

#[test]
fn a_slave_refuses_a_hello_it_can_t_live_with() {
    let context = context();
    let socket = socket();
    let mut raw = Master::listen(&socket);
    let slave = context.create_interface(MemifConfig::new(&socket)).unwrap();
    let bends = [
        (raw.hello.put8(at::HELLO_MAX_LOG2, 0), "usable size"),
        (raw.hello.put16(at::HELLO_MAX_REGION, 0), "1 regions"),
        (
            raw.hello.put16(at::HELLO_MIN_VERSION, 0x0201),
            "incompatible version",
        ),
        (
            raw.hello.put16(at::HELLO_MAX_VERSION, 0x01ff),
            "incompatible version",
        ),
    ];
    for (hello, words) in bends {
        let wire = raw.accept();
        wire.refused(&hello).says(words);
    }
    let error = slave.wait_link_up(Some(LONG)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::IncompatibleProtocol, "{error}");
    raw.hello = raw.hello.put16(at::HELLO_MIN_VERSION, 0);
    raw.hello = raw.hello.put16(at::HELLO_MAX_VERSION, 0xffff);
    works_as_master_after(&raw, &slave);
}

#[test]
fn a_slave_settles_on_what_hello_allows() {
    let context = context();
    let socket = socket();
    let mut raw = Master::listen(&socket);
    raw.hello = raw.hello.put8(at::HELLO_MAX_LOG2, 3);
    raw.hello = raw.hello.put16(at::HELLO_MAX_M2S, 1);
    let config = MemifConfig::new(&socket).queues(4, 4).log2_ring_size(9);
    let slave = context.create_interface(config).unwrap();
    let link = raw.go(Stage::Up);
    assert_eq!((link.s2m.len(), link.m2s.len()), (1, 2));
    assert!(link.s2m.iter().chain(&link.m2s).all(|ring| ring.log2 == 3));
    up(&slave);
    // The largest numbers are no more than its own.
    link.wire.send(&Message::disconnect(0, "again"));
    raw.hello = raw.hello.put8(at::HELLO_MAX_LOG2, 255);
    raw.hello = raw.hello.put16(at::HELLO_MAX_M2S, 65535);
    raw.hello = raw.hello.put16(at::HELLO_MAX_S2M, 65535);
    let link = raw.go(Stage::Up);
    assert_eq!((link.s2m.len(), link.m2s.len()), (4, 4));
    assert_eq!(link.s2m[0].log2, 9);
}

// What is in the shared memory.

/// Reads what came before, then the violation, once, then the link's end.
#[track_caller]
fn violated(handle: &mut PacketHandle, before: &[&[u8]], case: usize) {
    for wanted in before {
        assert_eq!(read(handle), *wanted, "case {case}");
    }
    let error = handle.read_packet_timeout(Some(LONG)).unwrap_err();
    assert_eq!(
        error.kind(),
        ErrorKind::MalformedMessage,
        "case {case}: {error}"
    );
    assert_eq!(
        handle.wait(Some(LONG)).unwrap(),
        Wait::LinkDown,
        "case {case}"
    );
    assert_eq!(eof(handle.read_packet()), Eof::LinkDown, "case {case}");
}

#[test]
fn a_slave_s_bad_descriptors_end_the_link_after_the_packets_before_them() {
    let context = context();
    let master = side(&context, Role::Master);
    // Two good packets are in slots 0 and 1. The case publishes what follows.
    fn publish(link: &Link, head: u16, bend: impl Fn(u16, &mut Desc)) {
        let ring = link.s2m();
        for slot in 2..16 {
            let mut desc = ring.desc(slot);
            desc.length = 64;
            bend(slot, &mut desc);
            ring.set_desc(slot, desc);
        }
        ring.set_head(head);
        ring.wake();
    }
    type Case = (&'static str, fn(&Link));
    let cases: &[Case] = &[
        ("region 2", |l| publish(l, 3, |_, d| d.region = 2)),
        ("region 65535", |l| publish(l, 3, |_, d| d.region = 65535)),
        ("offset 4294967295", |l| {
            publish(l, 3, |_, d| d.offset = u32::MAX)
        }),
        ("length 4294967295", |l| {
            publish(l, 3, |_, d| d.length = u32::MAX)
        }),
        ("out of the memory", |l| {
            publish(l, 3, |_, d| (d.offset, d.length) = (u32::MAX, u32::MAX))
        }),
        ("out of the memory", |l| {
            let end = l.regions[1].len() as u32;
            publish(l, 3, |_, d| (d.offset, d.length) = (end - 63, 64));
        }),
        ("out of the memory", |l| {
            let end = l.regions[1].len() as u32;
            publish(l, 3, |_, d| (d.offset, d.length) = (end, 1));
        }),
        // In the middle of a chain.
        ("slot 4", |l| {
            publish(l, 6, |slot, d| {
                d.flags = u16::from(slot < 5);
                d.region = if slot == 4 { 9 } else { d.region };
            })
        }),
        ("beyond what is published", |l| {
            publish(l, 3, |_, d| d.flags = NEXT)
        }),
        ("beyond what is published", |l| {
            publish(l, 16, |_, d| d.flags = NEXT)
        }),
        ("beyond what is published", |l| {
            publish(l, 16, |_, d| d.flags = 65535)
        }),
    ];
    for (i, (words, case)) in cases.iter().enumerate() {
        let link = Plan::new(0).up(master.socket());
        up(&master);
        let mut handle = master.packet_handle(0, 32).unwrap();
        link.slave_sends(b"one");
        link.slave_sends(b"two");
        case(&link);
        violated(&mut handle, &[b"one", b"two"], i);
        link.wire.expect_refusal();
        // The message's field may be too short for all of it.
        down(&master);
        let error = master.details().unwrap().error;
        assert!(error.contains(words), "case {i}: {error}");
    }
    works_as_slave(&Plan::new(0).up(master.socket()), &master);
}

#[test]
fn a_slave_s_head_that_jumps_ends_the_link() {
    let context = context();
    let master = side(&context, Role::Master);
    for (i, head) in [17, 18, 0x8000, 0xffff, 1].into_iter().enumerate() {
        let link = Plan::new(0).up(master.socket());
        up(&master);
        let mut handle = master.packet_handle(0, 32).unwrap();
        if head == 1 {
            // Backwards.
            link.slave_sends(b"one");
            link.slave_sends(b"two");
            assert_eq!(read(&mut handle), b"one");
            assert_eq!(read(&mut handle), b"two");
            assert_eq!(eof(handle.read_packet()), Eof::Empty);
        }
        link.s2m().set_head(head);
        link.s2m().wake();
        violated(&mut handle, &[], i);
        link.wire.expect_refusal().says("slots are published");
        down(&master);
    }
    works_as_slave(&Plan::new(0).up(master.socket()), &master);
}

#[test]
fn a_full_ring_of_empty_and_whole_region_packets_is_read() {
    // Strange, but inside the memory.
    let context = context();
    let master = side(&context, Role::Master);
    let link = Plan::new(0).up(master.socket());
    up(&master);
    let mut handle = master.packet_handle(0, 32).unwrap();
    let size = link.regions[1].len() as u32;
    let ring = link.s2m();
    for slot in 0..16 {
        let length = if slot % 2 == 0 { 0 } else { size };
        let whole = Desc {
            region: 1,
            length,
            ..Desc::default()
        };
        ring.set_desc(slot, whole);
    }
    ring.set_head(16);
    ring.wake();
    for slot in 0..16 {
        let length = if slot % 2 == 0 { 0 } else { size as usize };
        let packet = handle.read_packet_timeout(Some(LONG)).unwrap();
        assert_eq!(packet.len(), length);
    }
    assert_eq!(ring.tail(), 16);
}

#[test]
fn offers_that_can_t_be_end_the_link_of_a_writing_master() {
    let context = context();
    let master = side(&context, Role::Master);
    fn offer(link: &Link, bend: impl Fn(&mut Desc)) {
        let ring = link.m2s();
        let mut desc = ring.desc(0);
        bend(&mut desc);
        ring.set_desc(0, desc);
        ring.set_head(1);
    }
    type Case = (&'static str, fn(&Link));
    let cases: &[Case] = &[
        ("slots are outstanding", |l| l.m2s().set_head(17)),
        ("slots are outstanding", |l| l.m2s().set_head(0xffff)),
        ("unusable", |l| offer(l, |d| d.region = 2)),
        ("unusable", |l| offer(l, |d| d.offset = u32::MAX)),
        ("unusable", |l| offer(l, |d| d.length = 0)),
        ("unusable", |l| offer(l, |d| d.length = u32::MAX)),
    ];
    for (i, (words, case)) in cases.iter().enumerate() {
        let link = Plan::new(0).up(master.socket());
        up(&master);
        let mut handle = master.packet_handle(0, 32).unwrap();
        assert_eq!(
            eof(handle.write_packet(b"x")),
            Eof::Full,
            "nothing is offered"
        );
        case(&link);
        let error = handle.write_packet(b"x").unwrap_err();
        assert_eq!(
            error.kind(),
            ErrorKind::MalformedMessage,
            "case {i}: {error}"
        );
        let refusal = link.wire.expect_refusal();
        assert!(refusal.reason.contains(words), "case {i}: {refusal:?}");
        down(&master);
        assert_eq!(eof(handle.write_packet(b"x")), Eof::LinkDown);
    }
    works_as_slave(&Plan::new(0).up(master.socket()), &master);
}

/// A raw master, our slave, a link that is up.
fn attacked() -> (Context, Master, Memif) {
    let context = context();
    let socket = socket();
    let raw = Master::listen(&socket);
    let config = MemifConfig::new(&socket).log2_ring_size(LOG2);
    let config = config.buffer_size(BUFFER as u16);
    let slave = context.create_interface(config).unwrap();
    (context, raw, slave)
}

#[test]
fn a_master_can_t_make_a_slave_read_elsewhere() {
    let (_context, raw, slave) = attacked();
    // Publishes slot 1 after a good packet in slot 0.
    fn publish(link: &Link, bend: impl Fn(&mut Desc)) {
        let ring = link.m2s();
        let mut desc = ring.desc(1);
        desc.length = 64;
        bend(&mut desc);
        ring.set_desc(1, desc);
        ring.set_tail(2);
        ring.wake();
    }
    let cases: &[fn(&Link)] = &[
        // The next slot's buffer, the ring itself, outside of all.
        |l| publish(l, |d| d.offset += BUFFER as u32),
        |l| publish(l, |d| d.offset -= 1),
        |l| publish(l, |d| (d.region, d.offset) = (0, 0)),
        |l| publish(l, |d| d.region = 7),
        |l| publish(l, |d| d.offset = u32::MAX),
        |l| publish(l, |d| d.length = BUFFER as u32 + 1),
        |l| publish(l, |d| d.length = u32::MAX),
        |l| publish(l, |d| (d.offset, d.length) = (d.offset + 1, BUFFER as u32)),
        |l| publish(l, |d| d.flags = NEXT),
    ];
    for (i, case) in cases.iter().enumerate() {
        let link = raw.go(Stage::Up);
        up(&slave);
        until("offered buffers", || link.m2s().head() == 16);
        let mut handle = slave.packet_handle(0, 8).unwrap();
        link.master_sends(b"good");
        case(&link);
        violated(&mut handle, &[b"good"], i);
        link.wire.expect_refusal();
    }
    works_as_master(&raw.go(Stage::Up), &slave);
}

#[test]
fn a_master_s_tail_beyond_the_offer_ends_the_link() {
    let (_context, raw, slave) = attacked();
    for (i, tail) in [17, 0x8000, 0xffff].into_iter().enumerate() {
        let link = raw.go(Stage::Up);
        up(&slave);
        until("offered buffers", || link.m2s().head() == 16);
        let mut handle = slave.packet_handle(0, 8).unwrap();
        link.m2s().set_tail(tail);
        link.m2s().wake();
        violated(&mut handle, &[], i);
        link.wire.expect_refusal().says("slots are published");
    }
    works_as_master(&raw.go(Stage::Up), &slave);
}

#[test]
fn a_master_that_takes_more_than_was_sent_ends_the_link() {
    let (_context, raw, slave) = attacked();
    for tail in [17, 0x8000, 0xffff] {
        let link = raw.go(Stage::Up);
        up(&slave);
        let mut handle = slave.packet_handle(0, 8).unwrap();
        handle.write_packet(b"x").unwrap();
        link.s2m().set_tail(tail);
        // The counter is looked at when room is needed.
        let error = loop {
            match handle.write_packet(b"y") {
                Ok(()) => {}
                Err(e) => break e,
            }
        };
        assert_eq!(error.kind(), ErrorKind::MalformedMessage, "{tail}: {error}");
        link.wire.expect_refusal().says("slots are outstanding");
        assert_eq!(handle.wait(Some(LONG)).unwrap(), Wait::LinkDown);
    }
    // Whoever looks first is told, and nobody after.
    let link = raw.go(Stage::Up);
    up(&slave);
    let mut handle = slave.packet_handle(0, 8).unwrap();
    handle.write_packet(b"x").unwrap();
    link.s2m().set_tail(2);
    let error = handle.flush(LONG).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::MalformedMessage, "{error}");
    let next = eof(handle.write_packet(b"x"));
    assert!(matches!(next, Eof::Full | Eof::LinkDown), "{next}");
    link.wire.expect_refusal().says("slots are outstanding");
    assert_eq!(handle.wait(Some(LONG)).unwrap(), Wait::LinkDown);
    drop(handle);
    works_as_master(&raw.go(Stage::Up), &slave);
}

#[test]
fn a_slave_sends_from_its_own_buffers_whatever_the_ring_says() {
    let (_context, raw, slave) = attacked();
    let link = raw.go(Stage::Up);
    up(&slave);
    let mut handle = slave.packet_handle(0, 8).unwrap();
    let ring = link.s2m();
    let made: Vec<_> = (0..16).map(|slot| ring.desc(slot)).collect();
    let rings = link.regions[0].read(0, link.regions[0].len());
    for slot in 0..16 {
        let elsewhere = Desc {
            flags: NEXT,
            region: 0,
            length: u32::MAX,
            offset: 128,
            metadata: 7,
        };
        ring.set_desc(slot, elsewhere);
    }
    let mut used = std::collections::HashSet::new();
    for slot in 0..16u16 {
        let packet = pattern(u64::from(slot), 100);
        handle.write_packet(&packet).unwrap();
        let desc = ring.desc(slot);
        // Any buffer of its own that is not in use: never where the ring was made to point.
        assert_eq!(desc.region, made[usize::from(slot)].region);
        assert!(used.insert(desc.offset), "slot {slot}");
        assert_eq!((desc.flags, desc.length), (0, 100));
        assert_same(&link.data(desc), &packet, slot);
    }
    // The rest of the rings' region is as it was.
    let now = link.regions[0].read(0, rings.len());
    let end = ring_bytes(LOG2);
    assert_eq!(now[..6], rings[..6]);
    assert_eq!(now[end..], rings[end..]);
    ring.set_tail(16);
}

#[test]
fn a_slave_offers_its_own_buffers_whatever_the_ring_says() {
    let (_context, raw, slave) = attacked();
    let link = raw.go(Stage::Up);
    up(&slave);
    until("offered buffers", || link.m2s().head() == 16);
    let mut handle = slave.packet_handle(0, 8).unwrap();
    let ring = link.m2s();
    for round in 0..40u16 {
        let made = ring.desc(round);
        let packet = pattern(u64::from(round), 100);
        link.master_sends(&packet);
        assert_same(&read(&mut handle), &packet, round);
        // It was offered again, as it was, though its length and flags were changed.
        until("an offer", || ring.head() == round.wrapping_add(17));
        assert_eq!(ring.desc(round), made);
    }
}

#[test]
fn a_wake_up_that_can_t_be_written_is_no_reason_to_block() {
    // The eventfd is full: the receiver has been told for sure.
    let (_context, raw, slave) = attacked();
    let link = raw.go(Stage::Up);
    up(&slave);
    let mut handle = slave.packet_handle(0, 8).unwrap();
    let ring = link.s2m();
    ring.set_flags(0);
    nix::unistd::write(&*ring.efd, &(u64::MAX - 1).to_ne_bytes()).unwrap();
    assert_eq!(
        nix::unistd::write(&*ring.efd, &1u64.to_ne_bytes()),
        Err(Errno::EAGAIN)
    );
    handle.write_packet(b"x").unwrap();
    assert_eq!(ring.head(), 1);
    ring.set_tail(1);
}

#[test]
fn wake_ups_without_packets_do_no_harm() {
    let context = context();
    let master = side(&context, Role::Master);
    let link = Plan::new(0).up(master.socket());
    up(&master);
    let mut handle = master.packet_handle(0, 8).unwrap();
    for i in 0..100u8 {
        nix::unistd::write(&*link.s2m().efd, &1u64.to_ne_bytes()).unwrap();
        assert_eq!(eof(handle.read_packet()), Eof::Empty);
        let short = Some(Duration::from_micros(10));
        assert_eq!(handle.wait(short).unwrap(), Wait::TimedOut);
        link.slave_sends(&[i]);
        assert_eq!(read(&mut handle), [i]);
    }
}

/// Makes the calls on an eventfd block, for all who have it: O_NONBLOCK is not one process's.
fn make_blocking(fd: &Fd) {
    fcntl(&**fd, FcntlArg::F_SETFL(nix::fcntl::OFlag::empty())).unwrap();
}

#[test]
fn an_eventfd_that_was_made_blocking_blocks_no_reader() {
    let context = context();
    let master = side(&context, Role::Master);
    let link = Plan::new(0).up(master.socket());
    up(&master);
    let (ours, theirs) = std::sync::mpsc::channel();
    let mut handle = master.packet_handle(0, 8).unwrap();
    make_blocking(&link.s2m().efd);
    let reading = std::thread::spawn(move || {
        for i in 0..20u8 {
            // Empty reads clear the event now and then, and so does going to sleep.
            for _ in 0..10 {
                assert_eq!(eof(handle.read_packet()), Eof::Empty);
            }
            ours.send(()).unwrap();
            assert_eq!(read(&mut handle), [i]);
        }
    });
    for i in 0..20 {
        let called = theirs.recv_timeout(Duration::from_secs(10));
        if called.is_err() {
            // Lets the reader go, or the test would never end.
            let fd = &link.s2m().efd;
            fcntl(&**fd, FcntlArg::F_SETFL(nix::fcntl::OFlag::O_NONBLOCK)).unwrap();
            nix::unistd::write(&**fd, &1u64.to_ne_bytes()).unwrap();
        }
        called.expect("a call that should not block");
        link.slave_sends(&[i]);
    }
    reading.join().unwrap();
}

#[test]
fn an_eventfd_that_was_made_blocking_blocks_no_writer() {
    let context = context();
    let master = side(&context, Role::Master);
    let link = Plan::new(0).up(master.socket());
    up(&master);
    link.offer();
    let efd = &link.m2s().efd;
    make_blocking(efd);
    nix::unistd::write(&**efd, &(u64::MAX - 1).to_ne_bytes()).unwrap();
    let mut handle = master.packet_handle(0, 8).unwrap();
    let (ours, theirs) = std::sync::mpsc::channel();
    let writing = std::thread::spawn(move || {
        handle.write_packet(b"x").unwrap();
        ours.send(()).unwrap();
    });
    let called = theirs.recv_timeout(Duration::from_secs(10));
    if called.is_err() {
        nix::unistd::read(efd, &mut [0; 8]).unwrap();
    }
    writing.join().unwrap();
    called.expect("a call that should not block");
}

#[test]
fn memory_that_is_not_sealed_is_sealed() {
    let context = context();
    let master = side(&context, Role::Master);
    let mut plan = Plan::new(0);
    let len = plan.regions[1].len();
    plan.regions[1] = Memory::map(Memory::file(len), len);
    plan.steps[P_REGION1].fds = vec![plan.regions[1].fd.clone()];
    let link = plan.up(master.socket());
    let shrunk = nix::unistd::ftruncate(&*link.regions[1].fd, 4096);
    assert_eq!(shrunk, Err(Errno::EPERM), "it can't be taken away");
    works_as_slave(&link, &master);
}

#[test]
fn memory_that_can_t_be_sealed_is_accepted_where_that_is_allowed() {
    let context = context();
    for file in [unsealable, regular_file] {
        let config = MemifConfig::new(socket()).role(Role::Master);
        let master = context
            .create_interface(config.allow_unsealed_regions(true))
            .unwrap();
        let mut plan = Plan::new(0);
        let len = plan.regions[1].len();
        plan.regions[1] = Memory::map(file(len), len);
        plan.steps[P_REGION1].fds = vec![plan.regions[1].fd.clone()];
        works_as_slave(&plan.up(master.socket()), &master);
        master.close();
    }
}

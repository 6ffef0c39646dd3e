//! The default plan, bent at each of its steps.

use crate::*;

/// A change to the default plan, and words of the refusal.
type Bend = (&'static str, fn(&mut Plan));

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

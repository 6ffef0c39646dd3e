//! Messages out of turn.

use crate::*;

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

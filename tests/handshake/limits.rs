//! Silence, and too many at once: what follows. All steps of it are in tests/hostile.

use crate::*;

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
    // One more is refused until the oldest is 100 ms old.
    Wire::connect(master.socket())
        .expect_refusal()
        .says("too many");
    let fourth = loop {
        let wire = Wire::connect(master.socket());
        if wire
            .receive()
            .is_some_and(|got| got.message.kind() == HELLO)
        {
            break wire;
        }
    };
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

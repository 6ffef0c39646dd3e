//! HELLO.

use crate::*;

#[test]
fn versions_that_do_not_meet_are_told_to_the_waiter() {
    let context = context();
    let socket = socket();
    let mut raw = Master::listen(&socket);
    let slave = context.create_interface(MemifConfig::new(&socket)).unwrap();
    let wire = raw.accept();
    wire.refused(&raw.hello.put16(at::HELLO_MIN_VERSION, 0x0201))
        .says("incompatible version");
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

//! What a master refuses, by the reason that a slave gets. All else is in tests/hostile.

use crate::*;

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

/// As DPDK and VPP refuse: in words, without a number that means anything.
#[test]
fn a_slave_tells_the_peer_s_words_and_nothing_twice() {
    let (_context, raw, slave) = attacked();
    let link = raw.go(Stage::Init);
    let words = Message::disconnect(0, "Unmatched interface ID");
    link.wire.send(&words);
    let error = slave.wait_link_up(Some(LONG)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Disconnect);
    assert_eq!(
        error.to_string(),
        format!("{slave}: the peer refuses: Unmatched interface ID")
    );
}

/// A master waits for the next, whatever one slave has said.
#[test]
fn a_slave_that_refuses_ends_no_master_s_wait() {
    let context = context();
    let master = side(&context, Role::Master);
    let wire = Wire::connect(master.socket());
    wire.expect(HELLO);
    wire.send(&Message::init(0));
    wire.expect(ACK);
    wire.send(&Message::disconnect(0, "Unsupported"));
    until("a failure", || master.last_failure().is_some());
    assert!(master.last_failure().unwrap().refused);
    let waited = master.wait_link_up(Some(Duration::ZERO));
    assert_eq!(waited, Err(Error::TimedOut));
    works_as_slave(&Plan::new(0).up(master.socket()), &master);
}

#[test]
fn a_folder_that_is_not_there_is_named_once() {
    let path = "/nonexistent/memif.sock";
    let config = MemifConfig::new(path).role(Role::Master);
    let error = context().create_interface(config).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert_eq!(
        error.to_string(),
        format!("creating master id 0 on {path}: can't listen on {path}: no such file (errno 2)")
    );
}

#[test]
fn secrets_count_up_to_their_nul_and_in_all_24_bytes() {
    let context = context();
    let secret = b"0123456789abcdefghijklmn";
    let config = MemifConfig::new(socket()).role(Role::Master);
    let master = context.create_interface(config.secret(secret)).unwrap();
    let with = |bytes: &[u8]| {
        let mut plan = Plan::new(0);
        plan.steps[P_INIT].message = plan.steps[P_INIT].message.put(at::INIT_SECRET, bytes);
        plan
    };
    for none in [&b""[..], b"\x000123456789abcdefghijkl"] {
        let refusal = with(none).refused(master.socket());
        refusal.says("secret required");
        assert_eq!(refusal.code, ErrorKind::SecretRequired.code() as u32);
    }
    for wrong in [
        &secret[..23],
        b"x",
        b"0123456789abcdefghijklmN",
        b"0123456789abcdefghijk\0mn",
    ] {
        let refusal = with(wrong).refused(master.socket());
        refusal.says("incorrect secret");
        assert_eq!(refusal.code, ErrorKind::WrongSecret.code() as u32);
    }
    works_as_slave(&with(secret).up(master.socket()), &master);

    // libmemif and VPP send what lies behind the NUL.
    let config = MemifConfig::new(socket()).role(Role::Master);
    let config = config.log2_ring_size(LOG2).buffer_size(BUFFER as u16);
    let master = context.create_interface(config.secret("right")).unwrap();
    works_as_slave(&with(b"right\0\0junk").up(master.socket()), &master);

    // A slave of ours sends them all.
    let config = MemifConfig::new(socket()).secret(secret);
    let end = |role| context.create_interface(config.clone().role(role)).unwrap();
    [Role::Master, Role::Slave].map(end).iter().for_each(up);
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

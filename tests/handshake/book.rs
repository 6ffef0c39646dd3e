//! The handshake by the book, and messages of ours field by field.

use crate::*;

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
    let mut handle = master.packet_handle(0).unwrap().with_burst(1);
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

//! Eventfds, and memory that is not sealed.

use crate::*;

#[test]
fn a_wake_up_that_can_t_be_written_is_no_reason_to_block() {
    // The eventfd is full: the receiver has been told for sure.
    let (_context, raw, slave) = attacked();
    let link = raw.go(Stage::Up);
    up(&slave);
    let mut handle = slave.packet_handle(0).unwrap().with_burst(8);
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
    let mut handle = master.packet_handle(0).unwrap().with_burst(8);
    for i in 0..100u8 {
        nix::unistd::write(&*link.s2m().efd, &1u64.to_ne_bytes()).unwrap();
        assert_eq!(eof(handle.read_packet()), Eof::Empty);
        let short = Some(Duration::from_micros(10));
        assert_eq!(handle.wait(short), Err(Error::TimedOut));
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
    let mut handle = master.packet_handle(0).unwrap().with_burst(8);
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
    let mut handle = master.packet_handle(0).unwrap().with_burst(8);
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

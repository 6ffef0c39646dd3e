//! Links between interfaces: making them, refusing them, losing them, making them again.

mod common;
mod peer;

use std::fs;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use common::*;
use memif::{Burst, Context, Eof, Error, ErrorKind, IfMode, Memif, MemifConfig, Role, Wait};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, bind, socket as new_socket};
use peer::{Plan, Stage};

fn master_on(context: &Context, socket: &str) -> Memif {
    let config = MemifConfig::new(socket).role(Role::Master);
    context.create_interface(config).unwrap()
}

fn slave_on(context: &Context, socket: &str) -> Memif {
    context.create_interface(MemifConfig::new(socket)).unwrap()
}

/// One packet each way.
#[track_caller]
fn works(a: &Memif, b: &Memif) {
    up(a);
    up(b);
    let mut a = a.packet_handle(0, 4).unwrap();
    let mut b = b.packet_handle(0, 4).unwrap();
    a.write_packet_timeout(b"there", Some(LONG)).unwrap();
    b.write_packet_timeout(b"back", Some(LONG)).unwrap();
    assert_eq!(read(&mut b), b"there");
    assert_eq!(read(&mut a), b"back");
}

// Making links.

#[test]
fn either_side_may_come_first() {
    let context = context();
    let name = socket();
    let slave = slave_on(&context, &name);
    assert!(!slave.wait_link_up(Some(Duration::ZERO)).unwrap());
    assert_eq!(
        slave.last_failure().unwrap().kind,
        ErrorKind::ConnectionRefused
    );
    let master = master_on(&context, &name);
    works(&master, &slave);
    assert_eq!(slave.last_failure(), None);
    let name = socket();
    let master = master_on(&context, &name);
    works(&slave_on(&context, &name), &master);
}

#[test]
fn a_socket_of_a_path_works_and_goes_with_its_master() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("memif.sock");
    let context = context();
    let master = master_on(&context, path.to_str().unwrap());
    assert!(fs::metadata(&path).unwrap().file_type().is_socket());
    works(&slave_on(&context, path.to_str().unwrap()), &master);
    master.close();
    assert!(!path.exists());
}

#[test]
fn interfaces_on_one_socket_are_told_apart_by_id() {
    let socket = socket();
    let (masters, slaves) = (context(), context());
    let ids = [0, 1, 7, u32::MAX];
    let make = |context: &Context, role, id| {
        let config = MemifConfig::new(&socket).role(role).id(id);
        context
            .create_interface(config.name(format!("{role}{id}")))
            .unwrap()
    };
    let slave: Vec<_> = ids
        .iter()
        .rev()
        .map(|id| make(&slaves, Role::Slave, *id))
        .collect();
    let master: Vec<_> = ids
        .iter()
        .map(|id| make(&masters, Role::Master, *id))
        .collect();
    // Some were refused at first: the socket was there before their master.
    until("links", || slave.iter().all(Memif::is_link_up));
    for (i, id) in ids.iter().enumerate() {
        let (master, slave) = (&master[i], &slave[ids.len() - 1 - i]);
        works(master, slave);
        assert_eq!(
            slave.details().unwrap().remote_interface_name,
            format!("master{id}")
        );
        assert_eq!(
            master.details().unwrap().remote_interface_name,
            format!("slave{id}")
        );
    }
    // The others go on when one goes.
    master[1].close();
    down(&slave[2]);
    works(&master[2], &slave[1]);
    let again = make(&masters, Role::Master, ids[1]);
    until("a link again", || slave[2].is_link_up());
    works(&again, &slave[2]);
}

#[test]
fn an_id_is_taken_once_on_a_socket() {
    let context = context();
    let socket = socket();
    let first = master_on(&context, &socket);
    let config = MemifConfig::new(&socket).role(Role::Master);
    let error = context.create_interface(config).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InterfaceId);
    assert!(error.to_string().contains(&socket), "{error}");
    first.close();
    works(&master_on(&context, &socket), &slave_on(&context, &socket));
}

#[test]
fn queues_do_not_mix() {
    let socket = socket();
    let context = context();
    let config = MemifConfig::new(&socket);
    let master = config.clone().role(Role::Master).queues(3, 2);
    let master = context.create_interface(master).unwrap();
    let slave = context.create_interface(config.queues(2, 3)).unwrap();
    up(&slave);
    up(&master);
    let mut threads = Vec::new();
    for (from, to, queues) in [(&slave, &master, 3), (&master, &slave, 2)] {
        for queue in 0..queues {
            let mut tx = from.tx_queue(queue).unwrap();
            let mut rx = to.rx_queue(queue).unwrap();
            threads.push(thread::spawn(move || {
                let tagged = |i: u64| pattern(i << 8 | u64::from(queue), 100);
                let mut burst = Burst::new(32);
                let (mut sent, mut got) = (0, 0);
                while got < 3000 {
                    let packets: Vec<_> = (sent..3000.min(sent + 20)).map(tagged).collect();
                    sent += tx.tx_burst(&packets).unwrap() as u64;
                    rx.rx_burst(&mut burst).unwrap();
                    for packet in &burst {
                        assert_same(&packet, &tagged(got), format!("queue {queue}"));
                        got += 1;
                    }
                }
            }));
        }
    }
    for thread in threads {
        thread.join().unwrap();
    }
}

#[test]
fn unequal_queues_and_rings_are_settled() {
    // (master rx, tx, log2, slave rx, tx, log2, settled to the slave, to the master)
    for (m_rx, m_tx, s_rx, s_tx) in [(1, 1, 3, 4), (4, 3, 1, 2), (2, 5, 3, 3), (255, 255, 1, 1)] {
        let socket = socket();
        let context = context();
        let master = MemifConfig::new(&socket).role(Role::Master);
        let master = master.queues(m_rx, m_tx).log2_ring_size(4).buffer_size(64);
        let master = context.create_interface(master).unwrap();
        let slave = MemifConfig::new(&socket).queues(s_rx, s_tx);
        let slave = slave.log2_ring_size(7).buffer_size(200);
        let slave = context.create_interface(slave).unwrap();
        up(&slave);
        up(&master);
        let (m, s) = (master.details().unwrap(), slave.details().unwrap());
        let (to_master, to_slave) = (usize::from(s_tx.min(m_rx)), usize::from(s_rx.min(m_tx)));
        assert_eq!(
            (s.tx_queues.len(), s.rx_queues.len()),
            (to_master, to_slave)
        );
        assert_eq!(
            (m.rx_queues.len(), m.tx_queues.len()),
            (to_master, to_slave)
        );
        for queue in s.tx_queues.iter().chain(&s.rx_queues).chain(&m.rx_queues) {
            assert_eq!(
                (queue.ring_size, queue.buffer_size),
                (128, 200),
                "the slave's count"
            );
        }
        works(&master, &slave);
        // Queues beyond that are there, but without a link.
        if usize::from(s_tx) > to_master {
            let mut beyond = slave.tx_queue(to_master as u16).unwrap();
            assert_eq!(eof(beyond.tx_burst(&[b"x"])), Eof::LinkDown);
        }
        if usize::from(s_rx) > to_slave {
            let mut beyond = slave.rx_queue(to_slave as u16).unwrap();
            assert_eq!(eof(beyond.rx_burst(&mut Burst::new(1))), Eof::LinkDown);
            assert_eq!(beyond.wait(Some(LONG)).unwrap(), Wait::LinkDown);
        }
    }
}

#[test]
fn details_tell_both_sides() {
    let socket = socket();
    let master_context = Context::new("the master").unwrap();
    let slave_context = Context::new("the slave").unwrap();
    let config = MemifConfig::new(&socket)
        .id(9)
        .mode(IfMode::Ip)
        .queues(2, 2);
    let master = config.clone().role(Role::Master).name("m0");
    let master = master_context.create_interface(master).unwrap();
    let before = master.details().unwrap();
    assert_eq!((before.link_up, before.remote_name.as_str()), (false, ""));
    assert!(before.rx_queues.is_empty() && before.regions.is_empty());
    let slave = config.name("s0").log2_ring_size(5);
    let slave = slave_context.create_interface(slave).unwrap();
    up(&slave);
    up(&master);
    slave.tx_queue(1).unwrap().tx_burst(&[b"x", b"y"]).unwrap();
    let (m, s) = (master.details().unwrap(), slave.details().unwrap());
    for (d, role, own, remote, program) in [
        (&m, Role::Master, "m0", "s0", "the slave"),
        (&s, Role::Slave, "s0", "m0", "the master"),
    ] {
        assert_eq!(
            (d.id, d.role, d.mode, d.link_up),
            (9, role, IfMode::Ip, true)
        );
        assert_eq!(d.socket, socket);
        assert_eq!(d.interface_name, own);
        assert_eq!(d.remote_interface_name, remote);
        assert_eq!(d.remote_name, program);
        assert_eq!(d.error, "");
        assert_eq!(d.regions.len(), 2);
        assert_eq!((d.rx_queues[1].id, d.rx_queues[1].ring_size), (1, 32));
    }
    assert_eq!(m.regions, s.regions);
    assert_eq!((s.tx_queues[1].head, s.tx_queues[1].tail), (2, 0));
    assert_eq!((m.rx_queues[1].head, m.rx_queues[1].tail), (2, 0));
    assert_eq!(m.to_owned().rx_queues[0].head, 0);
    slave.close();
    down(&master);
    let after = master.details().unwrap();
    assert!(!after.link_up && !after.error.is_empty() && after.rx_queues.is_empty());
    assert_eq!(after.remote_name, "the slave", "it is remembered");
}

#[test]
fn a_queue_has_one_owner_at_a_time() {
    let context = context();
    let memif = master_on(&context, &socket());
    let rx = memif.rx_queue(0).unwrap();
    for error in [
        memif.rx_queue(0).unwrap_err(),
        memif.packet_handle(0, 1).unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Exists, "{error}");
    }
    // What failed has kept nothing.
    let tx = memif.tx_queue(0).unwrap();
    assert_eq!(memif.tx_queue(0).unwrap_err().kind(), ErrorKind::Exists);
    drop(rx);
    assert_eq!(
        memif.packet_handle(0, 1).unwrap_err().kind(),
        ErrorKind::Exists
    );
    drop(memif.rx_queue(0).unwrap());
    drop(tx);
    let (reader, writer) = memif.packet_handle(0, 1).unwrap().split();
    drop(reader);
    assert!(memif.rx_queue(0).is_ok());
    assert!(memif.tx_queue(0).is_err());
    drop(writer);
    assert!(memif.packet_handle(0, 1).is_ok());
    for (rx, queue) in [(true, 1), (false, 1), (true, 65535)] {
        let error = if rx {
            memif.rx_queue(queue).map(drop)
        } else {
            memif.tx_queue(queue).map(drop)
        };
        assert_eq!(error.unwrap_err().kind(), ErrorKind::UnknownQueue);
    }
}

// Callbacks.

#[test]
fn both_sides_are_called_when_the_link_comes_and_goes() {
    for closing in ROLES {
        let name = socket();
        let context = context();
        let (tell, told) = mpsc::channel();
        let make = |role| {
            let (up, down) = (tell.clone(), tell.clone());
            let config = MemifConfig::new(&name)
                .role(role)
                .on_connect(move |memif| {
                    assert!(memif.is_link_up());
                    // The interface may be used here.
                    assert!(memif.details().unwrap().link_up);
                    up.send((memif.role(), true)).unwrap();
                })
                .on_disconnect(move |memif| {
                    assert!(!memif.is_link_up());
                    assert!(!memif.details().unwrap().link_up);
                    down.send((memif.role(), false)).ok(); // at the end nobody listens
                });
            context.create_interface(config).unwrap()
        };
        let next_two = |what| {
            let mut two = [
                told.recv_timeout(LONG).unwrap(),
                told.recv_timeout(LONG).unwrap(),
            ];
            two.sort_by_key(|(role, _)| *role == Role::Slave);
            assert_eq!(two, [(Role::Master, what), (Role::Slave, what)]);
        };
        let master = make(Role::Master);
        let slave = make(Role::Slave);
        next_two(true);
        match closing {
            Role::Master => master.close(),
            Role::Slave => slave.close(),
        }
        next_two(false);
        let _again = make(closing);
        next_two(true);
        assert!(told.try_recv().is_err());
    }
}

#[test]
fn interfaces_may_be_made_and_closed_in_callbacks() {
    let context = Arc::new(context());
    let (first, second) = (socket(), socket());
    let made: Arc<Mutex<Vec<Memif>>> = Arc::default();
    let closed = Arc::new(AtomicUsize::new(0));
    let master = {
        let (making, made, second) = (Arc::clone(&context), Arc::clone(&made), second.clone());
        let config = MemifConfig::new(&first).role(Role::Master);
        let config = config.on_connect(move |memif| {
            let more = [
                making.create_interface(MemifConfig::new(&second).role(Role::Master)),
                making.create_interface(MemifConfig::new(&second)),
            ];
            made.lock().unwrap().extend(more.map(Result::unwrap));
            // One's own link, at once.
            memif.close();
        });
        context.create_interface(config).unwrap()
    };
    let slave = {
        let closed = Arc::clone(&closed);
        let config = MemifConfig::new(&first).on_disconnect(move |memif| {
            memif.close();
            closed.fetch_add(1, Ordering::Relaxed);
        });
        context.create_interface(config).unwrap()
    };
    until("the last callback", || closed.load(Ordering::Relaxed) == 1);
    let (a, b) = {
        let made = made.lock().unwrap();
        (made[0].clone(), made[1].clone())
    };
    works(&a, &b);
    for memif in [&master, &slave] {
        assert_eq!(eof(memif.wait_link_up(Some(LONG))), Eof::Closed);
        let details = memif.details().unwrap();
        assert!(!details.link_up && !details.error.is_empty());
    }
}

#[test]
fn waiting_for_a_link_in_a_callback_is_an_error_where_it_would_hang() {
    let context = context();
    let other = slave_on(&context, &socket());
    let (tell, told) = mpsc::channel();
    let name = socket();
    let config = MemifConfig::new(&name).role(Role::Master);
    let config = config.on_connect(move |memif| {
        // Its own is up; the other never will be.
        let waits = [
            memif.wait_link_up(None),
            other.wait_link_up(Some(Duration::ZERO)),
        ];
        tell.send((waits.map(Result::unwrap), other.wait_link_up(None)))
            .unwrap();
    });
    let master = context.create_interface(config).unwrap();
    works(&master, &slave_on(&context, &name));
    let (known, unknown) = told.recv_timeout(LONG).unwrap();
    assert_eq!(known, [true, false]);
    let error = unknown.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Again, "{error}");
    assert!(error.to_string().contains("callback"), "{error}");
}

#[test]
fn the_last_owner_may_go_in_a_callback() {
    let name = socket();
    let context = context();
    let slot: Arc<Mutex<Option<Memif>>> = Arc::default();
    let gone = Arc::new(AtomicUsize::new(0));
    let config = {
        let (slot, gone) = (Arc::clone(&slot), Arc::clone(&gone));
        MemifConfig::new(&name)
            .role(Role::Master)
            .on_connect(move |_| {
                drop(slot.lock().unwrap().take());
                gone.fetch_add(1, Ordering::Release);
            })
    };
    *slot.lock().unwrap() = Some(context.create_interface(config).unwrap());
    let slave = slave_on(&context, &name);
    until("the callback", || gone.load(Ordering::Acquire) == 1);
    down(&slave);
    let master = master_on(&context, &name);
    until("a link again", || slave.is_link_up());
    works(&master, &slave);
}

#[test]
fn a_panic_in_a_callback_stays_there() {
    let name = socket();
    let context = context();
    let config = MemifConfig::new(&name).role(Role::Master);
    let config = config.on_connect(|_| panic!("this panic is wanted"));
    let master = context.create_interface(config).unwrap();
    works(&master, &slave_on(&context, &name));
}

// Losing links.

#[test]
fn fifty_links_in_a_row_lose_nothing_to_a_reader() {
    for reader in ROLES {
        let name = socket();
        let (reading, writing) = (context(), context());
        let config = MemifConfig::new(&name).role(reader);
        let reading_side = reading.create_interface(config).unwrap();
        let mut half = reading_side.packet_handle(0, 8).unwrap().split().0;
        let following = thread::spawn(move || {
            let mut packets = half.packets().follow(true);
            for i in 0..500 {
                let packet = packets.next().unwrap().unwrap();
                assert_same(&packet, &pattern(i, 100), i);
            }
        });
        for round in 0..50 {
            let config = MemifConfig::new(&name).role(other(reader));
            let side = writing.create_interface(config).unwrap();
            until("a link", || side.is_link_up());
            let mut handle = side.packet_handle(0, 1).unwrap();
            for i in 0..10 {
                let packet = pattern(round * 10 + i, 100);
                handle.write_packet_timeout(&packet, Some(LONG)).unwrap();
            }
            side.close();
        }
        following.join().unwrap();
    }
}

#[test]
fn packets_of_many_links_wait_for_a_late_reader() {
    let context = context();
    let master = master_on(&context, &socket());
    let mut handle = master.packet_handle(0, 4).unwrap();
    let mut number = 0;
    // Fifty links in all, read when five, or ten, or as many as are kept have come and gone.
    for links in [5, 10, 16, 3, 16] {
        let first = number;
        for _ in 0..links {
            let link = Plan::new(0).up(master.socket());
            for _ in 0..7 {
                link.slave_sends(&pattern(number, 90));
                number += 1;
            }
            // As if killed.
            drop(link);
            down_and_ready(&master);
        }
        for i in first..number {
            assert_eq!(handle.wait(Some(LONG)).unwrap(), Wait::Ready);
            assert_same(&read(&mut handle), &pattern(i, 90), i);
        }
        assert_eq!(eof(handle.read_packet()), Eof::LinkDown);
        assert_eq!(handle.wait(Some(LONG)).unwrap(), Wait::LinkDown);
    }
}

/// The master has seen that its slave is gone.
fn down_and_ready(master: &Memif) {
    until("the link's end", || {
        !master.details().unwrap().link_up && !master.is_link_up()
    });
}

/// Who only sends must not be locked out by what its peer has sent and nobody reads.
#[test]
fn of_too_many_unread_links_the_latest_are_kept() {
    const LINKS: u8 = 40;
    let context = context();
    let master = master_on(&context, &socket());
    for i in 0..LINKS {
        Plan::new(0).up(master.socket()).slave_sends(&[i]);
        down_and_ready(&master);
    }
    let mut handle = master.packet_handle(0, 4).unwrap();
    let (packets, reason) = drain(&mut handle);
    assert!(packets.len() >= 16, "{} kept", packets.len());
    let first = LINKS - packets.len() as u8;
    assert_eq!(packets, (first..LINKS).map(|i| vec![i]).collect::<Vec<_>>());
    assert_eq!(reason, Eof::LinkDown);
    let link = Plan::new(0).up(master.socket());
    up(&master);
    link.slave_sends(b"on");
    assert_eq!(read(&mut handle), b"on");
}

#[test]
fn a_live_link_behind_unread_ones_has_its_turn() {
    for links in [1, 3] {
        let context = context();
        let master = master_on(&context, &socket());
        for i in 0..links {
            Plan::new(0).up(master.socket()).slave_sends(&[i]);
            down_and_ready(&master);
        }
        let link = Plan::new(0).up(master.socket());
        link.slave_sends(b"live");
        up(&master);
        let mut handle = master.packet_handle(0, 1).unwrap();
        for i in 0..links {
            assert_eq!(read(&mut handle), [i]);
        }
        assert_eq!(read(&mut handle), b"live");
        assert_eq!(eof(handle.read_packet()), Eof::Empty);
        link.slave_sends(b"on");
        assert_eq!(handle.wait(Some(LONG)).unwrap(), Wait::Ready);
        assert_eq!(read(&mut handle), b"on");
        // Also when the last one had been waited for, not read.
        assert_eq!(handle.wait(Some(Duration::ZERO)).unwrap(), Wait::TimedOut);
    }
}

#[test]
fn a_slave_s_live_link_behind_an_unread_one_has_its_turn() {
    let context = context();
    let name = socket();
    let raw = peer::Master::listen(&name);
    let slave = slave_on(&context, &name);
    let first = raw.go(Stage::Up);
    until("offered buffers", || first.m2s().head() != 0);
    first.master_sends(b"first");
    drop(first);
    let second = raw.go(Stage::Up);
    until("the second link", || slave.is_link_up());
    let mut handle = slave.packet_handle(0, 1).unwrap();
    assert_eq!(read(&mut handle), b"first");
    // The read that finds the first link drained offers the second one's buffers.
    assert_eq!(handle.wait(Some(Duration::ZERO)).unwrap(), Wait::TimedOut);
    until("offered buffers", || second.m2s().head() != 0);
    second.master_sends(b"second");
    assert_eq!(read(&mut handle), b"second");
}

#[test]
fn closing_waits_for_the_peer_but_not_for_ever() {
    for role in ROLES {
        let pair = Pair::new();
        let own = pair.side(role);
        // Nothing is under way: at once, or at least without the wait below.
        own.packet_handle(0, 1).unwrap().write_packet(b"x").unwrap();
        let start = Instant::now();
        own.close();
        // A lower bound holds on the slowest machine.
        assert!(start.elapsed() >= Duration::from_millis(900));
        assert!(start.elapsed() < LONG);
        let mut peer = pair.side(other(role)).packet_handle(0, 1).unwrap();
        assert_eq!(read(&mut peer), b"x");
    }
}

#[test]
fn closing_lets_the_peer_take_everything_first() {
    for role in ROLES {
        let pair = Pair::small(5, 64);
        let own = pair.side(role).clone();
        let mut peer = pair.side(other(role)).packet_handle(0, 4).unwrap();
        let mut handle = own.packet_handle(0, 1).unwrap();
        let closing = thread::spawn(move || {
            for i in 0..500 {
                handle
                    .write_packet_timeout(&pattern(i, 100), Some(LONG))
                    .unwrap();
            }
            drop(handle);
            own.close();
        });
        for i in 0..500 {
            assert_same(&read(&mut peer), &pattern(i, 100), i);
        }
        assert_eq!(peer.wait(Some(LONG)).unwrap(), Wait::LinkDown);
        closing.join().unwrap();
    }
}

#[test]
fn closing_twice_and_using_what_is_closed_is_harmless() {
    let pair = Pair::new();
    for memif in [&pair.master, &pair.slave] {
        memif.close();
        memif.close();
        assert!(!memif.is_link_up());
        assert_eq!(eof(memif.wait_link_up(None)), Eof::Closed);
        let mut handle = memif.packet_handle(0, 1).unwrap();
        assert_eq!(eof(handle.read_packet()), Eof::Closed);
        assert_eq!(eof(handle.write_packet(b"x")), Eof::Closed);
        assert_eq!(handle.wait(None).unwrap(), Wait::Closed);
    }
    pair.master_context.close();
    let config = MemifConfig::new(&pair.socket);
    let error = pair.master_context.create_interface(config).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotInitialised);
}

#[test]
fn an_interface_goes_with_its_last_owner() {
    let name = socket();
    let context = context();
    let master = master_on(&context, &name);
    let slave = slave_on(&context, &name);
    up(&slave);
    let handle = master.packet_handle(0, 1).unwrap();
    drop(master);
    // A handle keeps it.
    assert!(handle.is_link_up() && slave.is_link_up());
    drop(handle);
    down(&slave);
    assert!(!slave.wait_link_up(Some(Duration::ZERO)).unwrap());
}

// Socket files.

fn refused_at(context: &Context, path: &Path) -> Error {
    let config = MemifConfig::new(path.to_str().unwrap()).role(Role::Master);
    let error = context.create_interface(config).unwrap_err();
    assert!(
        error.to_string().contains(path.to_str().unwrap()),
        "{error}"
    );
    error
}

#[test]
fn a_stale_socket_file_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("memif.sock");
    // As a killed master leaves it.
    let flags = SockFlag::empty();
    let stale = new_socket(AddressFamily::Unix, SockType::SeqPacket, flags, None).unwrap();
    bind(stale.as_raw_fd(), &UnixAddr::new(&path).unwrap()).unwrap();
    drop(stale);
    assert!(path.exists());
    let context = context();
    let master = master_on(&context, path.to_str().unwrap());
    works(&master, &slave_on(&context, path.to_str().unwrap()));
}

#[test]
fn a_socket_that_somebody_listens_on_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("memif.sock");
    let (first, second) = (context(), context());
    let master = master_on(&first, path.to_str().unwrap());
    let error = refused_at(&second, &path);
    assert_eq!(error.kind(), ErrorKind::Already);
    assert!(error.to_string().contains("another master"), "{error}");
    works(&master, &slave_on(&second, path.to_str().unwrap()));

    let name = socket();
    let master = master_on(&first, &name);
    let config = MemifConfig::new(&name).role(Role::Master);
    let error = second.create_interface(config).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Already, "{error}");
    works(&master, &slave_on(&second, &name));

    let path = folder.path().join("stream.sock");
    let _other = UnixListener::bind(&path).unwrap();
    let error = refused_at(&second, &path);
    assert!(error.to_string().contains("in use"), "{error}");
    assert!(path.exists());
}

#[test]
fn files_and_folders_are_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let context = context();
    let file = folder.path().join("notes.txt");
    fs::write(&file, "precious").unwrap();
    let error = refused_at(&context, &file);
    assert_eq!(error.kind(), ErrorKind::NotSocket, "{error}");
    assert!(error.to_string().contains("file"), "{error}");
    assert_eq!(fs::read_to_string(&file).unwrap(), "precious");

    let inside = folder.path().join("folder");
    fs::create_dir(&inside).unwrap();
    let error = refused_at(&context, &inside);
    assert_eq!(error.kind(), ErrorKind::NotSocket, "{error}");
    assert!(error.to_string().contains("folder"), "{error}");
    assert!(inside.is_dir());

    let link = folder.path().join("link");
    std::os::unix::fs::symlink(&file, &link).unwrap();
    assert_eq!(refused_at(&context, &link).kind(), ErrorKind::NotSocket);
    assert_eq!(fs::read_to_string(&link).unwrap(), "precious");

    let missing = folder.path().join("missing").join("memif.sock");
    assert_eq!(refused_at(&context, &missing).kind(), ErrorKind::NotFound);
    // What failed does not stand in the way of what follows.
    fs::remove_file(&file).unwrap();
    let master = master_on(&context, file.to_str().unwrap());
    works(&master, &slave_on(&context, file.to_str().unwrap()));
}

#[test]
fn paths_may_have_107_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let context = context();
    let room = 107 - folder.path().to_str().unwrap().len() - 1;
    let path = |len| folder.path().join("x".repeat(len));
    let master = master_on(&context, path(room).to_str().unwrap());
    works(&master, &slave_on(&context, path(room).to_str().unwrap()));
    let error = refused_at(&context, &path(room + 1));
    assert!(matches!(error, Error::Config { .. }), "{error:?}");
    let name = format!("@{}{}", socket().trim_start_matches('@'), "x".repeat(200));
    let master = master_on(&context, &name[..107]);
    works(&master, &slave_on(&context, &name[..107]));
}

#[test]
fn a_file_that_took_the_socket_s_place_is_not_removed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("memif.sock");
    let context = context();
    let master = master_on(&context, path.to_str().unwrap());
    fs::remove_file(&path).unwrap();
    fs::write(&path, "precious").unwrap();
    master.close();
    assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
}

// Refusals.

#[test]
fn a_refusal_names_what_is_wrong() {
    let context = context();
    let name = socket();
    let config = MemifConfig::new(&name).id(3).secret("right");
    let master = config.clone().role(Role::Master);
    let master = context.create_interface(master).unwrap();
    let cases = [
        (
            config.clone().secret("wrong"),
            ErrorKind::WrongSecret,
            "incorrect secret",
        ),
        (
            config.clone().secret("righ"),
            ErrorKind::WrongSecret,
            "incorrect secret",
        ),
        (
            config.clone().secret("right!"),
            ErrorKind::WrongSecret,
            "incorrect secret",
        ),
        (
            config.clone().secret(""),
            ErrorKind::SecretRequired,
            "secret required",
        ),
        (
            config.clone().id(4),
            ErrorKind::InterfaceId,
            "interface id 4",
        ),
        (
            config.clone().mode(IfMode::Ip),
            ErrorKind::ModeMismatch,
            "mode mismatch",
        ),
    ];
    for (config, kind, words) in cases {
        let slave = context.create_interface(config).unwrap();
        let error = slave.wait_link_up(Some(LONG)).unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        let text = error.to_string();
        assert!(text.contains(words) && text.contains(&name), "{text}");
        assert!(slave.last_failure().unwrap().refused);
        assert!(slave.details().unwrap().error.contains(words));
        assert!(!master.is_link_up());
    }
    let slave = context.create_interface(config).unwrap();
    works(&slave, &master);
}

#[test]
fn a_master_without_a_secret_takes_any() {
    let context = context();
    let name = socket();
    let master = master_on(&context, &name);
    let config = MemifConfig::new(&name).secret("unasked");
    let slave = context.create_interface(config).unwrap();
    works(&master, &slave);
}

#[test]
fn a_second_slave_waits_for_its_turn() {
    let context = context();
    let name = socket();
    let master = master_on(&context, &name);
    let first = slave_on(&context, &name);
    up(&first);
    let second = slave_on(&context, &name);
    let error = second.wait_link_up(Some(LONG)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyConnected, "{error}");
    works(&master, &first);
    first.close();
    until("its turn", || second.is_link_up());
    works(&master, &second);
}

//! Making links.

use std::fs;
use std::os::unix::fs::FileTypeExt;
use std::thread;
use std::time::Duration;

use memif::{Burst, Context, Error, ErrorKind, IfMode, Memif, MemifConfig, Role};

use crate::common::*;
use crate::support::*;

#[test]
fn either_side_may_come_first() {
    let context = context();
    let name = socket();
    let slave = slave_on(&context, &name);
    assert_eq!(
        slave.wait_link_up(Some(Duration::ZERO)),
        Err(Error::TimedOut)
    );
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
        assert_eq!(usize::from(slave.tx_queues()), to_master);
        assert_eq!(usize::from(slave.rx_queues()), to_slave);
        // Queues beyond that are there, but never have a packet or room.
        if usize::from(s_tx) > to_master {
            let mut beyond = slave.tx_queue(to_master as u8).unwrap();
            assert_eq!(beyond.tx_burst(&[b"x"]).unwrap(), 0);
            assert_eq!(beyond.free_slots().unwrap(), 0);
        }
        if usize::from(s_rx) > to_slave {
            let mut beyond = slave.rx_queue(to_slave as u8).unwrap();
            assert_eq!(beyond.rx_burst(&mut Burst::new(1)).unwrap(), 0);
            let soon = Some(Duration::from_millis(1));
            assert_eq!(beyond.wait(soon), Err(Error::TimedOut));
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
        memif.packet_handle(0).unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Exists, "{error}");
    }
    // What failed has kept nothing.
    let tx = memif.tx_queue(0).unwrap();
    assert_eq!(memif.tx_queue(0).unwrap_err().kind(), ErrorKind::Exists);
    drop(rx);
    assert_eq!(
        memif.packet_handle(0).unwrap_err().kind(),
        ErrorKind::Exists
    );
    drop(memif.rx_queue(0).unwrap());
    drop(tx);
    let (reader, writer) = memif.packet_handle(0).unwrap().with_burst(1).split();
    drop(reader);
    assert!(memif.rx_queue(0).is_ok());
    assert!(memif.tx_queue(0).is_err());
    drop(writer);
    assert!(memif.packet_handle(0).is_ok());
    for (rx, queue) in [(true, 255), (false, 255)] {
        let error = if rx {
            memif.rx_queue(queue).map(drop)
        } else {
            memif.tx_queue(queue).map(drop)
        };
        assert_eq!(error.unwrap_err().kind(), ErrorKind::UnknownQueue);
    }
}

//! Packets that are looked at where they are, by the book and while a peer rewrites them.

mod common;

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use common::*;
use memif::{Burst, Context, Eof, Error, ErrorKind, Memif, MemifConfig, Role, RxQueue, Wait};
use memif_hostile::peer::{Link, Master, Plan, Stage};

#[test]
fn what_is_looked_at_is_what_was_sent() {
    for reader in ROLES {
        let pair = Pair::small(5, 64);
        let mut to = pair.side(other(reader)).tx_queue(0).unwrap();
        let mut from = pair.side(reader).rx_queue(0).unwrap();
        assert!(from.views(8).unwrap().is_empty());
        // Around the ring several times, with chains.
        for round in 0..200u64 {
            let lengths = [1, 64, 65, 200, 1 + round as usize * 7 % 300];
            let sent: Vec<_> = lengths.iter().map(|n| pattern(round, *n)).collect();
            assert_eq!(to.tx_burst(&sent).unwrap(), 5);
            let mut seen = 0;
            while seen < 5 {
                // Of one buffer: the next packet comes whole all the same.
                let views = from.views(if round % 2 == 0 { 64 } else { 1 }).unwrap();
                assert!(!views.is_empty() && views.iter().count() == views.len());
                for view in &views {
                    let wanted = &sent[seen];
                    assert_eq!(view.len(), wanted.len());
                    assert_same(&view.to_owned().unwrap(), wanted, round);
                    assert_eq!(view.head::<1>().unwrap(), Some([wanted[0]]));
                    assert_eq!(view.head::<301>().unwrap(), None);
                    let mut part = [0; 100];
                    let count = view.read_at(60, &mut part).unwrap();
                    let rest = wanted.get(60..).unwrap_or_default();
                    assert_eq!(part[..count], rest[..rest.len().min(100)]);
                    assert_eq!(view.copy_to(&mut part).unwrap(), wanted.len().min(100));
                    assert_eq!(view.read_at(wanted.len(), &mut part).unwrap(), 0);
                    assert_eq!(view.read_at(usize::MAX, &mut part).unwrap(), 0);
                    seen += 1;
                }
            }
        }
        let stats = pair.side(reader).stats();
        assert_eq!(stats.rx_queues[0].packets, 1000);
    }
}

#[test]
fn buffers_go_back_with_the_views_and_also_when_those_are_forgotten() {
    for reader in ROLES {
        let pair = Pair::small(2, 64);
        let mut to = pair.side(other(reader)).tx_queue(0).unwrap();
        let mut from = pair.side(reader).rx_queue(0).unwrap();
        assert_eq!(to.tx_burst(&[[1; 60]; 4]).unwrap(), 4);
        let views = from.views(8).unwrap();
        assert_eq!((views.len(), to.free_slots().unwrap()), (4, 0));
        drop(views);
        assert_eq!(to.free_slots().unwrap(), 4);

        assert_eq!(to.tx_burst(&[[2; 60]; 2]).unwrap(), 2);
        std::mem::forget(from.views(8).unwrap());
        assert_eq!(to.tx_burst(&[[3; 60]; 2]).unwrap(), 2);
        let mut burst = Burst::new(8);
        assert_eq!(from.rx_burst(&mut burst).unwrap(), 2);
        assert_eq!(burst.get(0).unwrap()[0], 3);
        assert_eq!(to.free_slots().unwrap(), 4);
    }
}

#[test]
fn views_outlast_their_link() {
    for reader in ROLES {
        let pair = Pair::new();
        let mut from = pair.side(reader).rx_queue(0).unwrap();
        let mut to = pair.side(other(reader)).tx_queue(0).unwrap();
        to.tx_burst(&[pattern(1, 1000), pattern(2, 1000)]).unwrap();
        {
            let views = from.views(1).unwrap();
            pair.side(other(reader)).close();
            down(pair.side(reader));
            let first = views.iter().next().unwrap();
            assert_same(&first.to_owned().unwrap(), &pattern(1, 1000), "unmapped");
        }
        let second = from.views(8).unwrap();
        let view = second.iter().next().unwrap();
        assert_same(&view.to_owned().unwrap(), &pattern(2, 1000), "left");
        drop(second);
        assert_eq!(eof(from.views(8).map(|views| views.len())), Eof::LinkDown);

        // The queue goes on with the next link.
        let side = other(reader);
        let context = match side {
            Role::Master => &pair.master_context,
            _ => &pair.slave_context,
        };
        let config = MemifConfig::new(&pair.socket).role(side);
        let again = context.create_interface(config).unwrap();
        up(&again);
        let mut to = again.packet_handle(0).unwrap();
        to.write_packet_timeout(b"again", Some(LONG)).unwrap();
        assert_eq!(from.wait_following(Some(LONG)), Ok(Wait::Ready));
        assert_eq!(from.views(8).unwrap().len(), 1);
    }
}

/// A master, its queue with this packet, and the slave that has sent it.
fn slave_of_another_make(context: &Context, packet: &[u8]) -> (Memif, RxQueue, Link) {
    let config = MemifConfig::new(socket()).role(Role::Master);
    let master = context.create_interface(config).unwrap();
    let mut from = master.rx_queue(0).unwrap();
    let link = Plan::new(0).up(master.socket());
    up(&master);
    link.slave_sends(packet);
    assert_eq!(from.wait(Some(LONG)), Ok(Wait::Ready));
    (master, from, link)
}

/// Only a peer of another make sends such a packet.
#[test]
fn a_packet_without_bytes_is_told() {
    let context = context();
    let (_master, mut from, _link) = slave_of_another_make(&context, b"");
    let views = from.views(8).unwrap();
    let view = views.iter().next().unwrap();
    assert!(view.is_empty() && view.to_owned().unwrap().is_empty());
    assert_eq!(view.head::<1>(), Ok(None));
}

/// The memory may go at last, when nobody returns it for many links: the views say so.
#[test]
fn memory_that_is_gone_is_told() {
    let context = context();
    let (master, mut from, link) = slave_of_another_make(&context, b"first");
    let views = from.views(8).unwrap();
    let view = views.iter().next().unwrap();
    drop(link);
    down(&master);
    let mut gone = false;
    for _ in 0..40 {
        let link = Plan::new(0).up(master.socket());
        up(&master);
        link.slave_sends(b"another");
        drop(link);
        down(&master);
        match view.head::<5>() {
            Ok(head) => assert_eq!(head.as_ref(), Some(b"first")),
            Err(error) => {
                assert_eq!(error, Error::Eof(Eof::LinkDown));
                gone = true;
            }
        }
    }
    assert!(gone, "it is kept for ever");
}

/// A peer that writes to packets, descriptors and counters while they are looked at.
#[test]
fn a_peer_that_rewrites_what_is_looked_at_gets_no_further() {
    for role in ROLES {
        let context = context();
        let socket = socket();
        let raw = (role == Role::Slave).then(|| Master::listen(&socket));
        let config = MemifConfig::new(&socket).role(role);
        let config = config.log2_ring_size(4).buffer_size(2048);
        let ours = context.create_interface(config).unwrap();
        let link = match &raw {
            Some(raw) => raw.go(Stage::Up),
            None => Plan::new(0).up(&socket),
        };
        up(&ours);
        let mut from = ours.rx_queue(0).unwrap();
        if role == Role::Slave {
            until("offered buffers", || link.m2s().head() == 16);
        }
        let packet = [0xaa; 1500];
        match role {
            Role::Master => link.slave_sends(&packet),
            _ => link.master_sends(&packet),
        }
        assert_eq!(from.wait(Some(LONG)), Ok(Wait::Ready));
        let views = from.views(16).unwrap();
        let view = views.iter().next().unwrap();
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                let ring = match role {
                    Role::Master => link.s2m(),
                    _ => link.m2s(),
                };
                let right = ring.desc(0);
                for n in 0u32.. {
                    if done.load(Ordering::Relaxed) {
                        break;
                    }
                    let region = &link.regions[usize::from(right.region)];
                    region.write(right.offset as usize, &[[0xaa, 0xbb][n as usize % 2]; 1500]);
                    let mut desc = right;
                    desc.region = n as u16;
                    desc.offset = u32::MAX - n;
                    desc.length = n.wrapping_mul(0x9e37_79b9);
                    desc.flags = n as u16;
                    ring.set_desc(0, desc);
                }
                ring.set_desc(0, right);
            });
            for _ in 0..20_000 {
                assert_eq!(view.len(), 1500, "as it was taken");
                let owned = view.to_owned().unwrap();
                assert!(owned.iter().all(|byte| [0xaa, 0xbb].contains(byte)));
            }
            done.store(true, Ordering::Relaxed);
        });
        drop(views);

        // Descriptors that reach out of the memory are not lent at all.
        let ring = match role {
            Role::Master => link.s2m(),
            _ => link.m2s(),
        };
        let mut desc = ring.desc(1);
        desc.length = u32::MAX;
        ring.set_desc(1, desc);
        match role {
            Role::Master => ring.set_head(2),
            _ => ring.set_tail(2),
        }
        ring.wake();
        assert_eq!(from.wait(Some(LONG)), Ok(Wait::Ready));
        let error = from.views(16).map(|views| views.len()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::MalformedMessage, "{error}");
    }
}

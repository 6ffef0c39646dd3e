//! What an interface counts, seen from another thread, against what its user saw.

mod common;

use common::*;
use memif::{Burst, MemifConfig, Wait};

#[test]
fn both_sides_count_what_passed() {
    for reader in ROLES {
        let pair = Pair::with(|c| c.queues(2, 2));
        let (mut packets, mut bytes) = ([0, 0], [0, 0]);
        for queue in 0..2u8 {
            let mut to = pair.side(other(reader)).tx_queue(queue).unwrap();
            let mut from = pair.side(reader).rx_queue(queue).unwrap();
            // A snap length takes nothing from what is counted; a chain is one packet.
            let mut burst = Burst::new(16).with_snaplen(64);
            for n in 0..500 {
                let sizes = [60, 1 + n % 1500, 5000];
                let sent: Vec<_> = sizes.iter().map(|&size| vec![n as u8; size]).collect();
                assert_eq!(to.tx_burst(&sent[..1 + n % 3]).unwrap(), 1 + n % 3);
                packets[usize::from(queue)] += 1 + n as u64 % 3;
                bytes[usize::from(queue)] += sizes[..1 + n % 3].iter().sum::<usize>() as u64;
                while from.rx_burst(&mut burst).unwrap() > 0 {}
            }
        }
        let (sent, got) = (pair.side(other(reader)).stats(), pair.side(reader).stats());
        for queue in 0..2 {
            for stats in [&sent.tx_queues[queue], &got.rx_queues[queue]] {
                assert_eq!(usize::from(stats.id), queue);
                assert_eq!(stats.packets, packets[queue]);
                assert_eq!(stats.bytes, bytes[queue]);
                assert_eq!(stats.ring_full, 0);
            }
        }
        assert!(got.tx_queues.iter().all(|q| q.packets == 0 && q.bytes == 0));
    }
}

#[test]
fn a_full_ring_is_counted_and_shown() {
    for reader in ROLES {
        let pair = Pair::small(4, 2048);
        let (mut to, mut from) = pair.handles(reader, 4);
        assert_eq!(to.write_packets(&[[0; 60]; 20]).unwrap(), 16);
        assert_eq!(to.write_packet(&[0; 60]), Err(memif::Error::Full));
        // A packet that could never be sent is no full ring.
        to.write_packet(&[]).unwrap_err();
        let queue = pair.side(other(reader)).stats().tx_queues[0];
        assert_eq!((queue.packets, queue.bytes, queue.ring_full), (16, 960, 2));

        let used = |role| {
            let details = pair.side(role).details().unwrap();
            let queues = if role == reader {
                details.rx_queues
            } else {
                details.tx_queues
            };
            (queues[0].used, queues[0].ring_size)
        };
        for role in ROLES {
            assert_eq!(used(role), (16, 16), "{reader} reads, seen by {role}");
        }
        drain(&mut from);
        for role in ROLES {
            assert_eq!(used(role), (0, 16), "{reader} has read, seen by {role}");
        }
    }
}

#[test]
fn counters_go_on_over_links_and_owners() {
    let pair = Pair::new();
    for round in 1..=3 {
        let slave = if round == 1 {
            pair.slave.clone()
        } else {
            let config = MemifConfig::new(&pair.socket);
            pair.slave_context.create_interface(config).unwrap()
        };
        up(&slave);
        up(&pair.master);
        let stats = pair.master.stats();
        assert_eq!((stats.link_up, stats.links), (true, round));
        slave.packet_handle(0).unwrap().write_packet(b"x").unwrap();
        read(&mut pair.master.packet_handle(0).unwrap().with_burst(1));
        slave.close();
        down(&pair.master);
    }
    let stats = pair.master.stats();
    assert!(!stats.link_up);
    assert_eq!((stats.links, stats.rx_queues[0].packets), (3, 3));
    pair.master.close();
    assert_eq!(pair.master.stats(), stats, "also of a closed interface");
}

#[test]
fn a_receive_ring_that_was_found_full_is_counted() {
    for reader in ROLES {
        let pair = Pair::small(4, 2048);
        let mut to = pair.side(other(reader)).tx_queue(0).unwrap();
        let mut from = pair.side(reader).rx_queue(0).unwrap();
        let mut burst = Burst::new(4);
        // Whoever sees it first: one that waits, or one that reads.
        for (sent, waits, full) in [
            (15, false, 0),
            (16, false, 1),
            (1, true, 1),
            (16, true, 2),
            (16, false, 3),
        ] {
            assert_eq!(to.tx_burst(&vec![[0; 60]; sent]).unwrap(), sent);
            if waits {
                assert_eq!(from.wait(Some(LONG)).unwrap(), Wait::Ready);
            }
            while from.rx_burst(&mut burst).unwrap() > 0 {}
            let found = pair.side(reader).stats().rx_queues[0].ring_full;
            assert_eq!(found, full, "{reader}, {sent}");
        }
    }
}

//! Ring sizes, buffer sizes and queue counts, unequal on the two sides.

use std::thread;

use memif::{Burst, Memif, MemifConfig, Role};

use crate::common::{LONG, Pair, assert_same, context, pattern, socket, up, writable};

/// Log2 of the ring size, buffer size, receive and transmit queues.
type Side = (u8, u16, u8, u8);

/// The master's settings and the slave's: the slave's ring and buffers count, and the smaller
/// number of queues each way.
const TABLE: [(Side, Side); 17] = [
    ((1, 2048, 1, 1), (1, 2048, 1, 1)),
    ((14, 65535, 1, 2), (1, 64, 1, 2)),
    ((1, 64, 2, 1), (2, 65535, 2, 1)),
    ((10, 2048, 3, 3), (3, 1024, 1, 1)),
    ((4, 128, 1, 1), (4, 128, 4, 4)),
    ((5, 9000, 5, 1), (5, 9000, 5, 1)),
    ((6, 100, 2, 3), (6, 1000, 2, 3)),
    ((7, 1000, 1, 1), (7, 100, 1, 1)),
    ((8, 64, 8, 8), (8, 64, 8, 8)),
    ((9, 2047, 1, 1), (9, 2047, 1, 1)),
    ((10, 2048, 16, 16), (10, 2048, 16, 16)),
    ((11, 1500, 1, 1), (11, 1500, 1, 1)),
    ((12, 512, 1, 1), (12, 4096, 1, 1)),
    ((13, 300, 2, 2), (13, 300, 2, 2)),
    ((14, 64, 1, 1), (14, 64, 1, 1)),
    ((2, 2048, 1, 1), (14, 65535, 1, 1)),
    ((14, 65535, 3, 1), (14, 2048, 1, 3)),
];

fn config(socket: &str, (log2, buffer, rx, tx): Side) -> MemifConfig {
    let config = MemifConfig::new(socket).log2_ring_size(log2);
    config.buffer_size(buffer).queues(rx, tx)
}

fn crosses(from: &Memif, to: &Memif, queue: u8, lengths: &[usize]) {
    let mut sender = from.tx_queue(queue).unwrap();
    let mut receiver = to.rx_queue(queue).unwrap();
    let mut burst = Burst::new(1);
    for &length in lengths {
        let packet = pattern(length as u64, length);
        assert_eq!(sender.tx_burst(&[&packet]).unwrap(), 1, "{length} bytes");
        receiver.wait(Some(LONG)).unwrap().ready().unwrap();
        assert_eq!(receiver.rx_burst(&mut burst).unwrap(), 1);
        assert_same(
            &burst.get(0).unwrap(),
            &packet,
            format_args!("{length} bytes"),
        );
    }
}

#[test]
fn what_is_settled_carries_packets_of_every_size() {
    for (m, s) in TABLE {
        let (master_context, slave_context, socket) = (context(), context(), socket());
        let master = config(&socket, m).role(Role::Master);
        let master = master_context.create_interface(master).unwrap();
        let slave = slave_context.create_interface(config(&socket, s)).unwrap();
        up(&slave);
        up(&master);
        let (log2, buffer, ..) = s;
        let to_master = m.2.min(s.3);
        let to_slave = m.3.min(s.2);
        let details = [master.details().unwrap(), slave.details().unwrap()];
        for (d, rx, tx) in [
            (&details[0], to_master, to_slave),
            (&details[1], to_slave, to_master),
        ] {
            assert_eq!(d.rx_queues.len(), usize::from(rx), "{m:?} {s:?}");
            assert_eq!(d.tx_queues.len(), usize::from(tx), "{m:?} {s:?}");
            for queue in d.rx_queues.iter().chain(&d.tx_queues) {
                assert_eq!((queue.ring_size, queue.buffer_size), (1 << log2, buffer));
            }
        }
        writable(&master);
        let size = usize::from(buffer);
        let lengths: Vec<usize> = [1, size - 1, size, size + 1, 9000]
            .into_iter()
            .filter(|length| *length <= size << log2)
            .collect();
        for _ in 0..3 {
            (0..to_master).for_each(|q| crosses(&slave, &master, q, &lengths));
            (0..to_slave).for_each(|q| crosses(&master, &slave, q, &lengths));
        }
    }
}

/// The C library's own test does this with a million packets on each queue.
#[test]
fn sixteen_queues_each_way_with_a_thread_each() {
    const QUEUES: u8 = 16;
    const PACKETS: u64 = 5_000;
    let pair = Pair::with(|c| c.queues(QUEUES, QUEUES).log2_ring_size(7).buffer_size(256));
    thread::scope(|scope| {
        for queue in 0..QUEUES {
            for (from, to) in [(&pair.master, &pair.slave), (&pair.slave, &pair.master)] {
                let mut sender = from.tx_queue(queue).unwrap();
                let mut receiver = to.rx_queue(queue).unwrap();
                scope.spawn(move || {
                    for n in 0..PACKETS {
                        while sender.tx_burst(&[n.to_ne_bytes()]).unwrap() == 0 {
                            sender
                                .wait_writable(8, Some(LONG))
                                .unwrap()
                                .ready()
                                .unwrap();
                        }
                    }
                });
                scope.spawn(move || {
                    let mut burst = Burst::new(64);
                    let mut next = 0u64;
                    while next < PACKETS {
                        receiver.wait(Some(LONG)).unwrap().ready().unwrap();
                        receiver.rx_burst(&mut burst).unwrap();
                        for packet in &burst {
                            assert_eq!(packet[..], next.to_ne_bytes());
                            next += 1;
                        }
                    }
                });
            }
        }
    });
}

//! Faults that were reported of the Go adapters, the Node addon, VPP and the first C library, or
//! can be seen in their sources: none of them is here. What is tested closer to its subject (`c/x`
//! is `vendor/libmemif/tests/x.c`):
//!
//! | fault | test |
//! |---|---|
//! | an idle moment, or a full ring, ends a reader for good | `handle::an_idle_link_is_empty_and_goes_on`, `handle::a_full_ring_takes_nothing` |
//! | a reader that can't be woken, a cache dropped by closing | `handle::a_waiting_reader_…`, `handle::a_closed_handle_…` |
//! | the clock is asked for each packet | `handle::a_burst_has_one_timestamp_…` |
//! | an empty packet panics | `handle::an_empty_packet_is_an_error_and_nothing_is_sent` |
//! | lengths cut to 16 bits, paths written beyond their field | `jumbo_packets_…` here, `link::paths_may_have_107_bytes` |
//! | ring sizes above 2^10, unequal queue counts, more than one queue | `settings` here, `link::queues_do_not_mix`, `c/sizes` |
//! | counters compared across the wrap at 65536, also as buffers are given back | `rings::counters_wrap_in_rings_of_every_size`, `c/buffers: refilling_in_parts` |
//! | abstract sockets; one interface only on a socket | `two_interfaces_…` here, `link::interfaces_on_one_socket_are_told_apart_by_id` |
//! | creating or closing from a callback deadlocks; leaks of disconnects | `churn`, `leaks`, `c/churn`, `c/lifetime` |
//! | the link stays down; no reconnect | `all_four_…` here, `handle::the_same_handle_works_after_a_reconnect` |
//! | queues freed under a running burst | `c/threads: links_up_and_down` |
//! | interrupts dropped when many come; one burst for each | `interrupts` here |
//! | log floods of EAGAIN | `c/interrupts: an_empty_queue_is_not_told_of` |
//! | EINTR ends a wait; one event for each poll | `c/control: signals_do_not_show`, `c/interrupts: one_poll_tells_of_all` |
//! | freezes under load, lost wake-ups | `handle::…_loses_no_wake_up`, `c/interrupts: nobody_sleeps_on_a_packet` |
//! | after NOBUF no event comes, by edges | the same of `c/interrupts`, `c/interrupts: the_rest_wakes_again` |
//! | a call of the system for each empty burst | `c/interrupts: polling_makes_no_system_call` |
//! | a timer that is never read | `c/control: a_timer_that_has_fired_is_quiet` |
//! | `memif_buffer_alloc`: size 0, NOBUF_RING with some reserved, an array too short for a peer's small buffers | `c/buffers: size_0_…`, `short_counts`, `small_buffers_of_the_peer` |
//! | `memif_tx_burst` publishes what it refuses | `c/buffers: order_is_kept` |
//! | rewinding, also into a half-built chain | `c/buffers: rewinding`, `rewinding_into_a_chain` |
//! | descriptors of failed attempts leak; 0 is taken for none | `c/lifetime` |
//! | an eventfd that the peer left blocking | `handshake::an_eventfd_that_was_made_blocking_…` |
//! | indexes, offsets, lengths, messages of the peer unchecked | `handshake` |
//! | a refused peer is told no reason | `link::a_refusal_names_what_is_wrong` |
//! | a dead peer's last packets thrown away | `handle::what_a_closed_peer_had_sent_…`, `c/processes: a_killed_peer_s_packets_are_read` |

use std::time::Duration;

use memif::{Burst, Eof, Error, MemifConfig, Role, RxMode, Wait};

use crate::common::{
    LONG, Pair, ROLES, assert_same, context, eof, other, pattern, read, socket, until, up, writable,
};
use memif_hostile::peer::{BUFFER, LOG2, Master, NEXT, Plan, Stage};

/// go-libmemif lost the last fragment, gomemif copied each from offset 0.
#[test]
fn jumbo_packets_arrive_whole() {
    for reader in ROLES {
        for buffer in [64, 128, 1000, 2048, 4096] {
            let pair = Pair::with(|c| c.buffer_size(buffer));
            let (mut to, mut from) = pair.handles(reader, 8);
            for length in [
                1500, 2047, 2048, 2049, 4096, 4097, 8192, 9000, 9018, 65_535, 65_536,
            ] {
                if length > usize::from(buffer) * 1024 {
                    continue;
                }
                to.write_packet(&pattern(1, length)).unwrap();
                assert_same(&read(&mut from), &pattern(1, length), length);
            }
        }
    }
}

/// A full ring gives a short count: not an underflow, not a wrong sum of bytes.
#[test]
fn a_short_send_counts_what_was_sent() {
    for reader in ROLES {
        let pair = Pair::small(3, 128);
        let mut to = pair.side(other(reader)).tx_queue(0).unwrap();
        let mut from = pair.side(reader).rx_queue(0).unwrap();
        let packets: Vec<_> = (0..10).map(|n| pattern(n, 300)).collect(); // three slots each
        assert_eq!(to.tx_burst(&packets).unwrap(), 2);
        assert_eq!(to.tx_burst(&packets[2..]).unwrap(), 0);
        assert_eq!(to.tx_burst(&packets[2..3]).unwrap(), 0);
        let mut burst = Burst::new(10);
        assert_eq!(from.rx_burst(&mut burst).unwrap(), 2);
        for (n, packet) in burst.iter().enumerate() {
            assert_same(&packet, &packets[n], n);
        }
        assert_eq!(from.rx_burst(&mut burst).unwrap(), 0);
        assert_eq!(to.tx_burst(&packets[2..]).unwrap(), 2);
    }
}

/// The Node addon lost 64 packets whenever more were waiting.
#[test]
fn when_more_wait_than_were_asked_for_none_is_lost() {
    for reader in ROLES {
        let pair = Pair::with(|c| c);
        let mut to = pair.side(other(reader)).tx_queue(0).unwrap();
        let mut from = pair.side(reader).rx_queue(0).unwrap();
        let packets: Vec<_> = (0..500).map(|n| pattern(n, 50)).collect();
        assert_eq!(to.tx_burst(&packets).unwrap(), 500);
        let mut got = 0;
        for ask in [1, 63, 64, 65, 200, 200] {
            let mut burst = Burst::new(ask);
            assert_eq!(from.wait(Some(LONG)).unwrap(), Wait::Ready);
            let count = from.rx_burst(&mut burst).unwrap();
            assert_eq!(count, usize::from(ask).min(500 - got));
            for packet in &burst {
                assert_same(&packet, &packets[got], got);
                got += 1;
            }
        }
        assert_eq!(got, 500);
        assert_eq!(from.rx_burst(&mut Burst::new(1)).unwrap(), 0);
    }
}

/// In go-libmemif the second socket took the first one's place.
#[test]
fn two_interfaces_on_two_sockets_of_one_context() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s").display().to_string();
    let sockets = [path, socket()]; // one of each kind
    let (masters, slaves) = (context(), context());
    let pairs: Vec<_> = sockets
        .iter()
        .map(|socket| {
            let master = MemifConfig::new(socket).role(Role::Master);
            let master = masters.create_interface(master).unwrap();
            (
                master,
                slaves.create_interface(MemifConfig::new(socket)).unwrap(),
            )
        })
        .collect();
    for (master, slave) in &pairs {
        up(slave);
        up(master);
        writable(master);
    }
    let mut handles: Vec<_> = pairs
        .iter()
        .map(|(m, s)| {
            (
                m.packet_handle(0).unwrap().with_burst(4),
                s.packet_handle(0).unwrap().with_burst(4),
            )
        })
        .collect();
    for n in 0..20u64 {
        for (i, (master, slave)) in handles.iter_mut().enumerate() {
            slave.write_packet(&pattern(n, 30 + i)).unwrap();
            master.write_packet(&pattern(n, 50 + i)).unwrap();
        }
        for (i, (master, slave)) in handles.iter_mut().enumerate() {
            assert_same(&read(master), &pattern(n, 30 + i), i);
            assert_same(&read(slave), &pattern(n, 50 + i), i);
        }
    }
}

/// Receive descriptors that pointed at send buffers brought one's own packets back.
#[test]
fn own_packets_do_not_come_back() {
    let pair = Pair::small(4, 256);
    let mut master = pair.master.packet_handle(0).unwrap().with_burst(16);
    let mut slave = pair.slave.packet_handle(0).unwrap().with_burst(16);
    for n in 0..200u64 {
        slave.write_packet(&pattern(n, 100)).unwrap();
        assert_eq!(eof(slave.read_packet()), Eof::Empty);
        assert_same(&read(&mut master), &pattern(n, 100), n);
        master.write_packet(&pattern(n + 1000, 100)).unwrap();
        assert_eq!(eof(master.read_packet()), Eof::Empty);
        assert_same(&read(&mut slave), &pattern(n + 1000, 100), n);
    }
}

/// Interrupt and polling in all four combinations of the two sides, over two links.
#[test]
fn all_four_combinations_of_modes_and_the_link_down_and_up_again() {
    let modes = [RxMode::Interrupt, RxMode::Polling];
    for (of_master, of_slave) in modes
        .iter()
        .flat_map(|a| modes.iter().map(move |b| (*a, *b)))
    {
        let pair = Pair::new();
        let mut master = pair.master.packet_handle(0).unwrap().with_burst(16);
        master.set_rx_mode(of_master).unwrap();
        let mut slave_memif = pair.slave.clone();
        for link in 0..2 {
            let mut slave = slave_memif.packet_handle(0).unwrap().with_burst(16);
            slave.set_rx_mode(of_slave).unwrap();
            for n in 0..100u64 {
                slave.write_packet(&pattern(n, 64)).unwrap();
                assert_same(&read(&mut master), &pattern(n, 64), n);
                master.write_packet(&pattern(n, 65)).unwrap();
                assert_same(&read(&mut slave), &pattern(n, 65), n);
            }
            if link == 0 {
                slave_memif.close();
                assert_eq!(eof(master.read_packet_timeout(Some(LONG))), Eof::LinkDown);
                let again = MemifConfig::new(&pair.socket);
                slave_memif = pair.slave_context.create_interface(again).unwrap();
                up(&slave_memif);
                up(&pair.master);
                writable(&pair.master);
            }
        }
        assert_eq!(
            master.read_packet_timeout(Some(Duration::ZERO)),
            Err(Error::TimedOut)
        );
    }
}

/// go-libmemif gave none of a burst's packets when the last was a chain that went on beyond it.
#[test]
fn whole_packets_are_not_held_back_behind_an_unfinished_chain() {
    for reader in ROLES {
        let (context, socket) = (context(), socket());
        let raw = (reader == Role::Slave).then(|| Master::listen(&socket));
        let config = MemifConfig::new(&socket).role(reader);
        let config = config.log2_ring_size(LOG2).buffer_size(BUFFER as u16);
        let memif = context.create_interface(config).unwrap();
        let link = match &raw {
            Some(raw) => raw.go(Stage::Up),
            None => Plan::new(0).up(&socket),
        };
        up(&memif);
        let ring = match reader {
            Role::Master => link.s2m(),
            _ => link.m2s(),
        };
        if reader == Role::Slave {
            until("offered buffers", || ring.head() == 1 << LOG2);
        }
        // One burst: two packets of a buffer, one of two, the first two buffers of a chain.
        for (slot, more) in [false, false, true, false, true, true].iter().enumerate() {
            let mut desc = ring.desc(slot as u16);
            desc.flags = if *more { NEXT } else { 0 };
            desc.length = 64;
            let bytes = pattern(slot as u64, 64);
            link.regions[usize::from(desc.region)].write(desc.offset as usize, &bytes);
            ring.set_desc(slot as u16, desc);
        }
        match reader {
            Role::Master => ring.set_head(6),
            _ => ring.set_tail(6),
        }
        ring.wake();

        let mut from = memif.rx_queue(0).unwrap();
        let mut burst = Burst::new(16);
        assert_eq!(from.wait(Some(LONG)).unwrap(), Wait::Ready);
        assert_eq!(from.rx_burst(&mut burst).unwrap(), 3, "{reader:?}");
        let wanted = [
            pattern(0, 64),
            pattern(1, 64),
            [pattern(2, 64), pattern(3, 64)].concat(),
        ];
        for (n, packet) in burst.iter().enumerate() {
            assert_same(&packet, &wanted[n], n);
        }
        // Some senders publish a chain in two bursts: its beginning waits for the rest.
        assert_eq!(from.rx_burst(&mut burst).unwrap(), 0, "{reader:?}");
        let mut desc = ring.desc(6);
        (desc.flags, desc.length) = (0, 64);
        let bytes = pattern(6, 64);
        link.regions[usize::from(desc.region)].write(desc.offset as usize, &bytes);
        ring.set_desc(6, desc);
        if reader == Role::Master {
            ring.set_head(7);
        } else {
            ring.set_tail(7);
        }
        ring.wake();
        assert_eq!(from.wait(Some(LONG)).unwrap(), Wait::Ready);
        assert_eq!(from.rx_burst(&mut burst).unwrap(), 1, "{reader:?}");
        let whole = [pattern(4, 64), pattern(5, 64), pattern(6, 64)].concat();
        let packet = burst.iter().next().unwrap();
        assert_same(&packet, &whole, 3usize);
    }
}

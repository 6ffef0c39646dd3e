//! Queues follow the link: a master takes what its slave brings, and a queue that the link lacks
//! sleeps.

use std::fs;
use std::sync::{Mutex, mpsc};
use std::thread;
use std::time::Duration;

use memif::{Burst, Error, MemifConfig, Role, RxMode, Wait};

use super::support::*;
use crate::common::*;

const SOON: Duration = Duration::from_millis(200);

#[test]
fn a_master_takes_as_many_queues_as_each_slave_brings() {
    let (context, socket) = (context(), socket());
    let master = master_on(&context, &socket);
    assert_eq!((master.rx_queues(), master.tx_queues()), (0, 0));
    for (rx, tx) in [(2, 5), (1, 1), (255, 254), (3, 1)] {
        let config = MemifConfig::new(&socket).queues(rx, tx).log2_ring_size(1);
        let slave = context.create_interface(config).unwrap();
        up(&slave);
        up(&master);
        assert_eq!((master.rx_queues(), master.tx_queues()), (tx, rx));
        assert_eq!((slave.rx_queues(), slave.tx_queues()), (rx, tx));
        let mut last = master.rx_queue(tx - 1).unwrap();
        let sent = slave.tx_queue(tx - 1).unwrap().tx_burst(&[b"last"]);
        assert_eq!(sent.unwrap(), 1);
        assert_eq!(last.wait(Some(LONG)).unwrap(), Wait::Ready);
        assert_eq!(last.rx_burst(&mut Burst::new(1)).unwrap(), 1);
        slave.close();
        down(&master);
    }
    let stats = master.stats();
    assert_eq!((stats.rx_queues.len(), stats.tx_queues.len()), (254, 255));
}

/// What this thread has used of a CPU, in clock ticks of 10 ms.
fn ticks() -> u64 {
    let stat = fs::read_to_string("/proc/thread-self/stat").unwrap();
    let fields: Vec<_> = stat.rsplit(')').next().unwrap().split(' ').collect();
    fields[12].parse::<u64>().unwrap() + fields[13].parse::<u64>().unwrap()
}

#[test]
fn a_queue_that_the_link_lacks_sleeps_until_a_link_has_it() {
    for mode in [RxMode::Interrupt, RxMode::Polling] {
        let (context, socket) = (context(), socket());
        let master = master_on(&context, &socket);
        let slave = slave_on(&context, &socket);
        up(&slave);
        up(&master);
        let mut third = master.packet_handle(2).unwrap().with_burst(8);
        third.set_rx_mode(mode).unwrap();
        assert_eq!(eof(third.read_packet()), memif::Eof::Empty);

        let before = ticks();
        assert_eq!(third.wait(Some(SOON)), Err(Error::TimedOut));
        assert!(ticks() - before < 10, "it spun: {} ticks", ticks() - before);

        // The end of a link is told, and the wait for the next one too.
        thread::scope(|scope| {
            let waiting = scope.spawn(|| third.wait(Some(LONG)).unwrap());
            slave.close();
            assert_eq!(waiting.join().unwrap(), Wait::LinkDown);
        });
        assert_eq!(eof(third.read_packet()), memif::Eof::LinkDown);
        thread::scope(|scope| {
            let reading = scope.spawn(|| third.packets().follow(true).next().unwrap().unwrap());
            let slave = slave_on(&context, &socket);
            up(&slave);
            slave.close();
            let config = MemifConfig::new(&socket).queues(1, 3);
            let slave = context.create_interface(config).unwrap();
            up(&slave);
            let sent = slave.tx_queue(2).unwrap().tx_burst(&[b"at last"]);
            assert_eq!(sent.unwrap(), 1);
            assert_eq!(&reading.join().unwrap()[..], b"at last");
        });
    }
}

/// A round trip to it for every burst would make the other queues slow.
#[test]
fn a_queue_that_the_link_lacks_does_not_ask_the_control_thread() {
    let (contexts, socket) = ([context(), context()], socket());
    let (release, held) = mpsc::channel::<()>();
    let held = Mutex::new(held);
    let config = MemifConfig::new(&socket)
        .role(Role::Master)
        .on_connect(move |_| assert!(held.lock().unwrap().recv().is_err()));
    let master = contexts[0].create_interface(config).unwrap();
    let mut third = master.packet_handle(2).unwrap();
    let _slave = slave_on(&contexts[1], &socket);
    until("the link", || master.is_link_up());
    // The callback holds up the control thread.
    assert_eq!(eof(third.read_packet()), memif::Eof::Empty);
    assert_eq!(third.write_packet(b"x"), Err(Error::Full));
    assert_eq!(third.wait(Some(SOON)), Err(Error::TimedOut));
    drop(release);
}

#[test]
fn interrupts_come_from_queues_that_a_later_link_brings() {
    let (context, socket) = (context(), socket());
    let master = master_on(&context, &socket);
    let mut interrupts = master.interrupts().unwrap();
    let config = MemifConfig::new(&socket).queues(1, 7);
    let slave = context.create_interface(config).unwrap();
    up(&slave);
    let mut seventh = master.rx_queue(6).unwrap();
    slave.tx_queue(6).unwrap().tx_burst(&[b"a packet"]).unwrap();
    let mut burst = Burst::new(1);
    // The link's coming is told on every queue.
    while seventh.rx_burst(&mut burst).unwrap() == 0 {
        interrupts.recv(Some(LONG)).unwrap();
    }
    assert_eq!(&burst.get(0).unwrap()[..], b"a packet");
}

#[test]
fn a_write_to_a_queue_that_the_link_lacks_finds_no_room() {
    let (context, socket) = (context(), socket());
    let master = context
        .create_interface(MemifConfig::new(&socket).role(Role::Master).queues(1, 4))
        .unwrap();
    let slave = slave_on(&context, &socket);
    up(&slave);
    up(&master);
    let mut fourth = master.tx_queue(3).unwrap();
    assert_eq!(fourth.tx_burst(&[b"x"]).unwrap(), 0);
    assert_eq!(fourth.wait_writable(1, Some(SOON)), Err(Error::TimedOut));
    fourth.flush(LONG).unwrap();
}

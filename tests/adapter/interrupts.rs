//! The stream of interrupts, and receive modes by queue.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use memif::{Burst, Eof, ErrorKind, Interrupts, Memif, Role, RxMode, RxQueue, Wait};

use crate::common::{LONG, Pair, ROLES, eof, other, pattern, up, writable};

const QUEUES: u8 = 4;

fn queues(memif: &Memif) -> Vec<RxQueue> {
    (0..QUEUES).map(|q| memif.rx_queue(q).unwrap()).collect()
}

/// Reads until `count` packets have come; which queue each came on.
fn collect(
    interrupts: &mut Interrupts,
    queues: &mut [RxQueue],
    count: usize,
) -> Vec<(u8, Vec<u8>)> {
    let mut got = Vec::new();
    let mut burst = Burst::new(8);
    while got.len() < count {
        let id = interrupts.recv(Some(LONG)).unwrap();
        // A link that is down ends with an error where others are empty.
        while queues[usize::from(id)]
            .rx_burst(&mut burst)
            .is_ok_and(|n| n > 0)
        {
            got.extend(burst.iter().map(|packet| (id, packet.to_vec())));
        }
    }
    got
}

#[test]
fn every_queue_tells_of_its_packets_in_one_stream() {
    for reader in ROLES {
        let pair = Pair::with(|c| c.queues(QUEUES, QUEUES).log2_ring_size(4));
        let to = pair.side(other(reader));
        let mut senders: Vec<_> = (0..QUEUES).map(|q| to.tx_queue(q).unwrap()).collect();
        let mut receivers = queues(pair.side(reader));
        let mut interrupts = pair.side(reader).interrupts().unwrap();
        for round in 0..100u64 {
            let queue = (round * 7 % u64::from(QUEUES)) as u8;
            let packet = pattern(round, 60);
            senders[usize::from(queue)].tx_burst(&[&packet]).unwrap();
            let got = collect(&mut interrupts, &mut receivers, 1);
            assert_eq!(got, [(queue, packet)]);
        }
        // More than a burst, on all at once.
        for sender in &mut senders {
            let packets: Vec<_> = (0..12).map(|n| pattern(n, 30)).collect();
            assert_eq!(sender.tx_burst(&packets).unwrap(), 12);
        }
        let got = collect(&mut interrupts, &mut receivers, 48);
        for queue in 0..QUEUES {
            let of_queue = got.iter().filter(|(id, _)| *id == queue);
            assert!(
                of_queue
                    .map(|(_, p)| p.clone())
                    .eq((0..12).map(|n| pattern(n, 30)))
            );
        }
    }
}

#[test]
fn the_end_of_a_link_is_an_error_in_the_stream_and_the_next_link_works() {
    let pair = Pair::with(|c| c.queues(QUEUES, QUEUES));
    let mut receivers = queues(&pair.master);
    let mut interrupts = pair.master.interrupts().unwrap();
    pair.slave
        .tx_queue(2)
        .unwrap()
        .tx_burst(&[b"last"])
        .unwrap();
    pair.slave.close();
    let error = loop {
        match interrupts.recv(Some(LONG)) {
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), ErrorKind::Disconnected);
    assert_eq!(error.code(), 35);
    assert!(error.to_string().contains("interface is closed"), "{error}");
    let details = pair.master.details().unwrap();
    assert!(details.last_disconnect.contains("interface is closed"));
    // What had arrived is told of still.
    let got = collect(&mut interrupts, &mut receivers[..], 1);
    assert_eq!(got, [(2, b"last".to_vec())]);

    let slave = memif::MemifConfig::new(&pair.socket).queues(QUEUES, QUEUES);
    let slave = pair.slave_context.create_interface(slave).unwrap();
    up(&slave);
    up(&pair.master);
    slave.tx_queue(1).unwrap().tx_burst(&[b"first"]).unwrap();
    let mut burst = Burst::new(4);
    loop {
        let id = interrupts.recv(Some(LONG)).unwrap();
        if receivers[usize::from(id)]
            .rx_burst(&mut burst)
            .is_ok_and(|n| n > 0)
        {
            assert_eq!((id, &burst.get(0).unwrap()[..]), (1, &b"first"[..]));
            break;
        }
    }
    let details = pair.master.details().unwrap();
    assert!(details.error.is_empty() && !details.last_disconnect.is_empty());
}

#[test]
fn a_time_limit_is_an_end_for_now_and_closing_one_for_ever() {
    let pair = Pair::new();
    let mut interrupts = pair.master.interrupts().unwrap();
    let mut queue = pair.master.rx_queue(0).unwrap();
    let mut burst = Burst::new(1);
    // The link's coming up may still be told of.
    while let Ok(0) = interrupts.recv(Some(Duration::from_millis(1))) {
        assert_eq!(queue.rx_burst(&mut burst).unwrap(), 0);
    }
    assert_eq!(eof(interrupts.recv(Some(Duration::ZERO))), Eof::Empty);
    let master = pair.master.clone();
    let (send, waiting) = mpsc::channel();
    let ended = thread::spawn(move || {
        send.send(()).unwrap();
        // A link that ends because of the close may be told of before.
        interrupts.by_ref().filter(Result::is_ok).count();
        eof(interrupts.recv(None))
    });
    waiting.recv().unwrap();
    master.close();
    assert_eq!(ended.join().unwrap(), Eof::Closed);
}

#[test]
fn modes_are_a_queue_s_own_and_may_change_under_a_waiter() {
    let pair = Pair::with(|c| c.queues(2, 2));
    let mut queues = [
        pair.master.rx_queue(0).unwrap(),
        pair.master.rx_queue(1).unwrap(),
    ];
    pair.master.set_rx_mode(1, RxMode::Polling).unwrap();
    let details = pair.master.details().unwrap();
    assert!(!details.rx_queues[0].polling);
    assert!(details.rx_queues[1].polling);
    let peer = pair.slave.details().unwrap();
    assert!(peer.tx_queues[1].polling);
    let error = pair.master.set_rx_mode(2, RxMode::Polling).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnknownQueue);

    // Asleep in interrupt mode, then told to poll, then to sleep again: no packet is missed.
    let mut sender = pair.slave.tx_queue(0).unwrap();
    let [first, _second] = queues_of(&mut queues);
    thread::scope(|scope| {
        let reading = scope.spawn(move || {
            let mut burst = Burst::new(1);
            for n in 0..300u64 {
                assert_eq!(first.wait(Some(LONG)).unwrap(), Wait::Ready);
                assert_eq!(first.rx_burst(&mut burst).unwrap(), 1);
                assert_eq!(&burst.get(0).unwrap()[..], pattern(n, 20));
            }
        });
        for n in 0..300u64 {
            let mode = match n % 3 {
                0 => RxMode::Polling,
                1 => RxMode::Interrupt,
                _ => RxMode::Adaptive {
                    spin: Duration::from_micros(20),
                },
            };
            pair.master.set_rx_mode(0, mode).unwrap();
            sender.tx_burst(&[pattern(n, 20)]).unwrap();
        }
        reading.join().unwrap();
    });
}

fn queues_of(queues: &mut [RxQueue; 2]) -> [&mut RxQueue; 2] {
    let [a, b] = queues;
    [a, b]
}

#[test]
fn interrupts_of_both_sides_at_once() {
    let pair = Pair::with(|c| c.queues(QUEUES, QUEUES));
    writable(&pair.master);
    thread::scope(|scope| {
        for role in [Role::Master, Role::Slave] {
            let memif = pair.side(role);
            let mut receivers = queues(memif);
            let mut interrupts = memif.interrupts().unwrap();
            let mut senders: Vec<_> = (0..QUEUES).map(|q| memif.tx_queue(q).unwrap()).collect();
            scope.spawn(move || {
                for round in 0..200u64 {
                    let queue = (round % u64::from(QUEUES)) as usize;
                    assert_eq!(senders[queue].tx_burst(&[pattern(round, 40)]).unwrap(), 1);
                }
                assert_eq!(collect(&mut interrupts, &mut receivers, 200).len(), 200);
            });
        }
    });
}

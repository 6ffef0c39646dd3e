//! Packets that nobody tells of, though this side wants to be told: that is what is seen of a
//! sender that has looked at the flag before its packet could be seen, as it has no fence.

use std::os::fd::{AsFd, AsRawFd};
use std::time::Instant;

use memif::{Burst, RxQueue};
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};

use crate::*;

/// Far more than the time of the first look, and far less than a wait may last.
const SOON: Duration = Duration::from_secs(2);

/// Both sides of a link, the raw one as slave; the queue has been read until nothing is left.
fn receiver() -> (Context, Memif, Link, RxQueue) {
    let context = context();
    let master = side(&context, Role::Master);
    let link = Plan::new(0).up(master.socket());
    up(&master);
    let mut queue = master.rx_queue(0).unwrap();
    // Awake once, so that it is masked, and asks to be woken again.
    link.slave_sends(b"first");
    assert_eq!(queue.wait(Some(LONG)).unwrap(), Wait::Ready);
    read_all(&mut queue, 1);
    (context, master, link, queue)
}

fn read_all(queue: &mut RxQueue, packets: usize) {
    let mut burst = Burst::new(8);
    let mut got = 0;
    while queue.rx_burst(&mut burst).unwrap() > 0 {
        got += burst.len();
    }
    assert_eq!(got, packets);
}

/// On the ring once the receiver sleeps, without a word.
fn publish_silently(link: &Link) {
    let ring = link.s2m();
    until("a receiver that wants to be woken", || {
        ring.flags() & 1 == 0
    });
    // It looks some times more after the flag, for microseconds, and sleeps then.
    std::thread::sleep(Duration::from_micros(300));
    ring.set_head(ring.head().wrapping_add(1));
}

#[track_caller]
fn woken<R>(link: &Link, wait: impl FnOnce() -> R + Send) -> R
where
    R: Send,
{
    std::thread::scope(|scope| {
        let start = Instant::now();
        let waiting = scope.spawn(wait);
        publish_silently(link);
        let result = waiting.join().unwrap();
        assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
        result
    })
}

#[test]
fn a_wait_finds_it() {
    let (_context, _master, link, mut queue) = receiver();
    for _ in 0..10 {
        let result = woken(&link, || queue.wait(Some(LONG)).unwrap());
        assert_eq!(result, Wait::Ready);
        read_all(&mut queue, 1);
    }
}

#[test]
fn a_poll_loop_of_one_s_own_finds_it() {
    let (_context, _master, link, mut queue) = receiver();
    let mut poll = Poll::new().unwrap();
    let fd = queue.as_fd().as_raw_fd();
    let registry = poll.registry();
    let mut source = SourceFd(&fd);
    registry
        .register(&mut source, Token(0), Interest::READABLE)
        .unwrap();
    for _ in 0..10 {
        read_all(&mut queue, 0);
        let found = woken(&link, || {
            let (mut events, mut burst) = (Events::with_capacity(4), Burst::new(8));
            // What is readable may be so without a packet.
            while queue.rx_burst(&mut burst).unwrap() == 0 {
                poll.poll(&mut events, Some(LONG)).unwrap();
                assert!(!events.is_empty(), "this never came");
            }
            burst.len()
        });
        assert_eq!(found, 1);
    }
}

#[test]
fn interrupts_tell_of_it() {
    let (_context, master, link, mut queue) = receiver();
    let mut interrupts = master.interrupts().unwrap();
    for _ in 0..10 {
        read_all(&mut queue, 0);
        let found = woken(&link, || {
            let mut burst = Burst::new(8);
            while queue.rx_burst(&mut burst).unwrap() == 0 {
                assert_eq!(interrupts.recv(Some(LONG)).unwrap(), 0);
            }
            burst.len()
        });
        assert_eq!(found, 1);
    }
}

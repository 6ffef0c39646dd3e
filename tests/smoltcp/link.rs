//! A link that goes down and comes back under a stack.

use memif::phy::{self, MemifDevice};
use memif::{Eof, MemifConfig};
use smoltcp::phy::{Device, TxToken};
use smoltcp::time::{Duration, Instant};

use crate::stack::{PATIENCE, Stack, echo, pair};

#[test]
fn a_stack_works_on_after_a_reconnect() {
    let ends = pair(|c| c);
    let mut b = Stack::new(MemifDevice::new(&ends.master, 0).unwrap(), 2);
    for round in 0..3 {
        let slave = if round == 0 {
            ends.slave.clone()
        } else {
            let config = MemifConfig::new(&ends.socket);
            ends.context.create_interface(config).unwrap()
        };
        slave.wait_link_up(Some(PATIENCE)).unwrap();
        ends.master.wait_link_up(Some(PATIENCE)).unwrap();
        let mut a = Stack::new(MemifDevice::new(&slave, 0).unwrap(), 1);
        b.sockets = smoltcp::iface::SocketSet::new(Vec::new());
        echo(&mut a, &mut b, false, 1 << 17, 1 << 14);
        slave.close();
        assert_eq!(phy::wait(&mut a.device, None), Err(Eof::Closed.into()));

        // The other side's link is down once it has seen it; it waits for the next.
        while ends.master.is_link_up() {
            phy::wait(&mut b.device, Some(Duration::ZERO)).unwrap();
        }
        b.poll();
        phy::wait(&mut b.device, Some(Duration::from_millis(1))).unwrap();
    }
}

#[test]
fn a_link_that_is_down_gives_no_token_and_takes_what_was_unpublished() {
    let ends = pair(|c| c);
    let mut device = MemifDevice::new(&ends.master, 0).unwrap();
    let send = |device: &mut MemifDevice| {
        let token = device.transmit(Instant::ZERO);
        token
            .map(|token| token.consume(60, |f| f.fill(1)))
            .is_some()
    };
    assert!(send(&mut device));
    ends.slave.close();
    while ends.master.is_link_up() {
        std::thread::yield_now();
    }
    device.publish();
    assert_eq!((device.unpublished(), device.stats().tx_dropped), (0, 1));
    assert!(!send(&mut device));
    // smoltcp would ask to be polled at once, for ever.
    phy::wait(&mut device, Some(Duration::ZERO)).unwrap();

    // Room to send ends a wait that has no limit.
    let config = MemifConfig::new(&ends.socket);
    assert!(!send(&mut device));
    let slave = ends.context.create_interface(config).unwrap();
    phy::wait(&mut device, None).unwrap();
    assert!(send(&mut device));
    // A master's ring has room once the slave has offered buffers, which is after the link came up.
    slave.wait_link_up(Some(PATIENCE)).unwrap();
    while device.unpublished() > 0 {
        phy::wait(&mut device, Some(Duration::ZERO)).unwrap();
    }
    let mut handle = slave.packet_handle(0).unwrap().with_burst(1);
    let packet = handle.read_packet_timeout(Some(PATIENCE)).unwrap();
    assert_eq!(packet.data(), [1; 60]);
    assert_eq!(device.stats().tx_packets, 1);
}

/// How long so many waits of no time take, after as many that warm up.
fn waits(device: &mut MemifDevice, count: u32) -> std::time::Duration {
    let mut start = std::time::Instant::now();
    for n in 0..2 * count {
        if n == count {
            start = std::time::Instant::now();
        }
        assert!(device.transmit(Instant::ZERO).is_none());
        phy::wait(device, Some(Duration::ZERO)).unwrap();
    }
    start.elapsed()
}

#[test]
fn a_stack_that_can_not_send_is_held_back_from_polling() {
    let ends = pair(|c: MemifConfig| c.log2_ring_size(2));
    let mut device = MemifDevice::new(&ends.master, 0).unwrap();
    while let Some(token) = device.transmit(Instant::ZERO) {
        token.consume(60, |f| f.fill(1));
    }
    // A sleep may take longer, never shorter: a millisecond for a full ring, ten for the link.
    assert!(waits(&mut device, 20).as_millis() >= 20);
    ends.slave.close();
    while ends.master.is_link_up() {
        std::thread::yield_now();
    }
    device.publish();
    assert!(waits(&mut device, 20).as_millis() >= 200);
}

#[test]
fn a_closed_interface_ends_a_wait() {
    let ends = pair(|c| c);
    let mut device = MemifDevice::new(&ends.master, 0).unwrap();
    let master = ends.master.clone();
    let closing = std::thread::spawn(move || master.close());
    while let Ok(()) = phy::wait(&mut device, None) {}
    assert_eq!(phy::wait(&mut device, None), Err(Eof::Closed.into()));
    closing.join().unwrap();
    assert!(device.receive(Instant::ZERO).is_none());
    assert!(device.transmit(Instant::ZERO).is_none());
}

/// More than a burst is in the ring when the link goes.
#[test]
fn what_had_arrived_is_received_after_the_end_of_the_link() {
    const COUNT: usize = 200;
    let ends = pair(|c| c);
    let mut device = MemifDevice::new(&ends.master, 0).unwrap();
    let mut peer = ends.slave.packet_handle(0).unwrap().with_burst(1);
    for _ in 0..COUNT {
        peer.write_packet(&[1; 60]).unwrap();
    }
    let (_, tx) = device.receive(Instant::ZERO).unwrap();
    tx.consume(60, |f| f.fill(1));
    ends.slave.close();
    while ends.master.is_link_up() {
        std::thread::yield_now();
    }
    device.publish();
    for _ in 1..COUNT {
        phy::wait(&mut device, Some(Duration::ZERO)).unwrap();
        let (_, tx) = device.receive(Instant::ZERO).expect("a packet");
        tx.consume(60, |f| f.fill(1));
    }
    ends.master.close();
    assert!(device.receive(Instant::ZERO).is_none());
    assert!(device.is_closed());
    assert_eq!(phy::wait(&mut device, None), Err(Eof::Closed.into()));
}

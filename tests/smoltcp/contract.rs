//! smoltcp's contract for devices, without a stack.

use memif::phy::{self, MemifDevice, Segmentation};
use memif::{Burst, Context, IfMode, MemifConfig, Role, RxQueue};
use memif_hostile::peer::*;
use smoltcp::phy::{Checksum, ChecksumCapabilities, Device, RxToken, TxToken};
use smoltcp::time::{Duration, Instant};

use crate::stack::{PATIENCE, Pair, pair};

const NOW: Instant = Instant::ZERO;

fn ends(ring: u8) -> (Pair, MemifDevice, RxQueue) {
    let ends = pair(|c: MemifConfig| c.log2_ring_size(ring));
    let device = MemifDevice::new(&ends.slave, 0).unwrap();
    let queue = ends.master.rx_queue(0).unwrap();
    (ends, device, queue)
}

fn send(device: &mut MemifDevice, number: usize) -> bool {
    let Some(token) = device.transmit(NOW) else {
        return false;
    };
    token.consume(60, |frame| {
        frame.fill(0);
        frame[..8].copy_from_slice(&number.to_le_bytes());
    });
    true
}

/// The numbers of the packets that have arrived.
fn arrived(queue: &mut RxQueue) -> Vec<usize> {
    let mut burst = Burst::new(256);
    queue.rx_burst(&mut burst).unwrap();
    burst
        .iter()
        .map(|p| usize::from_le_bytes(p[..8].try_into().unwrap()))
        .collect()
}

#[test]
fn capabilities_are_true() {
    for (mode, header) in [(IfMode::Ethernet, 14), (IfMode::Ip, 0)] {
        let ends = pair(|c: MemifConfig| c.mode(mode).log2_ring_size(6));
        let device = MemifDevice::new(&ends.slave, 0).unwrap();
        let caps = device.capabilities();
        assert_eq!(caps.max_transmission_unit, 1500 + header);
        assert_eq!(caps.ip_mtu(), 1500);
        assert_eq!(caps.max_burst_size, Some(64));
        assert!(matches!(caps.checksum.tcp, Checksum::Both));
        assert!(caps.segmentation.tcpv4.is_none());

        let device = device.with_mtu(9000);
        assert_eq!(device.capabilities().ip_mtu(), 9000);
        // Five buffers a frame.
        assert_eq!(device.capabilities().max_burst_size, Some(12));
        let device = device.with_max_burst_size(None);
        assert_eq!(device.capabilities().max_burst_size, None);
        assert_eq!(device.with_mtu(1).capabilities().ip_mtu(), 576);

        let ends = pair(|c: MemifConfig| c.mode(mode));
        let device = MemifDevice::new(&ends.master, 0)
            .unwrap()
            .with_segmentation(Segmentation::Cut);
        let caps = device.capabilities();
        assert!(matches!(caps.checksum.tcp, Checksum::Rx));
        assert_eq!(caps.segmentation.tcpv4.unwrap().get(), 65_535 + header);
        let none = device.with_checksum(ChecksumCapabilities::ignored());
        assert!(matches!(none.capabilities().checksum.tcp, Checksum::None));
    }
    let small = pair(|c: MemifConfig| c.log2_ring_size(4));
    let device = MemifDevice::new(&small.slave, 0)
        .unwrap()
        .with_segmentation(Segmentation::Whole);
    let segmentation = device.capabilities().segmentation;
    assert_eq!(segmentation.tcpv4.unwrap().get(), 8 * 2048);
}

#[test]
fn a_token_that_is_not_used_costs_nothing() {
    let (_ends, mut device, mut queue) = ends(4);
    for _ in 0..1000 {
        assert!(device.transmit(NOW).is_some());
    }
    assert_eq!(device.unpublished(), 0);
    assert!(send(&mut device, 7));
    device.publish();
    assert_eq!(arrived(&mut queue), [7]);
}

#[test]
fn a_burst_is_published_once_and_at_the_latest_in_wait() {
    let (_ends, mut device, mut queue) = ends(10);
    (0..20).for_each(|n| assert!(send(&mut device, n)));
    assert_eq!((device.unpublished(), arrived(&mut queue).len()), (20, 0));
    phy::wait(&mut device, Some(Duration::ZERO)).unwrap();
    assert_eq!(arrived(&mut queue), (0..20).collect::<Vec<_>>());
    assert_eq!((device.unpublished(), device.stats().tx_bursts), (0, 1));

    // A reception that finds nothing means that the stack has nothing more to do.
    assert!(send(&mut device, 20));
    assert!(device.receive(NOW).is_none());
    assert_eq!(arrived(&mut queue), [20]);

    // Full bursts go at once.
    (0..65).for_each(|n| assert!(send(&mut device, n)));
    assert_eq!((device.unpublished(), arrived(&mut queue).len()), (1, 64));

    // The last is not forgotten.
    drop(device);
    assert_eq!(arrived(&mut queue), [64]);
}

#[test]
fn a_full_ring_gives_no_token_and_loses_nothing() {
    let (_ends, mut device, mut queue) = ends(4);
    let sent = (0..).take_while(|n| send(&mut device, *n)).count();
    assert!(sent >= 16, "{sent}");
    assert!(device.transmit(NOW).is_none());
    assert!(device.stats().tx_ring_full > 0);

    // It backs off rather than return at once, and says when there is room.
    phy::wait(&mut device, Some(Duration::ZERO)).unwrap();
    let mut got = Vec::new();
    while got.len() < sent {
        got.extend(arrived(&mut queue));
        phy::wait(&mut device, Some(Duration::ZERO)).unwrap();
    }
    assert_eq!(got, (0..sent).collect::<Vec<_>>());
    assert!(device.transmit(NOW).is_some());
    assert_eq!(device.stats().tx_dropped, 0);
}

#[test]
fn receiving_needs_room_to_answer() {
    let (ends, mut device, mut queue) = ends(2);
    let mut peer = ends.master.tx_queue(0).unwrap();
    let mut answers = 0;
    // The peer sends and never takes: at some point nothing more is received.
    loop {
        while peer.tx_burst(&[&b"question"[..]]).unwrap() == 1 {}
        let Some((rx, tx)) = device.receive(NOW) else {
            break;
        };
        rx.consume(|question| assert_eq!(question, b"question"));
        tx.consume(8, |out| out.copy_from_slice(&usize::to_le_bytes(answers)));
        answers += 1;
    }
    assert!(answers > 4, "{answers}");
    let mut got = Vec::new();
    while got.len() < answers {
        got.extend(arrived(&mut queue));
        device.publish();
    }
    assert_eq!(got, (0..answers).collect::<Vec<_>>());
    assert!(device.receive(NOW).is_some());
}

#[test]
fn long_answers_that_pile_up_are_bounded_by_their_bytes() {
    const LONG: usize = 60_000;
    // 128 KiB in buffers: two of these packets.
    let (ends, mut device, mut queue) = ends(6);
    let mut peer = ends.master.tx_queue(0).unwrap();
    let question = vec![7; LONG];
    let mut answers = 0;
    loop {
        while peer.tx_burst(&[&question]).unwrap() == 1 {}
        let Some((rx, tx)) = device.receive(NOW) else {
            break;
        };
        rx.consume(|question| assert_eq!(question.len(), LONG));
        tx.consume(LONG, |out| out.fill(8));
        answers += 1;
    }
    // Twice what the ring and a burst hold, and what the ring holds.
    assert!((4..=12).contains(&answers), "{answers}");
    assert!(device.transmit(NOW).is_none());
    let mut burst = Burst::new(16);
    let mut got = 0;
    while got < answers {
        queue.rx_burst(&mut burst).unwrap();
        assert!(burst.iter().all(|p| p.len() == LONG && p[0] == 8));
        got += burst.len();
        device.publish();
    }
    assert!(device.transmit(NOW).is_some());
    assert!(device.receive(NOW).is_some());
}

#[test]
fn a_packet_ends_a_wait_and_what_is_cached_does_too() {
    let (ends, mut device, _queue) = ends(10);
    let mut peer = ends.master.tx_queue(0).unwrap();
    assert_eq!(peer.tx_burst(&[b"one", b"two"]).unwrap(), 2);
    let long = Some(Duration::from(PATIENCE));
    phy::wait(&mut device, long).unwrap();
    let (rx, _) = device.receive(NOW).unwrap();
    rx.consume(|packet| assert_eq!(packet, b"one"));
    phy::wait(&mut device, None).unwrap();
    let (rx, _) = device.receive(NOW).unwrap();
    rx.consume(|packet| assert_eq!(packet, b"two"));
    assert!(device.receive(NOW).is_none());
    assert_eq!(device.stats().rx_packets, 2);
}

#[test]
fn what_no_ring_holds_is_counted() {
    let (_ends, mut device, mut queue) = ends(1);
    device.transmit(NOW).unwrap().consume(9000, |f| f.fill(1));
    device.transmit(NOW).unwrap().consume(0, |_| ());
    assert!(send(&mut device, 3));
    device.publish();
    assert_eq!(arrived(&mut queue), [3]);
    assert_eq!(device.stats().tx_dropped, 2);
    assert!(device.take_error().unwrap().to_string().contains("9000"));
    assert!(device.take_error().is_none());
}

#[test]
fn punt_inject_is_refused_and_a_queue_has_one_device() {
    let ends = pair(|c: MemifConfig| c.mode(IfMode::PuntInject));
    assert!(MemifDevice::new(&ends.slave, 0).is_err());
    let ends = pair(|c| c);
    let _device = MemifDevice::new(&ends.slave, 0).unwrap();
    assert!(MemifDevice::new(&ends.slave, 0).is_err());
    assert!(MemifDevice::new(&ends.slave, 1).is_err());
}

#[test]
fn the_size_of_the_ring_is_that_of_the_present_link() {
    let ends = pair(|c: MemifConfig| c.log2_ring_size(4));
    let mut device = MemifDevice::new(&ends.master, 0).unwrap();
    assert_eq!(device.capabilities().max_burst_size, Some(16));
    ends.slave.close();
    while ends.master.is_link_up() {
        std::thread::yield_now();
    }
    let config = MemifConfig::new(&ends.socket).log2_ring_size(6);
    let slave = ends.context.create_interface(config).unwrap();
    slave.wait_link_up(Some(PATIENCE)).unwrap();
    ends.master.wait_link_up(Some(PATIENCE)).unwrap();
    device.transmit(NOW).expect("there is room");
    assert_eq!(device.capabilities().max_burst_size, Some(64));
}

/// A slave may have rings of different sizes.
#[test]
fn a_device_goes_by_its_own_ring() {
    let context = Context::new("test").unwrap();
    let socket = format!("@smoltcp-own-ring-{}", std::process::id());
    let master = MemifConfig::new(&socket).role(Role::Master);
    let master = context.create_interface(master).unwrap();
    // The first has 2^4 slots.
    let second = Ring {
        region: 2,
        offset: 0,
        log2: 6,
        efd: eventfd(),
    };
    let mut plan = Plan::new(0);
    plan.regions.push(Memory::new(ring_bytes(6)));
    let memory = &plan.regions[2];
    let ring = RingView {
        memory,
        base: 0,
        size: 64,
        efd: second.efd.clone(),
    };
    ring.set_cookie(COOKIE);
    let desc = Desc {
        region: 1,
        length: BUFFER as u32,
        ..Desc::default()
    };
    (0..64).for_each(|slot| ring.set_desc(slot, desc));
    let region = Message::add_region(2, memory.len() as u64);
    let steps = [
        Step::new(region, &[&memory.fd]),
        Step::new(Message::add_ring(false, 1, 2, 0, 6), &[&second.efd]),
    ];
    plan.steps.splice(P_CONNECT..P_CONNECT, steps);
    plan.m2s.push(second);
    let link = plan.up(&socket);
    link.ring(&link.m2s[1]).set_head(64);
    master.wait_link_up(Some(PATIENCE)).unwrap();
    let device = MemifDevice::new(&master, 1).unwrap();
    assert_eq!(device.capabilities().max_burst_size, Some(64));
}

/// Until the peer has offered buffers that a packet fits into, a device goes by the configuration.
#[test]
fn a_device_waits_for_a_ring_that_has_buffers() {
    let context = Context::new("test").unwrap();
    let socket = format!("@smoltcp-offers-{}", std::process::id());
    let master = MemifConfig::new(&socket).role(Role::Master);
    let master = context.create_interface(master.log2_ring_size(6)).unwrap();
    for length in [BUFFER as u32, 0] {
        let plan = Plan::new(0);
        let ring = RingView {
            memory: &plan.regions[0],
            base: ring_bytes(LOG2),
            size: 1 << LOG2,
            efd: eventfd(),
        };
        let first = ring.desc(0);
        ring.set_desc(0, Desc { length, ..first });
        let link = plan.up(&socket);
        master.wait_link_up(Some(PATIENCE)).unwrap();
        let mut device = MemifDevice::new(&master, 0).unwrap();
        assert_eq!(device.capabilities().max_burst_size, Some(64));
        link.offer();
        assert!(device.transmit(NOW).is_some());
        let slots = if length > 0 { 16 } else { 64 };
        assert_eq!(device.capabilities().max_burst_size, Some(slots));
        drop(link);
        while master.is_link_up() {
            std::thread::yield_now();
        }
    }
}

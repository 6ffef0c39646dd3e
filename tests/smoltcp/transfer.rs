//! TCP between two stacks: sizes, modes, segmentation, middleware.

use std::cell::RefCell;
use std::rc::Rc;

use memif::phy::{MemifDevice, Segmentation, SharedDevice};
use memif::{Context, IfMode, MemifConfig, Role};
use smoltcp::phy::{
    ChecksumCapabilities, FaultInjector, Medium, PcapMode, PcapSink, PcapWriter, Tracer,
};
use smoltcp::time::Instant;

use crate::stack::{PATIENCE, Stack, echo, pair, socket};

#[test]
fn tcp_crosses_in_both_modes_and_both_versions() {
    for mode in [IfMode::Ethernet, IfMode::Ip] {
        for mtu in [1500, 9000] {
            let ends = pair(|c: MemifConfig| c.mode(mode));
            let device = |end| MemifDevice::new(end, 0).unwrap().with_mtu(mtu);
            let mut a = Stack::new(device(&ends.slave), 1);
            let mut b = Stack::new(device(&ends.master), 2);
            for v6 in [false, true] {
                echo(&mut a, &mut b, v6, 1 << 20, 1 << 16);
            }
            // What either has sent last may still be under way.
            let end = std::time::Instant::now() + PATIENCE;
            let stats = loop {
                let (one, two) = (a.device.stats(), b.device.stats());
                let sent = [one.tx_packets, one.tx_bytes, two.tx_packets, two.tx_bytes];
                let got = [two.rx_packets, two.rx_bytes, one.rx_packets, one.rx_bytes];
                if sent == got {
                    break one;
                }
                assert!(std::time::Instant::now() < end, "{one:?}\n{two:?}");
                a.poll();
                b.poll();
            };
            assert_eq!(
                (stats.tx_dropped, stats.rx_errors, stats.tx_large),
                (0, 0, 0)
            );
            assert!(stats.tx_bursts < stats.tx_packets / 2, "{stats:?}");
        }
    }
}

#[test]
fn large_segments_cross_whole_or_cut_with_right_checksums() {
    use Segmentation::{Cut, Off, Whole};
    for mode in [IfMode::Ethernet, IfMode::Ip] {
        for (ours, theirs) in [(Whole, Whole), (Cut, Off), (Cut, Whole), (Whole, Off)] {
            let ends = pair(|c: MemifConfig| c.mode(mode));
            let device = |end, s| MemifDevice::new(end, 0).unwrap().with_segmentation(s);
            let mut a = Stack::new(device(&ends.slave, ours), 1);
            let mut b = Stack::new(device(&ends.master, theirs), 2);
            for v6 in [false, true] {
                echo(&mut a, &mut b, v6, 2 << 20, 1 << 18);
            }
            let stats = a.device.stats();
            assert!(stats.tx_large > 20, "{stats:?}");
            let longest = stats.tx_bytes / stats.tx_packets;
            match ours {
                // Acknowledgements are many, so this is far below the longest.
                Whole => assert!(longest > 1514, "{longest}"),
                _ => assert!(longest <= 1514, "{longest}"),
            }
            assert_eq!((stats.tx_dropped, stats.rx_dropped), (0, 0));
        }
    }
}

#[test]
fn frames_that_are_cut_fit_the_peers_mtu() {
    let ends = pair(|c| c);
    let mut a = Stack::new(
        MemifDevice::new(&ends.slave, 0)
            .unwrap()
            .with_segmentation(Segmentation::Cut),
        1,
    );
    fn no_longer(_: Instant, packet: smoltcp::phy::TracerPacket<'_>) {
        assert!(packet.buffer.len() <= 1514, "{}", packet.buffer.len());
    }
    let device = MemifDevice::new(&ends.master, 0).unwrap();
    let mut b = Stack::new(Tracer::new(device, no_longer), 2);
    echo(&mut a, &mut b, false, 1 << 20, 1 << 18);
}

#[test]
fn whole_segments_are_cut_where_the_slave_chose_a_smaller_ring_later() {
    let (context, socket) = (Context::new("test").unwrap(), socket());
    let config = MemifConfig::new(&socket);
    let master = config.clone().role(Role::Master);
    let master = context.create_interface(master).unwrap();
    let device = |end| {
        let device = MemifDevice::new(end, 0).unwrap();
        device.with_segmentation(Segmentation::Whole)
    };
    let mut a = Stack::new(device(&master), 1);
    let slave = context.create_interface(config.log2_ring_size(3)).unwrap();
    slave.wait_link_up(Some(PATIENCE)).unwrap();
    master.wait_link_up(Some(PATIENCE)).unwrap();
    let mut b = Stack::new(device(&slave), 2);
    echo(&mut a, &mut b, false, 1 << 20, 1 << 17);
    let stats = a.device.stats();
    assert!(stats.tx_large > 0, "{stats:?}");
    assert_eq!((stats.tx_dropped, b.device.stats().rx_dropped), (0, 0));
}

#[test]
fn checksums_can_be_switched_off_on_both_sides() {
    for segmentation in [Segmentation::Off, Segmentation::Cut, Segmentation::Whole] {
        let ends = pair(|c| c);
        let device = |end| {
            MemifDevice::new(end, 0)
                .unwrap()
                .with_checksum(ChecksumCapabilities::ignored())
                .with_segmentation(segmentation)
        };
        let mut a = Stack::new(device(&ends.slave), 1);
        let mut b = Stack::new(device(&ends.master), 2);
        echo(&mut a, &mut b, false, 1 << 20, 1 << 17);
    }
}

#[test]
fn tiny_rings_full_both_ways_do_not_lock_up() {
    let ends = pair(|c: MemifConfig| c.log2_ring_size(2));
    let device = |end| MemifDevice::new(end, 0).unwrap().with_burst(2);
    let mut a = Stack::new(device(&ends.slave), 1);
    let mut b = Stack::new(device(&ends.master), 2);
    echo(&mut a, &mut b, false, 1 << 20, 1 << 16);
    assert!(a.device.stats().tx_ring_full > 0);
    assert_eq!(a.device.stats().tx_dropped, 0);
}

#[derive(Clone, Default)]
struct Count(Rc<RefCell<usize>>);

impl PcapSink for Count {
    fn write(&mut self, data: &[u8]) {
        *self.0.borrow_mut() += data.len();
    }
}

#[test]
fn it_composes_with_tracer_pcap_writer_and_fault_injector() {
    let ends = pair(|c| c);
    let file = Count::default();
    let device = MemifDevice::new(&ends.slave, 0).unwrap();
    let writer = PcapWriter::new(device, file.clone(), PcapMode::Both);
    let mut a = Stack::new(Tracer::new(writer, |_, _| ()), 1);
    let mut b = Stack::new(MemifDevice::new(&ends.master, 0).unwrap(), 2);
    echo(&mut a, &mut b, true, 1 << 18, 1 << 16);
    assert!(*file.0.borrow() > 1 << 19);
}

#[test]
fn tcp_survives_an_injector_of_faults() {
    let ends = pair(|c| c);
    let shared = SharedDevice::from(MemifDevice::new(&ends.slave, 0).unwrap());
    let mut faulty = FaultInjector::new(shared.clone(), 0x1234_5678);
    faulty.set_drop_chance(1);
    faulty.set_corrupt_chance(1);
    let mut a = Stack::new(Injected(faulty, shared), 1);
    let mut b = Stack::new(MemifDevice::new(&ends.master, 0).unwrap(), 2);
    echo(&mut a, &mut b, false, 1 << 17, 1 << 14);
}

/// The injector, and the way to the device that it hides.
struct Injected(FaultInjector<SharedDevice>, SharedDevice);

impl memif::phy::Reach for Injected {
    fn reach<R>(&mut self, f: impl FnOnce(&mut MemifDevice) -> R) -> R {
        self.1.reach(f)
    }
}

impl smoltcp::phy::Device for Injected {
    type RxToken<'a> = <FaultInjector<SharedDevice> as smoltcp::phy::Device>::RxToken<'a>;
    type TxToken<'a> = <FaultInjector<SharedDevice> as smoltcp::phy::Device>::TxToken<'a>;

    fn receive(&mut self, now: Instant) -> Option<(Self::RxToken<'_>, Self::TxToken<'_>)> {
        self.0.receive(now)
    }

    fn transmit(&mut self, now: Instant) -> Option<Self::TxToken<'_>> {
        self.0.transmit(now)
    }

    fn capabilities(&self) -> smoltcp::phy::DeviceCapabilities {
        let caps = self.0.capabilities();
        assert_eq!(caps.medium, Medium::Ethernet);
        caps
    }
}

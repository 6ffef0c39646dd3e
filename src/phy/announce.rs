//! Tells the neighbours of a host's addresses before they ask.

use smoltcp::phy::{ChecksumCapabilities, Device, Medium, TxToken};
use smoltcp::time::Instant;
use smoltcp::wire::{
    ArpOperation, ArpPacket, ArpRepr, EthernetAddress, EthernetFrame, EthernetProtocol,
    EthernetRepr, Icmpv6Packet, Icmpv6Repr, IpAddress, IpCidr, IpProtocol, Ipv4Address,
    Ipv6Address, Ipv6Packet, Ipv6Repr, NdiscNeighborFlags, NdiscRepr,
};

const ALL_NODES: Ipv6Address = Ipv6Address::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

/// Sends a gratuitous ARP request for each IPv4 address, and an unsolicited neighbour advertisement
/// for each IPv6 address. Call it when a link comes up: neighbours that knew another host by these
/// addresses learn of this one. smoltcp sends none of these itself. Does nothing on a device
/// without Ethernet. An address for which there is no transmit token is left out.
///
/// ```
/// use memif::phy::{self, MemifDevice};
/// use memif::{Context, MemifConfig, Role};
/// use smoltcp::time::Instant;
/// use smoltcp::wire::{EthernetAddress, IpAddress, IpCidr};
///
/// let context = Context::new("doc")?;
/// let socket = format!("@memif-doc-announce-{}", std::process::id());
/// let memif = context.create_interface(MemifConfig::new(&socket).role(Role::Master))?;
/// # let slave = context.create_interface(MemifConfig::new(&socket))?;
/// # slave.wait_link_up(None)?;
/// # memif.wait_link_up(None)?;
/// let mut device = MemifDevice::new(&memif, 0)?;
/// let mac = EthernetAddress([2, 0, 0, 0, 0, 1]);
/// let addresses = [IpCidr::new(IpAddress::v4(192, 168, 1, 1), 24)];
/// phy::announce(&mut device, mac, &addresses, Instant::now());
/// device.publish();
/// # Ok::<(), memif::Error>(())
/// ```
pub fn announce(
    device: &mut impl Device,
    mac: EthernetAddress,
    addresses: &[IpCidr],
    now: Instant,
) {
    if device.capabilities().medium != Medium::Ethernet {
        return;
    }
    for cidr in addresses {
        let Some(token) = device.transmit(now) else {
            return;
        };
        match cidr.address() {
            IpAddress::Ipv4(address) => arp(token, mac, address),
            IpAddress::Ipv6(address) => advertise(token, mac, address),
        }
    }
}

fn arp(token: impl TxToken, mac: EthernetAddress, address: Ipv4Address) {
    let ethernet = EthernetRepr {
        src_addr: mac,
        dst_addr: EthernetAddress::BROADCAST,
        ethertype: EthernetProtocol::Arp,
    };
    let arp = ArpRepr::EthernetIpv4 {
        operation: ArpOperation::Request,
        source_hardware_addr: mac,
        source_protocol_addr: address,
        target_hardware_addr: EthernetAddress([0; 6]),
        target_protocol_addr: address,
    };
    token.consume(ethernet.buffer_len() + arp.buffer_len(), |frame| {
        let mut frame = EthernetFrame::new_unchecked(frame);
        ethernet.emit(&mut frame);
        arp.emit(&mut ArpPacket::new_unchecked(frame.payload_mut()));
    });
}

fn advertise(token: impl TxToken, mac: EthernetAddress, address: Ipv6Address) {
    let ethernet = EthernetRepr {
        src_addr: mac,
        // The group of all nodes.
        dst_addr: EthernetAddress([0x33, 0x33, 0, 0, 0, 1]),
        ethertype: EthernetProtocol::Ipv6,
    };
    let advert = Icmpv6Repr::Ndisc(NdiscRepr::NeighborAdvert {
        flags: NdiscNeighborFlags::OVERRIDE,
        target_addr: address,
        lladdr: Some(mac.into()),
    });
    let ip = Ipv6Repr {
        src_addr: address,
        dst_addr: ALL_NODES,
        next_header: IpProtocol::Icmpv6,
        payload_len: advert.buffer_len(),
        hop_limit: 255,
    };
    let length = ethernet.buffer_len() + ip.buffer_len() + advert.buffer_len();
    token.consume(length, |frame| {
        let mut frame = EthernetFrame::new_unchecked(frame);
        ethernet.emit(&mut frame);
        let mut packet = Ipv6Packet::new_unchecked(frame.payload_mut());
        ip.emit(&mut packet);
        let mut icmp = Icmpv6Packet::new_unchecked(packet.payload_mut());
        let checksum = ChecksumCapabilities::default();
        advert.emit(&address, &ALL_NODES, &mut icmp, &checksum);
    });
}

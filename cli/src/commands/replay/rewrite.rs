//! Changes to packets before they are sent: addresses, with their checksums.

use std::str::FromStr;

use etherparse::checksum::Sum16BitWords;
use etherparse::{IpNumber, LaxNetSlice, LaxSlicedPacket};
use memif::LinkType;

use crate::mac::Mac;

/// Of IPv6 extension headers, which may be cut: whether the packet is a later fragment, and whether
/// its destination is the last one. (The iterator of etherparse 0.21 believes their lengths.)
fn extended(first: Option<IpNumber>, mut bytes: &[u8]) -> (bool, bool) {
    let (mut later_fragment, mut last_hop) = (false, true);
    let mut kind = first;
    while let (Some(is), Some(&[next, length, ..])) = (kind, bytes.first_chunk::<8>()) {
        let length = match is {
            IpNumber::IPV6_FRAGMENTATION_HEADER => {
                later_fragment = u16::from_be_bytes([bytes[2], bytes[3]]) >> 3 > 0;
                8
            }
            IpNumber::AUTHENTICATION_HEADER => (usize::from(length) + 2) * 4,
            _ => {
                if is == IpNumber::IPV6_ROUTE_HEADER {
                    last_hop = bytes[3] == 0; // segments left
                }
                (usize::from(length) + 1) * 8
            }
        };
        bytes = bytes.get(length..).unwrap_or_default();
        kind = Some(IpNumber(next));
    }
    (later_fragment, last_hop)
}

/// New hardware addresses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Macs {
    source: Option<Mac>,
    destination: Option<Mac>,
}

impl FromStr for Macs {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut macs = Self::default();
        for part in text.split(',') {
            let (which, address) = part
                .split_once('=')
                .ok_or("hardware addresses are given as src=MAC, dst=MAC, or src=MAC,dst=MAC")?;
            let address = Some(address.parse()?);
            match which {
                "src" => macs.source = address,
                "dst" => macs.destination = address,
                other => return Err(format!("'{other}' is neither src nor dst")),
            }
        }
        Ok(macs)
    }
}

/// What is changed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rewrite {
    pub(super) link_type: LinkType,
    pub(super) macs: Option<Macs>,
    /// Added to IP source addresses and taken from destinations.
    pub(super) step: u32,
}

impl Rewrite {
    pub(super) fn apply(&self, packet: &mut [u8]) {
        if self.link_type == LinkType::ETHERNET
            && let Some(macs) = self.macs
            && let Some((destination, rest)) = packet.split_first_chunk_mut::<6>()
            && let Some((source, _)) = rest.split_first_chunk_mut::<6>()
        {
            *destination = macs.destination.map_or(*destination, |mac| mac.0);
            *source = macs.source.map_or(*source, |mac| mac.0);
        }
        if self.step > 0 {
            step_addresses(packet, self.link_type, self.step);
        }
    }
}

/// Where in a packet things lie.
struct Layout {
    source: usize,
    destination: usize,
    /// Of an address.
    size: usize,
    /// Of IPv4's header itself.
    header_sum: Option<usize>,
    protocol: u8,
    payload: usize,
    /// Whether the payload is one of several pieces, and not the first.
    fragment: bool,
    later_fragment: bool,
    /// Whether the destination is where the packet ends, as checksums have it.
    last_hop: bool,
}

impl Layout {
    fn of(packet: &[u8], link_type: LinkType) -> Option<Self> {
        let sliced = match link_type {
            LinkType::ETHERNET => LaxSlicedPacket::from_ethernet(packet).ok()?,
            _ => LaxSlicedPacket::from_ip(packet).ok()?,
        };
        let at = |part: &[u8]| part.as_ptr() as usize - packet.as_ptr() as usize;
        let net = sliced.net?;
        let payload = net.ip_payload_ref()?;
        let this = Self {
            source: 0,
            destination: 0,
            size: 0,
            header_sum: None,
            protocol: payload.ip_number.0,
            payload: at(payload.payload),
            fragment: payload.fragmented,
            later_fragment: false,
            last_hop: true,
        };
        match &net {
            LaxNetSlice::Ipv4(ip) => {
                let header = at(ip.header().slice());
                Some(Self {
                    source: header + 12,
                    destination: header + 16,
                    size: 4,
                    header_sum: Some(header + 10),
                    later_fragment: ip.header().fragments_offset().value() > 0,
                    ..this
                })
            }
            LaxNetSlice::Ipv6(ip) => {
                let header = at(ip.header().slice());
                let extensions = ip.extensions();
                let first = extensions.first_header();
                let (later_fragment, last_hop) = extended(first, extensions.slice());
                Some(Self {
                    source: header + 8,
                    destination: header + 24,
                    size: 16,
                    later_fragment,
                    last_hop,
                    ..this
                })
            }
            _ => None,
        }
    }

    /// Of TCP, UDP and ICMPv6, whose checksums cover the addresses.
    fn payload_sum(&self, packet: &[u8]) -> Option<usize> {
        let at = self.payload
            + match self.protocol {
                6 => 16,
                17 => 6,
                58 if self.size == 16 => 2,
                _ => return None,
            };
        let sum = packet.get(at..at + 2).filter(|_| !self.later_fragment)?;
        // In UDP zero means that there is none.
        (self.protocol != 17 || sum != [0, 0]).then_some(at)
    }
}

fn step_addresses(packet: &mut [u8], link_type: LinkType, step: u32) {
    let Some(layout) = Layout::of(packet, link_type) else {
        return;
    };
    let payload_sum = layout.payload_sum(packet);
    for (at, step, covered) in [
        (layout.source, step, true),
        (layout.destination, step.wrapping_neg(), layout.last_hop),
    ] {
        // The last four bytes of the address.
        let at = at + layout.size - 4;
        let Some(field) = packet.get_mut(at..).and_then(|p| p.first_chunk_mut::<4>()) else {
            return;
        };
        let old = *field;
        *field = u32::from_be_bytes(old).wrapping_add(step).to_be_bytes();
        let new = *field;
        for at in [layout.header_sum, payload_sum.filter(|_| covered)]
            .into_iter()
            .flatten()
        {
            if let Some(sum) = packet.get_mut(at..).and_then(|p| p.first_chunk_mut::<2>()) {
                let udp = layout.protocol == 17 && Some(at) == payload_sum;
                *sum = updated(*sum, old, new, udp);
            }
        }
    }
}

/// A checksum after four of the bytes under it have changed (RFC 1624).
fn updated(sum: [u8; 2], old: [u8; 4], new: [u8; 4], udp: bool) -> [u8; 2] {
    let mut total = Sum16BitWords::new().add_2bytes(sum.map(|byte| !byte));
    total = total.add_4bytes(old.map(|byte| !byte));
    total = total.add_4bytes(new);
    match udp {
        true => total.to_ones_complement_with_no_zero(),
        false => total.ones_complement(),
    }
    .to_ne_bytes()
}

/// Packets of a flow, in both directions, have the same number: addresses, protocol, ports; else
/// the hardware addresses.
pub(super) fn flow(packet: &[u8], link_type: LinkType) -> u32 {
    let words = |bytes: &[u8]| {
        bytes.chunks(4).fold(0_u32, |sum, word| {
            let mut four = [0; 4];
            four[..word.len()].copy_from_slice(word);
            sum.wrapping_add(u32::from_be_bytes(four))
        })
    };
    let found = Layout::of(packet, link_type).and_then(|layout| {
        let mut sum = words(packet.get(layout.source..layout.source + 2 * layout.size)?);
        // A later fragment has no ports, so that those of the first may not count.
        if matches!(layout.protocol, 6 | 17 | 132)
            && !layout.fragment
            && let Some([a, b, c, d]) = packet.get(layout.payload..).and_then(|p| p.first_chunk())
        {
            let [source, destination] = [[*a, *b], [*c, *d]].map(u16::from_be_bytes);
            sum = sum
                .wrapping_add(u32::from(source) + u32::from(destination))
                .wrapping_add(u32::from(layout.protocol) << 16);
        }
        Some(sum)
    });
    let ethernet = link_type == LinkType::ETHERNET;
    let sum = found.unwrap_or_else(|| match packet.get(..12).filter(|_| ethernet) {
        Some(addresses) => words(&addresses[..6]).wrapping_add(words(&addresses[6..])),
        None => 0,
    });
    // Neighbouring sums are spread.
    sum.wrapping_mul(0x9e37_79b1) >> 16
}

#[cfg(test)]
mod tests {
    use etherparse::{IpFragOffset, IpNumber, PacketBuilder};

    use super::*;

    fn packets() -> Vec<Vec<u8>> {
        let mut out = Vec::new();
        for step in [1_u8, 77] {
            let (from, to) = ([10, 0, 0, 250_u8.wrapping_add(step)], [10, 0, 1, 5]);
            let mut packet = Vec::new();
            let builder = PacketBuilder::ethernet2([2; 6], [4; 6]).ipv4(from, to, 64);
            builder.tcp(5, 6, 7, 8).write(&mut packet, b"abc").unwrap();
            out.push(packet);
            let mut packet = Vec::new();
            let builder = PacketBuilder::ethernet2([2; 6], [4; 6]).ipv4(from, to, 64);
            builder.udp(5, 6).write(&mut packet, b"abc").unwrap();
            out.push(packet);
            let mut packet = Vec::new();
            let builder = PacketBuilder::ethernet2([2; 6], [4; 6]).ipv6([step; 16], [9; 16], 64);
            builder.udp(5, 6).write(&mut packet, b"abcd").unwrap();
            out.push(packet);
        }
        out
    }

    /// Over the whole packet with the right pseudo header, by etherparse.
    fn sums_are_right(packet: &[u8]) -> bool {
        let headers = etherparse::PacketHeaders::from_ethernet_slice(packet).unwrap();
        let (ip, transport) = (headers.net.unwrap(), headers.transport.unwrap());
        let payload = headers.payload.slice();
        if let etherparse::NetHeaders::Ipv4(header, _) = &ip
            && header.header_checksum != header.calc_header_checksum()
        {
            return false;
        }
        match (&ip, &transport) {
            (etherparse::NetHeaders::Ipv4(ip, _), etherparse::TransportHeader::Tcp(tcp)) => {
                tcp.calc_checksum_ipv4(ip, payload).unwrap() == tcp.checksum
            }
            (etherparse::NetHeaders::Ipv4(ip, _), etherparse::TransportHeader::Udp(udp)) => {
                udp.calc_checksum_ipv4(ip, payload).unwrap() == udp.checksum
            }
            (etherparse::NetHeaders::Ipv6(ip, _), etherparse::TransportHeader::Udp(udp)) => {
                udp.calc_checksum_ipv6(ip, payload).unwrap() == udp.checksum
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn addresses_step_and_checksums_follow() {
        for packet in packets() {
            assert!(sums_are_right(&packet));
            for step in [1, 10, 255, 70_000, u32::MAX] {
                let rewrite = Rewrite {
                    link_type: LinkType::ETHERNET,
                    macs: None,
                    step,
                };
                let mut changed = packet.clone();
                rewrite.apply(&mut changed);
                assert_ne!(changed, packet);
                assert!(sums_are_right(&changed), "{step} {changed:02x?}");
                // Back again, through the same arithmetic.
                let back = Rewrite {
                    step: step.wrapping_neg(),
                    ..rewrite
                };
                back.apply(&mut changed);
                assert_eq!(changed, packet);
            }
        }
    }

    /// Headers of all kinds that claim any length, cut anywhere; also behind IPv4's type.
    #[test]
    fn lengths_of_extension_headers_are_not_believed() {
        let rewrite = Rewrite {
            link_type: LinkType::ETHERNET,
            macs: None,
            step: 1,
        };
        for kind in [0_u8, 43, 44, 51, 60, 135, 139, 140] {
            for claimed in [0, 1, 7, 255] {
                for (length, ipv4) in (14..140).flat_map(|n| [(n, true), (n, false)]) {
                    let mut packet = vec![claimed; length];
                    packet[12..14].copy_from_slice(if ipv4 { &[8, 0] } else { &[0x86, 0xdd] });
                    for (at, byte) in [(14, 0x60), (18, 0), (19, claimed), (20, kind), (54, kind)] {
                        packet.get_mut(at).into_iter().for_each(|b| *b = byte);
                    }
                    rewrite.apply(&mut packet);
                    Layout::of(&packet, LinkType::ETHERNET);
                    assert_eq!(packet.len(), length);
                }
            }
        }
    }

    #[test]
    fn hardware_addresses_are_replaced() {
        let macs: Macs = "src=2:0:0:0:0:a,dst=ff:ff:ff:ff:ff:ff".parse().unwrap();
        let rewrite = Rewrite {
            link_type: LinkType::ETHERNET,
            macs: Some(macs),
            step: 0,
        };
        let mut packet = vec![7; 20];
        rewrite.apply(&mut packet);
        assert_eq!(packet[..6], [0xff; 6]);
        assert_eq!(packet[6..14], [2, 0, 0, 0, 0, 10, 7, 7]);
        rewrite.apply(&mut [1, 2, 3]);
        for text in ["", "src", "src=1:2", "to=2:0:0:0:0:a", "src=2:0:0:0:0:100"] {
            assert!(text.parse::<Macs>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_flow_is_one_in_both_directions() {
        for packet in packets() {
            let mut other_way = packet.clone();
            let start = 14;
            let (ip, size, at) = if packet[14] >> 4 == 4 {
                (12, 4, 34)
            } else {
                (8, 16, 54)
            };
            for i in 0..size {
                other_way.swap(start + ip + i, start + ip + size + i);
            }
            for i in 0..2 {
                other_way.swap(at + i, at + 2 + i);
            }
            let link = LinkType::ETHERNET;
            assert_eq!(flow(&packet, link), flow(&other_way, link));
            assert_eq!(flow(&packet[..16], link), flow(&packet[..14], link));
        }
        assert_eq!(flow(&[], LinkType::RAW), 0);
    }

    fn stepped(packet: &[u8], link_type: LinkType) -> Vec<u8> {
        let mut packet = packet.to_vec();
        Rewrite {
            link_type,
            macs: None,
            step: 1,
        }
        .apply(&mut packet);
        packet
    }

    /// In UDP that would mean that there is none.
    #[test]
    fn a_sum_of_udp_is_never_written_as_zero() {
        for filler in 0..=u16::MAX {
            let [a, b] = filler.to_be_bytes();
            let mut packet = Vec::new();
            let builder = PacketBuilder::ipv4([10, 0, 0, 1], [10, 0, 255, 255], 64);
            builder.udp(5, 6).write(&mut packet, &[a, b]).unwrap();
            let changed = stepped(&packet, LinkType::RAW);
            assert_ne!(changed[26..28], [0, 0], "{filler:04x}");
        }
    }

    #[test]
    fn a_datagram_without_a_sum_keeps_it_so() {
        let mut packet = Vec::new();
        let builder = PacketBuilder::ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64);
        builder.udp(5, 6).write(&mut packet, b"abc").unwrap();
        packet[26..28].fill(0);
        assert_eq!(stepped(&packet, LinkType::RAW)[26..28], [0, 0]);
    }

    /// A header of IPv6 with these extensions, and UDP with its right sum, for this destination.
    fn extended(extensions: &[u8], next: u8, last: [u8; 16]) -> Vec<u8> {
        let mut udp = vec![0, 5, 0, 6, 0, 12, 0, 0, 1, 2, 3, 4];
        let source = [1; 16];
        let header = etherparse::UdpHeader::from_slice(&udp).unwrap().0;
        let sum = header
            .calc_checksum_ipv6_raw(source, last, &udp[8..])
            .unwrap();
        udp[6..8].copy_from_slice(&sum.to_be_bytes());
        let mut packet = vec![
            0x60,
            0,
            0,
            0,
            0,
            (extensions.len() + udp.len()) as u8,
            next,
            64,
        ];
        packet.extend(source);
        packet.extend([9; 16]);
        packet.extend(extensions);
        packet.extend(udp);
        packet
    }

    #[test]
    fn checksums_behind_extensions_of_ipv6_follow() {
        let options = [17, 0, 1, 4, 0, 0, 0, 0];
        let first = [17, 0, 0, 1, 0, 0, 0, 7];
        let mut route = vec![17, 2, 0, 1, 0, 0, 0, 0];
        let last = [7; 16];
        route.extend(last);
        for (extensions, next, last) in [
            (&options[..], 0, [9; 16]),
            (&options, 60, [9; 16]),
            (&first, 44, [9; 16]),
            (&route, 43, last),
        ] {
            let packet = extended(extensions, next, last);
            let changed = stepped(&packet, LinkType::RAW);
            let part =
                |range: std::ops::Range<usize>| -> [u8; 16] { changed[range].try_into().unwrap() };
            // With a route the last address does not change, and it counts.
            let last = if next == 43 { last } else { part(24..40) };
            let udp = &changed[40 + extensions.len()..];
            let header = etherparse::UdpHeader::from_slice(udp).unwrap().0;
            let sum = header
                .calc_checksum_ipv6_raw(part(8..24), last, &udp[8..])
                .unwrap();
            assert_eq!(udp[6..8], sum.to_be_bytes(), "{next}");
            assert_ne!(changed[8..40], packet[8..40]);
        }
        // A later fragment has no sum, only bytes that look so.
        let mut later = extended(&first, 44, [9; 16]);
        later[42..44].copy_from_slice(&[0, 9]);
        assert_eq!(stepped(&later, LinkType::RAW)[40..], later[40..]);
    }

    #[test]
    fn fragments_are_of_one_flow() {
        let piece = |offset: u16, more: bool, data: &[u8]| {
            let mut ip = etherparse::Ipv4Header::new(
                data.len() as u16,
                64,
                IpNumber::UDP,
                [10, 0, 0, 1],
                [10, 0, 0, 2],
            )
            .unwrap();
            ip.fragment_offset = IpFragOffset::try_new(offset).unwrap();
            ip.more_fragments = more;
            let mut packet = Vec::new();
            ip.write(&mut packet).unwrap();
            packet.extend(data);
            packet
        };
        let first = flow(&piece(0, true, &[0, 5, 0, 6, 0, 20, 0, 0]), LinkType::RAW);
        let later = flow(&piece(1, false, &[1, 2, 3, 4, 5, 6, 7, 8]), LinkType::RAW);
        assert_eq!(first, later);
        let first = [17, 0, 0, 1, 0, 0, 0, 7];
        let later = [17, 0, 0, 9, 0, 0, 0, 7];
        let [first, later] = [first, later].map(|piece| {
            let mut packet = extended(&piece, 44, [9; 16]);
            packet[49] ^= piece[3];
            flow(&packet, LinkType::RAW)
        });
        assert_eq!(first, later);
    }
}

//! Changes to packets before they are sent: addresses, with their checksums.

use std::str::FromStr;

use memif::LinkType;

/// New hardware addresses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Macs {
    source: Option<[u8; 6]>,
    destination: Option<[u8; 6]>,
}

impl FromStr for Macs {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut macs = Self::default();
        for part in text.split(',') {
            let (which, address) = part
                .split_once('=')
                .ok_or("hardware addresses are src=MAC, dst=MAC, or both with a comma between")?;
            let address = Some(mac(address)?);
            match which {
                "src" => macs.source = address,
                "dst" => macs.destination = address,
                other => return Err(format!("'{other}' is neither src nor dst")),
            }
        }
        Ok(macs)
    }
}

fn mac(text: &str) -> Result<[u8; 6], String> {
    let wrong = || format!("'{text}' is no hardware address as 02:00:00:00:00:01");
    let bytes: Result<Vec<u8>, _> = text
        .split(':')
        .map(|byte| match byte.len() {
            1 | 2 => u8::from_str_radix(byte, 16).map_err(|_| wrong()),
            _ => Err(wrong()),
        })
        .collect();
    bytes?.try_into().map_err(|_| wrong())
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
        let ethernet = u32::from(self.link_type) == 1;
        if ethernet
            && let Some(macs) = self.macs
            && let Some((destination, rest)) = packet.split_first_chunk_mut::<6>()
            && let Some((source, _)) = rest.split_first_chunk_mut::<6>()
        {
            *destination = macs.destination.unwrap_or(*destination);
            *source = macs.source.unwrap_or(*source);
        }
        if self.step > 0
            && let Some(start) = ip_start(packet, ethernet)
            && let Some(packet) = packet.get_mut(start..)
        {
            step_addresses(packet, self.step);
        }
    }
}

/// Where the IP header is, behind VLAN tags.
pub(super) fn ip_start(packet: &[u8], ethernet: bool) -> Option<usize> {
    if !ethernet {
        return Some(0);
    }
    let mut at = 12;
    loop {
        match packet.get(at..)?.first_chunk()? {
            [0x08, 0x00] | [0x86, 0xdd] => return Some(at + 2),
            [0x81, 0x00] | [0x88, 0xa8] | [0x91, 0x00] => at += 4,
            _ => return None,
        }
    }
}

/// Where in an IP packet things lie.
struct Layout {
    /// The last four bytes of the addresses.
    source: usize,
    destination: usize,
    /// Of the IP header itself.
    header_sum: Option<usize>,
    /// Where the payload begins, and its protocol, if this is where a payload begins.
    payload: Option<(usize, u8)>,
}

impl Layout {
    fn of(packet: &[u8]) -> Option<Self> {
        match packet.first()? >> 4 {
            4 => {
                let header = packet.get(..20)?;
                let later_fragment = u16::from_be_bytes([header[6], header[7]]) & 0x1fff != 0;
                let length = usize::from(header[0] & 15) * 4;
                Some(Self {
                    source: 12,
                    destination: 16,
                    header_sum: Some(10),
                    payload: (!later_fragment).then_some((length, header[9])),
                })
            }
            6 => {
                let header = packet.get(..40)?;
                Some(Self {
                    source: 20,
                    destination: 36,
                    header_sum: None,
                    payload: Some((40, header[6])),
                })
            }
            _ => None,
        }
    }

    /// Of TCP, UDP and ICMPv6, whose checksums cover the addresses.
    fn payload_sum(&self, packet: &[u8]) -> Option<usize> {
        let (start, protocol) = self.payload?;
        let at = start
            + match protocol {
                6 => 16,
                17 => 6,
                58 => 2,
                _ => return None,
            };
        let sum = packet.get(at..at + 2)?;
        // In UDP zero says that there is none.
        (protocol != 17 || sum != [0, 0]).then_some(at)
    }
}

fn step_addresses(packet: &mut [u8], step: u32) {
    let Some(layout) = Layout::of(packet) else {
        return;
    };
    let sums = [layout.header_sum, layout.payload_sum(packet)];
    for (at, up) in [(layout.source, true), (layout.destination, false)] {
        let Some(field) = packet.get_mut(at..).and_then(|p| p.first_chunk_mut::<4>()) else {
            return;
        };
        let old = *field;
        let number = u32::from_be_bytes(old);
        *field = match up {
            true => number.wrapping_add(step),
            false => number.wrapping_sub(step),
        }
        .to_be_bytes();
        let new = *field;
        for at in sums.into_iter().flatten() {
            if let Some(sum) = packet.get_mut(at..).and_then(|p| p.first_chunk_mut::<2>()) {
                *sum = updated(*sum, old, new);
            }
        }
    }
}

/// A checksum after four of the bytes under it have changed (RFC 1624).
fn updated(sum: [u8; 2], old: [u8; 4], new: [u8; 4]) -> [u8; 2] {
    let half =
        |bytes: [u8; 4], at: usize| u32::from(u16::from_be_bytes([bytes[at], bytes[at + 1]]));
    let mut total = u32::from(!u16::from_be_bytes(sum));
    for at in [0, 2] {
        total += (!half(old, at) & 0xffff) + half(new, at);
    }
    while total > 0xffff {
        total = (total & 0xffff) + (total >> 16);
    }
    (!(total as u16)).to_be_bytes()
}

/// Packets of a flow, in both directions, have the same number: addresses, protocol, ports; else the hardware addresses.
pub(super) fn flow(packet: &[u8], link_type: LinkType) -> u32 {
    let ethernet = u32::from(link_type) == 1;
    let words = |bytes: &[u8]| {
        bytes.chunks(4).fold(0_u32, |sum, word| {
            let mut four = [0; 4];
            four[..word.len()].copy_from_slice(word);
            sum.wrapping_add(u32::from_be_bytes(four))
        })
    };
    let found = ip_start(packet, ethernet).and_then(|start| {
        let packet = packet.get(start..)?;
        let layout = Layout::of(packet)?;
        let size = if layout.header_sum.is_some() { 4 } else { 16 };
        let mut sum = words(packet.get(layout.destination + 4 - 2 * size..layout.destination + 4)?);
        // A fragment has no ports, so that none of a fragmented packet may count.
        let fragmented = size == 4 && packet[6..8] != [0, 0] && packet[6] & 0x3f != 0;
        if let Some((at, protocol @ (6 | 17 | 132))) = layout.payload
            && !fragmented
            && let Some([a, b, c, d]) = packet.get(at..).and_then(|p| p.first_chunk())
        {
            let ports =
                u32::from(u16::from_be_bytes([*a, *b])) + u32::from(u16::from_be_bytes([*c, *d]));
            sum = sum
                .wrapping_add(ports)
                .wrapping_add(u32::from(protocol) << 16);
        }
        Some(sum)
    });
    let sum = found.unwrap_or_else(|| match packet.get(..12).filter(|_| ethernet) {
        Some(addresses) => words(&addresses[..6]).wrapping_add(words(&addresses[6..])),
        None => 0,
    });
    // Neighbouring sums are spread.
    sum.wrapping_mul(0x9e37_79b1) >> 16
}

#[cfg(test)]
mod tests {
    use etherparse::PacketBuilder;

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
}

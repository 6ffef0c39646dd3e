//! What a received frame belongs to, by its headers.

use smoltcp::phy::Medium;
use smoltcp::wire::{
    EthernetFrame, EthernetProtocol, Icmpv4Message, Icmpv4Packet, Icmpv6Message, Icmpv6Packet,
    IpAddress, IpEndpoint, IpProtocol, Ipv4Packet, Ipv6ExtHeader, Ipv6Packet, TcpPacket, UdpPacket,
};

/// Whom a frame is for. It only chooses who looks at the frame: the stack checks all of it again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flow {
    Tcp {
        local: IpEndpoint,
        remote: IpEndpoint,
        /// It asks for a connection.
        opens: bool,
    },
    Udp {
        local: IpEndpoint,
    },
    /// An answer to a ping.
    Echo {
        ident: u16,
    },
    /// Another host asks whether it may have this address.
    Probe {
        address: IpAddress,
    },
    /// ARP, neighbour discovery, pings of others, fragments, what can't be answered, and what is no
    /// packet at all.
    Other,
}

impl Flow {
    pub(super) fn of(frame: &[u8], medium: Medium) -> Self {
        Self::parse(frame, medium).unwrap_or(Self::Other)
    }

    fn parse(frame: &[u8], medium: Medium) -> Option<Self> {
        let packet = match medium {
            Medium::Ip => frame,
            _ => {
                let frame = EthernetFrame::new_checked(frame).ok()?;
                match frame.ethertype() {
                    EthernetProtocol::Ipv4 | EthernetProtocol::Ipv6 => frame.payload(),
                    _ => return None,
                }
            }
        };
        match packet.first()? >> 4 {
            4 => {
                let ip = Ipv4Packet::new_checked(packet).ok()?;
                if ip.more_frags() || ip.frag_offset() > 0 {
                    return None;
                }
                let (from, to) = (ip.src_addr().into(), ip.dst_addr().into());
                Self::of_payload(ip.next_header(), from, to, ip.payload())
            }
            6 => {
                let ip = Ipv6Packet::new_checked(packet).ok()?;
                let (from, to) = (ip.src_addr().into(), ip.dst_addr().into());
                let (mut protocol, mut payload) = (ip.next_header(), ip.payload());
                // The stack looks beyond this header, and beyond no other.
                if protocol == IpProtocol::HopByHop {
                    let header = Ipv6ExtHeader::new_checked(payload).ok()?;
                    protocol = header.next_header();
                    payload = payload.get(8 * (usize::from(header.header_len()) + 1)..)?;
                }
                Self::of_payload(protocol, from, to, payload)
            }
            _ => None,
        }
    }

    fn of_payload(
        protocol: IpProtocol,
        from: IpAddress,
        to: IpAddress,
        payload: &[u8],
    ) -> Option<Self> {
        Some(match protocol {
            IpProtocol::Tcp => {
                let tcp = TcpPacket::new_checked(payload).ok()?;
                Self::Tcp {
                    local: IpEndpoint::new(to, tcp.dst_port()),
                    remote: IpEndpoint::new(from, tcp.src_port()),
                    opens: tcp.syn() && !tcp.ack() && !tcp.rst() && !tcp.fin(),
                }
            }
            IpProtocol::Udp => {
                let udp = UdpPacket::new_checked(payload).ok()?;
                // Nobody can answer it.
                if !from.is_unicast() || udp.src_port() == 0 {
                    return None;
                }
                Self::Udp {
                    local: IpEndpoint::new(to, udp.dst_port()),
                }
            }
            IpProtocol::Icmp => {
                let icmp = Icmpv4Packet::new_checked(payload).ok()?;
                match icmp.msg_type() {
                    Icmpv4Message::EchoReply => Self::Echo {
                        ident: icmp.echo_ident(),
                    },
                    _ => return None,
                }
            }
            IpProtocol::Icmpv6 => {
                let icmp = Icmpv6Packet::new_checked(payload).ok()?;
                match icmp.msg_type() {
                    Icmpv6Message::EchoReply => Self::Echo {
                        ident: icmp.echo_ident(),
                    },
                    Icmpv6Message::NeighborSolicit if from.is_unspecified() => Self::Probe {
                        address: icmp.target_addr().into(),
                    },
                    _ => return None,
                }
            }
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An IPv4 packet with a TCP header: from 10.0.0.2:9 to 10.0.0.1:80, with these flags.
    fn tcp(flags: u8) -> Vec<u8> {
        let mut packet = vec![
            0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6, 0, 0, 10, 0, 0, 2, 10, 0, 0, 1,
        ];
        packet.extend([0, 9, 0, 80, 0, 0, 0, 0, 0, 0, 0, 0, 0x50, flags]);
        packet.extend([0; 6]);
        packet
    }

    #[test]
    fn a_syn_opens_and_nothing_else_does() {
        for (flags, wanted) in [(0x02, true), (0x12, false), (0x06, false), (0x03, false)] {
            let Flow::Tcp {
                local,
                remote,
                opens,
            } = Flow::of(&tcp(flags), Medium::Ip)
            else {
                panic!("no TCP");
            };
            assert_eq!((local.port, remote.port, opens), (80, 9, wanted));
        }
    }

    #[test]
    fn a_segment_is_found_behind_hop_by_hop_options() {
        let (mut packet, segment) = (vec![0x60, 0, 0, 0, 0, 28, 0, 64], &tcp(2)[20..]);
        packet.extend([0xfd; 32]);
        packet.extend([6, 0, 1, 4, 0, 0, 0, 0]);
        packet.extend(segment);
        let flow = Flow::of(&packet, Medium::Ip);
        assert!(matches!(flow, Flow::Tcp { opens: true, .. }), "{flow:?}");
    }

    #[test]
    fn what_is_cut_or_in_fragments_is_other() {
        let whole = tcp(2);
        for length in 0..whole.len() {
            assert_eq!(Flow::of(&whole[..length], Medium::Ip), Flow::Other);
            Flow::of(&whole[..length], Medium::Ethernet);
        }
        for (at, byte) in [(6, 0x20), (7, 1), (0, 0x44), (0, 0x75), (9, 99)] {
            let mut other = whole.clone();
            other[at] = byte;
            assert_eq!(Flow::of(&other, Medium::Ip), Flow::Other, "{at}");
        }
    }
}

//! A packet as a JSON object on a line.

use std::io::{self, Write};
use std::net::IpAddr;

use etherparse::{LaxLinkExtSlice, LaxNetSlice, LaxSlicedPacket, LinkSlice, TransportSlice};
use memif::{LinkType, Packet};
use serde::Serialize;

use super::printer::Printer;
use crate::link_type::Header;
use crate::mac::Mac;

/// What is told of a packet; what it does not have is left out.
#[derive(Debug, Default, Serialize)]
struct Object<'a> {
    /// Seconds since 1970, as text so that no digit is lost.
    time: String,
    length: usize,
    captured: usize,
    interface: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    ethernet: Option<Ethernet>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    vlan: Vec<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ip: Option<Ip>,
    #[serde(skip_serializing_if = "Option::is_none")]
    transport: Option<Transport>,
    /// The line that is printed without --json, with -S.
    summary: &'a str,
}

#[derive(Debug, Serialize)]
struct Ethernet {
    source: String,
    destination: String,
    r#type: u16,
}

#[derive(Debug, Serialize)]
struct Ip {
    version: u8,
    source: IpAddr,
    destination: IpAddr,
    protocol: u8,
    ttl: u8,
    fragment: bool,
}

#[derive(Debug, Default, Serialize)]
struct Transport {
    name: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    source_port: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    destination_port: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sequence: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    acknowledgment: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    flags: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    r#type: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<u8>,
}

/// `printer` prints no time.
pub(super) fn write(
    out: &mut impl Write,
    printer: &mut Printer,
    link_type: LinkType,
    packet: &Packet<'_>,
) -> io::Result<()> {
    let info = packet.info();
    let mut object = Object {
        time: info.timestamp.to_string(),
        length: info.length,
        captured: info.capture_length,
        interface: info.interface_index,
        summary: printer.line(packet),
        ..Object::default()
    };
    let header = Header::of(link_type);
    let sliced = match header {
        Header::Ethernet => LaxSlicedPacket::from_ethernet(packet.data()).ok(),
        Header::Other => None,
        _ => LaxSlicedPacket::from_ip(header.stripped(*packet).data()).ok(),
    };
    if let Some(sliced) = sliced {
        object.fill(&sliced);
    }
    serde_json::to_writer(&mut *out, &object)?;
    out.write_all(b"\n")
}

impl Object<'_> {
    fn fill(&mut self, packet: &LaxSlicedPacket<'_>) {
        if let Some(LinkSlice::Ethernet2(header)) = &packet.link {
            self.ethernet = Some(Ethernet {
                source: Mac(header.source()).to_string(),
                destination: Mac(header.destination()).to_string(),
                r#type: header.ether_type().0,
            });
        }
        for extension in &packet.link_exts {
            if let LaxLinkExtSlice::Vlan(tag) = extension {
                self.vlan.push(tag.vlan_identifier().value());
            }
        }
        self.ip = match &packet.net {
            Some(LaxNetSlice::Ipv4(ip)) => Some(Ip {
                version: 4,
                source: ip.header().source_addr().into(),
                destination: ip.header().destination_addr().into(),
                protocol: ip.header().protocol().0,
                ttl: ip.header().ttl(),
                fragment: ip.header().is_fragmenting_payload(),
            }),
            Some(LaxNetSlice::Ipv6(ip)) => Some(Ip {
                version: 6,
                source: ip.header().source_addr().into(),
                destination: ip.header().destination_addr().into(),
                protocol: ip.payload().ip_number.0,
                ttl: ip.header().hop_limit(),
                fragment: ip.is_payload_fragmented(),
            }),
            _ => None,
        };
        self.transport = packet.transport.as_ref().map(transport);
    }
}

fn transport(slice: &TransportSlice<'_>) -> Transport {
    match slice {
        TransportSlice::Igmp(_) => Transport {
            name: "igmp",
            ..Transport::default()
        },
        TransportSlice::Tcp(tcp) => {
            let flags = [
                (tcp.fin(), 'F'),
                (tcp.syn(), 'S'),
                (tcp.rst(), 'R'),
                (tcp.psh(), 'P'),
                (tcp.ack(), '.'),
                (tcp.urg(), 'U'),
                (tcp.ece(), 'E'),
                (tcp.cwr(), 'W'),
            ];
            Transport {
                name: "tcp",
                source_port: Some(tcp.source_port()),
                destination_port: Some(tcp.destination_port()),
                sequence: Some(tcp.sequence_number()),
                acknowledgment: tcp.ack().then(|| tcp.acknowledgment_number()),
                flags: Some(flags.iter().filter(|f| f.0).map(|f| f.1).collect()),
                ..Transport::default()
            }
        }
        TransportSlice::Udp(udp) => Transport {
            name: "udp",
            source_port: Some(udp.source_port()),
            destination_port: Some(udp.destination_port()),
            ..Transport::default()
        },
        TransportSlice::Icmpv4(icmp) => Transport {
            name: "icmp",
            r#type: Some(icmp.type_u8()),
            code: Some(icmp.code_u8()),
            ..Transport::default()
        },
        TransportSlice::Icmpv6(icmp) => Transport {
            name: "icmp6",
            r#type: Some(icmp.type_u8()),
            code: Some(icmp.code_u8()),
            ..Transport::default()
        },
    }
}

//! Ethernet, VLAN tags, ARP.

use std::fmt::{self, Write};
use std::net::Ipv4Addr;

use etherparse::{
    ArpPacketSlice, EtherType, Ethernet2HeaderSlice, SingleVlanHeaderSlice, ether_type,
};
use memif::LinkType;

use super::text::{Kind, Part, Text};
use super::{ip, tunnel};
use crate::link_type::Header;
use crate::mac::Mac;

pub(super) fn write(out: &mut Text, link_type: LinkType, part: Part<'_>) -> fmt::Result {
    match Header::of(link_type) {
        Header::Ethernet => ethernet(out, part, 0),
        Header::Ip => ip::write(out, part, 0),
        Header::Cooked { length, ether_type } => cooked(out, part, length, ether_type),
        Header::Other => write!(out, "{link_type}, length {}", part.length),
    }
}

fn cooked(out: &mut Text, part: Part<'_>, header: usize, at: usize) -> fmt::Result {
    let payload = part.after(header);
    out.link_header = part.data.len() - payload.data.len();
    let Some(kind) = part.u16(at) else {
        return out.write_str("[|sll]");
    };
    if out.style.link_level {
        type_name(out, kind)?;
        write!(out, ", length {}: ", part.length)?;
    }
    if network(out, kind, payload, 0)? {
        return Ok(());
    }
    out.unknown = Some(payload.data.len());
    if out.style.link_level {
        return Ok(());
    }
    type_name(out, kind)?;
    write!(out, ", length {}", part.length)
}

pub(super) fn ethernet(out: &mut Text, frame: Part<'_>, depth: u8) -> fmt::Result {
    let Ok(header) = Ethernet2HeaderSlice::from_slice(frame.data) else {
        return out.write_str("[|ether]");
    };
    let mut kind = header.ether_type().0;
    let mut part = frame.after(header.slice().len());
    let level = out.style.link_level;
    if level {
        head(out, &header, kind)?;
        write!(out, ", length {}: ", said_length(kind, frame))?;
    }
    while matches!(kind, 0x8100 | 0x88a8 | 0x9100 | 0x9200) {
        let Ok(tag) = SingleVlanHeaderSlice::from_slice(part.data) else {
            return out.write_str("[|vlan]");
        };
        let (id, priority) = (
            tag.vlan_identifier().value(),
            tag.priority_code_point().value(),
        );
        write!(out, "vlan {id}, p {priority}, ")?;
        if tag.drop_eligible_indicator() {
            out.write_str("DEI, ")?;
        }
        kind = tag.ether_type().0;
        part = part.after(tag.slice().len());
        if level {
            type_name(out, kind)?;
            out.write_str(", ")?;
        }
    }
    if depth == 0 {
        out.link_header = frame.data.len() - part.data.len();
    }
    if network(out, kind, part, depth)? {
        return Ok(());
    }
    out.unknown = Some(part.data.len());
    if level {
        return Ok(());
    }
    head(out, &header, kind)?;
    write!(out, ", length {}", said_length(kind, frame))
}

/// With 802.3 the header's own.
fn said_length(kind: u16, frame: Part<'_>) -> usize {
    match kind < 0x600 {
        true => kind.into(),
        false => frame.length,
    }
}

/// Who speaks to whom, and what.
fn head(out: &mut Text, header: &Ethernet2HeaderSlice<'_>, kind: u16) -> fmt::Result {
    let (source, destination) = (Mac(header.source()), Mac(header.destination()));
    write!(out, "{source} > {destination}, ")?;
    if kind < 0x600 {
        return out.write_str("802.3");
    }
    type_name(out, kind)
}

fn type_name(out: &mut Text, kind: u16) -> fmt::Result {
    match out.style.quiet {
        true => out.write_str(name(kind)),
        false => write!(out, "ethertype {} (0x{kind:04x})", name(kind)),
    }
}

/// By the EtherType; false where it has no words.
pub(super) fn network(
    out: &mut Text,
    kind: u16,
    part: Part<'_>,
    depth: u8,
) -> Result<bool, fmt::Error> {
    match EtherType(kind) {
        ether_type::IPV4 => {
            ip::prefix(out, "IP ")?;
            ip::v4(out, part, depth)?;
        }
        ether_type::IPV6 => {
            ip::prefix(out, "IP6 ")?;
            ip::v6(out, part, depth)?;
        }
        // RARP has the format of ARP, and operations of its own.
        ether_type::ARP | EtherType(0x8035) => arp(out, part)?,
        EtherType(0x8847 | 0x8848) => tunnel::mpls(out, part, depth)?,
        EtherType(kind) => return named(out, kind, part),
    }
    Ok(true)
}

/// Protocols that have a name here, and no more; `-w - | tshark -r -` shows what is in them.
fn named(out: &mut Text, kind: u16, part: Part<'_>) -> Result<bool, fmt::Error> {
    let length = part.length;
    match kind {
        // LLC with both addresses those of the spanning tree.
        0..0x600 if part.array(0) == Some([0x42, 0x42, 0x03]) => {
            let version = match part.u8(5) {
                Some(0) => "802.1d",
                Some(2) => "802.1w",
                Some(3) => "802.1s",
                _ => "",
            };
            write!(out, "STP {version}, length {kind}")?;
        }
        0x8809 if part.u8(0) == Some(1) => {
            write!(out, "LACPv{}, length {length}", part.u8(1).unwrap_or(0))?;
        }
        0x8863 | 0x8864 => {
            let code = match part.u8(1) {
                Some(0x09) => "PADI",
                Some(0x07) => "PADO",
                Some(0x19) => "PADR",
                Some(0x65) => "PADS",
                Some(0xa7) => "PADT",
                _ => "session",
            };
            let session = part.u16(2).unwrap_or(0);
            write!(out, "PPPoE {code} [ses 0x{session:x}], length {length}")?;
        }
        0x888e => {
            let [version, kind] = part.array(0).unwrap_or_default();
            let name = match kind {
                0 => "EAP packet",
                1 => "EAPOL start",
                2 => "EAPOL logoff",
                3 => "EAPOL key",
                _ => "EAPOL",
            };
            let length = part.u16(2).unwrap_or(0);
            write!(out, "{name} ({kind}) v{version}, len {length}")?;
        }
        0x88cc => write!(out, "LLDP, length {length}")?,
        _ => return Ok(false),
    }
    Ok(true)
}

pub(super) fn name(ether_type: u16) -> &'static str {
    match ether_type {
        0x0800 => "IPv4",
        0x0806 => "ARP",
        0x6558 => "TEB",
        0x8035 => "Reverse ARP",
        0x8100 => "802.1Q",
        0x86dd => "IPv6",
        0x8808 => "Pause",
        0x8809 => "Slow Protocols",
        0x8847 => "MPLS unicast",
        0x8848 => "MPLS multicast",
        0x8863 => "PPPoE D",
        0x8864 => "PPPoE S",
        0x888e => "EAPOL",
        0x88a8 => "802.1Q-QinQ",
        0x88cc => "LLDP",
        0x88e5 => "MACsec",
        0x88f7 => "PTP",
        0x9000 => "Loopback",
        _ => "Unknown",
    }
}

fn arp(out: &mut Text, part: Part<'_>) -> fmt::Result {
    out.kind = Kind::Arp;
    ip::prefix(out, "ARP, ")?;
    let Ok(arp) = ArpPacketSlice::from_slice(part.data) else {
        return out.write_str("[|arp]");
    };
    let (hardware, protocol) = (arp.hw_addr_type().0, arp.proto_addr_type().0);
    let addresses = (
        arp.sender_hw_addr().try_into().map(Mac),
        arp.target_hw_addr().try_into().map(Mac),
        <[u8; 4]>::try_from(arp.sender_protocol_addr()).map(Ipv4Addr::from),
        <[u8; 4]>::try_from(arp.target_protocol_addr()).map(Ipv4Addr::from),
    );
    let (Ok(sender), Ok(target), Ok(sender_ip), Ok(target_ip), 0x0800) =
        (addresses.0, addresses.1, addresses.2, addresses.3, protocol)
    else {
        write!(out, "Hardware {hardware} (len {}), ", arp.hw_addr_size())?;
        write!(
            out,
            "Protocol 0x{protocol:04x} (len {})",
            arp.proto_addr_size()
        )?;
        return write!(out, ", length {}", part.length);
    };
    match arp.operation().0 {
        1 => {
            write!(out, "Request who-has {target_ip}")?;
            if target.0 != [0; 6] {
                write!(out, " ({target})")?;
            }
            write!(out, " tell {sender_ip}")?;
        }
        2 => write!(out, "Reply {sender_ip} is-at {sender}")?,
        3 => write!(out, "Reverse Request who-is {target} tell {sender}")?,
        4 => write!(out, "Reverse Reply {target} at {target_ip}")?,
        8 => write!(out, "Inverse Request who-is {target} tell {sender}")?,
        9 => write!(out, "Inverse Reply {sender} at {sender_ip}")?,
        other => write!(out, "Unknown ({other})")?,
    }
    write!(out, ", length {}", part.length)
}

//! ARP and ping for one address: what the two responders share.
#![allow(dead_code, unreachable_pub)] // No example needs all of it.

use std::net::Ipv4Addr;

use etherparse::{
    ArpEthIpv4Packet, ArpOperation, Icmpv4Type, NetSlice, PacketBuilder, SlicedPacket,
    TransportSlice,
};

use crate::args;

/// The host that answers.
#[derive(Clone, Copy)]
pub struct Host {
    pub mac: [u8; 6],
    pub ip: [u8; 4],
}

impl Host {
    /// The host 192.168.1.1, or the one with the address after `--ip`.
    pub fn from_option() -> Self {
        let ip: Result<Ipv4Addr, _> = args::option("--ip", "192.168.1.1").parse();
        let ip = ip.unwrap_or_else(|e| args::fail(&format!("--ip: {e}")));
        Self {
            mac: [2, 0, 0, 0, 0, 1],
            ip: ip.octets(),
        }
    }
}

/// The answer to an ARP request for the host, or to a ping to it; otherwise `None`.
pub fn answer(host: Host, packet: &[u8]) -> Option<Vec<u8>> {
    let packet = SlicedPacket::from_ethernet(packet).ok()?;
    let asker = packet.link.as_ref()?.to_header()?.ethernet2()?.source;
    let mut out = Vec::new();
    match packet.net.as_ref()? {
        NetSlice::Arp(arp) => {
            let arp: ArpEthIpv4Packet = arp.to_packet().try_eth_ipv4().ok()?;
            if arp.operation != ArpOperation::REQUEST || arp.target_ipv4 != host.ip {
                return None;
            }
            let reply = ArpEthIpv4Packet {
                operation: ArpOperation::REPLY,
                sender_mac: host.mac,
                sender_ipv4: host.ip,
                target_mac: arp.sender_mac,
                target_ipv4: arp.sender_ipv4,
            };
            let reply = PacketBuilder::ethernet2(host.mac, asker).arp(reply.into());
            reply.write(&mut out).ok()?;
        }
        NetSlice::Ipv4(ip) if ip.header().destination() == host.ip => {
            let Some(TransportSlice::Icmpv4(icmp)) = &packet.transport else {
                return None;
            };
            let Icmpv4Type::EchoRequest(echo) = icmp.icmp_type() else {
                return None;
            };
            PacketBuilder::ethernet2(host.mac, asker)
                .ipv4(host.ip, ip.header().source(), 64)
                .icmpv4_echo_reply(echo.id, echo.seq)
                .write(&mut out, icmp.payload())
                .ok()?;
        }
        _ => return None,
    }
    Some(out)
}

/// A request for the address of a host.
pub fn who_has(asker: Host, ip: [u8; 4]) -> Vec<u8> {
    let request = ArpEthIpv4Packet {
        operation: ArpOperation::REQUEST,
        sender_mac: asker.mac,
        sender_ipv4: asker.ip,
        target_mac: [0; 6],
        target_ipv4: ip,
    };
    let mut out = Vec::new();
    let request = PacketBuilder::ethernet2(asker.mac, [0xff; 6]).arp(request.into());
    request.write(&mut out).expect("a Vec takes everything");
    out
}

/// A ping.
pub fn ping(from: Host, to: Host, seq: u16) -> Vec<u8> {
    let mut out = Vec::new();
    PacketBuilder::ethernet2(from.mac, to.mac)
        .ipv4(from.ip, to.ip, 64)
        .icmpv4_echo_request(1, seq)
        .write(&mut out, b"is anybody there?")
        .expect("a Vec takes everything");
    out
}

/// The sequence number, if this is the answer to a ping.
pub fn pong(packet: &[u8]) -> Option<u16> {
    let packet = SlicedPacket::from_ethernet(packet).ok()?;
    let Some(TransportSlice::Icmpv4(icmp)) = &packet.transport else {
        return None;
    };
    match icmp.icmp_type() {
        Icmpv4Type::EchoReply(echo) => Some(echo.seq),
        _ => None,
    }
}

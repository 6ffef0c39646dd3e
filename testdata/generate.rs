//! Writes the captures of this folder, always the same bytes: `cargo run --example testdata`.
//!
//! Another folder may be given as argument. Addresses are those kept for documentation.

use std::time::Duration;

use etherparse::{
    IcmpEchoHeader, Icmpv4Type, Icmpv6Type, IpFragOffset, IpHeaders, IpNumber, Ipv4Header,
    Ipv6Header, PacketBuilder, TcpHeader, TcpOptionElement, icmpv6::NeighborAdvertisementHeader,
};
use pcap_file::pcap::{PcapHeader, PcapPacket, PcapTsResolution, PcapWriter};
use pcap_file::{DataLink, Endianness};

#[path = "protocols.rs"]
mod protocols;

pub(crate) type Error = Box<dyn std::error::Error>;

#[allow(dead_code)] // a test takes the file as a module
fn main() -> Result<(), Error> {
    let folder = std::env::args_os()
        .nth(1)
        .unwrap_or_else(|| "testdata".into());
    write_all(folder.as_ref())
}

/// Writes every capture into the folder.
pub(crate) fn write_all(folder: &std::path::Path) -> Result<(), Error> {
    for (name, link, packets) in [
        ("mixed.pcap", DataLink::ETHERNET, mixed()?),
        ("ip.pcap", DataLink::RAW, ip()?),
        ("protocols.pcap", DataLink::ETHERNET, protocols::packets()?),
    ] {
        std::fs::write(folder.join(name), capture(link, &packets)?)?;
    }
    Ok(())
}

type Packets = Vec<Vec<u8>>;

const MAC: [[u8; 6]; 2] = [[2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]];
const BROADCAST: [u8; 6] = [0xff; 6];

const ARP: u16 = 0x0806;
const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;
const VLAN: u16 = 0x8100;
const QINQ: u16 = 0x88a8;
const EXPERIMENTAL: u16 = 0x88b5;

fn mixed() -> Result<Packets, Error> {
    let v4 = Link { v6: false };
    let v6 = Link { v6: true };
    let mut out = Packets::new();

    out.push(ethernet(MAC[0], BROADCAST, ARP, &arp(1, 0, [0; 6])));
    out.push(ethernet(MAC[1], MAC[0], ARP, &arp(2, 1, MAC[0])));
    for seq in 1..=4 {
        out.push(frame(0, IPV4, &ping(v4, 0, seq, 56)?));
        out.push(frame(1, IPV4, &ping(v4, 1, seq, 56)?));
    }

    out.push(ethernet(
        MAC[0],
        [0x33, 0x33, 0, 0, 0, 2],
        IPV6,
        &router_solicitation()?,
    ));
    out.push(ethernet(
        MAC[0],
        [0x33, 0x33, 0xff, 0, 0, 2],
        IPV6,
        &neighbor_solicitation()?,
    ));
    out.push(frame(1, IPV6, &neighbor_advertisement()?));
    for seq in 1..=3 {
        out.push(frame(0, IPV6, &ping(v6, 0, seq, 64)?));
        out.push(frame(1, IPV6, &ping(v6, 1, seq, 64)?));
    }

    out.push(frame(0, IPV4, &udp(v4, 0, [40000, 53], &dns_query())?));
    out.push(frame(1, IPV4, &udp(v4, 1, [53, 40000], &dns_answer())?));
    for n in 0..8 {
        out.push(frame(
            0,
            IPV4,
            &udp(v4, 0, [40001, 45001], &text(18 << (n % 4)))?,
        ));
        out.push(frame(
            1,
            IPV6,
            &udp(v6, 1, [40002, 45001], &text(12 + 100 * n))?,
        ));
    }
    // The reply to a closed port: an error that quotes the packet it is about.
    let refused = udp(v4, 0, [40003, 5999], &text(20))?;
    out.push(frame(0, IPV4, &refused));
    out.push(frame(1, IPV4, &unreachable_port(&refused)?));

    for packet in conversation(v4)? {
        out.push(frame(packet.0, IPV4, &packet.1));
    }
    for packet in conversation(v6)? {
        out.push(frame(packet.0, IPV6, &packet.1));
    }
    let (syn, reset) = refused_connection(v4)?;
    out.push(frame(0, IPV4, &syn));
    out.push(frame(1, IPV4, &reset));

    for n in 0..3 {
        let packet = udp(v4, n % 2, [40004, 45001], &text(64))?;
        out.push(frame(n % 2, VLAN, &tagged(5, IPV4, &packet)));
        let packet = ping(v4, n % 2, n as u16, 56)?;
        let inner = tagged(0x2064, IPV4, &packet);
        out.push(frame(n % 2, QINQ, &tagged(7, VLAN, &inner)));
    }
    out.push(frame(0, VLAN, &tagged(5, ARP, &arp(1, 0, [0; 6]))));
    out.push(frame(0, EXPERIMENTAL, &text(100)));

    let [first, second] = fragments(4)?;
    out.push(frame(0, IPV4, &first));
    out.push(frame(0, IPV4, &second));

    // Sizes that matter on a ring: the smallest frame, the largest ordinary one, and one that needs
    // a chain of buffers.
    for length in [60, 1514, 9000] {
        let payload = length - 14 - 20 - 8;
        out.push(frame(0, IPV4, &udp(v4, 0, [40005, 45001], &text(payload))?));
    }
    Ok(out)
}

fn ip() -> Result<Packets, Error> {
    let v4 = Link { v6: false };
    let v6 = Link { v6: true };
    let mut out = Packets::new();
    for seq in 1..=2 {
        for link in [v4, v6] {
            out.push(ping(link, 0, seq, 32)?);
            out.push(ping(link, 1, seq, 32)?);
        }
    }
    out.push(udp(v4, 0, [40000, 45001], &text(1))?);
    out.push(udp(v6, 0, [40000, 45001], &text(200))?);
    let (syn, reset) = refused_connection(v4)?;
    out.extend([syn, reset]);
    let (syn, reset) = refused_connection(v6)?;
    out.extend([syn, reset]);
    out.extend(fragments(9)?);
    // 253 is kept for experiments; 59 says that nothing follows.
    out.push(bare(v4, 0, 253, &text(24))?);
    out.push(bare(v6, 0, 253, &text(24))?);
    out.push(bare(v6, 0, 59, &[])?);
    out.push(udp(v4, 1, [45001, 40000], &text(1472))?);
    Ok(out)
}

/// A classic pcap file with nanoseconds, little-endian on every machine.
fn capture(datalink: DataLink, packets: &Packets) -> Result<Vec<u8>, Error> {
    let header = PcapHeader {
        snaplen: 262_144,
        datalink,
        ts_resolution: PcapTsResolution::NanoSecond,
        endianness: Endianness::Little,
        ..PcapHeader::default()
    };
    let mut writer = PcapWriter::with_header(Vec::new(), header)?;
    let mut time = Duration::new(1_700_000_000, 123_456_789);
    // Gaps of 10 µs to 20 ms by a small generator of our own: another crate's might change.
    let mut state = 1_u64;
    for packet in packets {
        writer.write_packet(&PcapPacket::new(
            time,
            u32::try_from(packet.len())?,
            packet,
        )?)?;
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        time += Duration::from_nanos(10_000 + (state >> 33) % 20_000_000);
    }
    Ok(writer.into_inner())
}

/// From one of the two stations to the other.
fn frame(from: usize, ether_type: u16, payload: &[u8]) -> Vec<u8> {
    ethernet(MAC[from], MAC[1 - from], ether_type, payload)
}

/// Padded to 60 bytes as an adapter would.
fn ethernet(from: [u8; 6], to: [u8; 6], ether_type: u16, payload: &[u8]) -> Vec<u8> {
    let mut out = [&to[..], &from, &ether_type.to_be_bytes(), payload].concat();
    out.resize(out.len().max(60), 0);
    out
}

/// What follows the tag's own EtherType.
fn tagged(tci: u16, ether_type: u16, payload: &[u8]) -> Vec<u8> {
    [&tci.to_be_bytes()[..], &ether_type.to_be_bytes(), payload].concat()
}

fn arp(operation: u8, from: usize, target: [u8; 6]) -> Vec<u8> {
    let mut out = vec![0, 1, 8, 0, 6, 4, 0, operation];
    out.extend_from_slice(&MAC[from]);
    out.extend_from_slice(&V4[from]);
    out.extend_from_slice(&target);
    out.extend_from_slice(&V4[1 - from]);
    out
}

const V4: [[u8; 4]; 2] = [[192, 0, 2, 1], [192, 0, 2, 2]];
const V6: [[u8; 16]; 2] = [v6_address(1), v6_address(2)];

/// 2001:db8::n
const fn v6_address(last: u8) -> [u8; 16] {
    [
        0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last,
    ]
}

#[derive(Clone, Copy)]
struct Link {
    v6: bool,
}

impl Link {
    fn header(self, from: usize) -> Result<IpHeaders, Error> {
        Ok(if self.v6 {
            let header = Ipv6Header {
                hop_limit: 64,
                source: V6[from],
                destination: V6[1 - from],
                ..Ipv6Header::default()
            };
            IpHeaders::Ipv6(header, Default::default())
        } else {
            let mut header = Ipv4Header::new(0, 64, IpNumber::UDP, V4[from], V4[1 - from])?;
            header.dont_fragment = true;
            IpHeaders::Ipv4(header, Default::default())
        })
    }
}

fn text(length: usize) -> Vec<u8> {
    b"memif testdata\n"
        .iter()
        .copied()
        .cycle()
        .take(length)
        .collect()
}

fn ping(link: Link, from: usize, seq: u16, length: usize) -> Result<Vec<u8>, Error> {
    let echo = IcmpEchoHeader { id: 7, seq };
    let step = PacketBuilder::ip(link.header(from)?);
    let mut out = Vec::new();
    match (link.v6, from) {
        (false, 0) => step
            .icmpv4(Icmpv4Type::EchoRequest(echo))
            .write(&mut out, &text(length))?,
        (false, _) => step
            .icmpv4(Icmpv4Type::EchoReply(echo))
            .write(&mut out, &text(length))?,
        (true, 0) => step
            .icmpv6(Icmpv6Type::EchoRequest(echo))
            .write(&mut out, &text(length))?,
        (true, _) => step
            .icmpv6(Icmpv6Type::EchoReply(echo))
            .write(&mut out, &text(length))?,
    }
    Ok(out)
}

fn udp(
    link: Link,
    from: usize,
    [source, destination]: [u16; 2],
    payload: &[u8],
) -> Result<Vec<u8>, Error> {
    let mut out = Vec::new();
    PacketBuilder::ip(link.header(from)?)
        .udp(source, destination)
        .write(&mut out, payload)?;
    Ok(out)
}

fn bare(link: Link, from: usize, protocol: u8, payload: &[u8]) -> Result<Vec<u8>, Error> {
    let mut out = Vec::new();
    PacketBuilder::ip(link.header(from)?).write(&mut out, IpNumber(protocol), payload)?;
    Ok(out)
}

fn unreachable_port(about: &[u8]) -> Result<Vec<u8>, Error> {
    let mut out = Vec::new();
    let kind = Icmpv4Type::DestinationUnreachable(etherparse::icmpv4::DestUnreachableHeader::Port);
    PacketBuilder::ip(Link { v6: false }.header(1)?)
        .icmpv4(kind)
        .write(&mut out, about)?;
    Ok(out)
}

fn neighbor_discovery(
    from: [u8; 16],
    to: [u8; 16],
    kind: Icmpv6Type,
    body: &[u8],
) -> Result<Vec<u8>, Error> {
    let mut out = Vec::new();
    // The hop limit of 255 proves that no router passed it on.
    PacketBuilder::ipv6(from, to, 255)
        .icmpv6(kind)
        .write(&mut out, body)?;
    Ok(out)
}

fn router_solicitation() -> Result<Vec<u8>, Error> {
    let to = [0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2];
    let source_address = [&[1, 1][..], &MAC[0]].concat();
    neighbor_discovery(V6[0], to, Icmpv6Type::RouterSolicitation, &source_address)
}

fn neighbor_solicitation() -> Result<Vec<u8>, Error> {
    let to = [0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, 0, 0, 2];
    let body = [&V6[1][..], &[1, 1], &MAC[0]].concat();
    neighbor_discovery(V6[0], to, Icmpv6Type::NeighborSolicitation, &body)
}

fn neighbor_advertisement() -> Result<Vec<u8>, Error> {
    let kind = Icmpv6Type::NeighborAdvertisement(NeighborAdvertisementHeader {
        router: false,
        solicited: true,
        r#override: true,
    });
    let body = [&V6[1][..], &[2, 1], &MAC[1]].concat();
    neighbor_discovery(V6[1], V6[0], kind, &body)
}

/// For the A record of example.com.
fn dns_query() -> Vec<u8> {
    [
        &[0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0][..],
        b"\x07example\x03com\x00",
        &[0, 1, 0, 1],
    ]
    .concat()
}

fn dns_answer() -> Vec<u8> {
    let mut out = dns_query();
    out[2..4].copy_from_slice(&[0x81, 0x80]);
    out[7] = 1;
    out.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1, 0, 0, 14, 16, 0, 4, 192, 0, 2, 80]);
    out
}

/// A datagram in two fragments of 1024 bytes and the rest.
fn fragments(id: u16) -> Result<[Vec<u8>; 2], Error> {
    let whole = udp(Link { v6: false }, 0, [40006, 45001], &text(1500))?;
    let payload = &whole[Ipv4Header::MIN_LEN..];
    let (first, second) = payload.split_at(1024);
    let fragment = |part: &[u8], offset: u16, more: bool| -> Result<Vec<u8>, Error> {
        let mut header =
            Ipv4Header::new(u16::try_from(part.len())?, 64, IpNumber::UDP, V4[0], V4[1])?;
        header.identification = id;
        header.more_fragments = more;
        header.fragment_offset = IpFragOffset::try_new(offset / 8)?;
        header.header_checksum = header.calc_header_checksum();
        Ok([&header.to_bytes()[..], part].concat())
    };
    Ok([fragment(first, 0, true)?, fragment(second, 1024, false)?])
}

fn refused_connection(link: Link) -> Result<(Vec<u8>, Vec<u8>), Error> {
    let mut syn = tcp_header([40008, 5999], 1_000_000, 64240);
    syn.syn = true;
    syn.set_options(&[TcpOptionElement::MaximumSegmentSize(link.mss())])?;
    let mut reset = tcp_header([5999, 40008], 0, 0);
    reset.rst = true;
    reset.ack = true;
    reset.acknowledgment_number = 1_000_001;
    Ok((tcp(link, 0, syn, &[])?, tcp(link, 1, reset, &[])?))
}

/// A whole TCP conversation with an echo service, with the sender of each packet.
fn conversation(link: Link) -> Result<Vec<(usize, Vec<u8>)>, Error> {
    let mut out = Vec::new();
    let mut peers = Peers {
        link,
        // The client's numbers wrap on the way.
        next: [u32::MAX - 2000, 3_000_000_000],
        clock: 5000,
        seen: [0, 0],
    };
    out.push(peers.send(0, "S", &[])?);
    out.push(peers.send(1, "S.", &[])?);
    out.push(peers.send(0, ".", &[])?);
    let full = text(usize::from(link.mss()) - 12);
    for payload in [&b"hello\n"[..], &full, &full, b"bye\n"] {
        out.push(peers.send(0, "P.", payload)?);
        out.push(peers.send(1, ".", &[])?);
        out.push(peers.send(1, "P.", payload)?);
        out.push(peers.send(0, ".", &[])?);
    }
    out.push(peers.send(0, "F.", &[])?);
    out.push(peers.send(1, "F.", &[])?);
    out.push(peers.send(0, ".", &[])?);
    Ok(out)
}

impl Link {
    /// Of an Ethernet with 1500 bytes a packet.
    fn mss(self) -> u16 {
        if self.v6 { 1440 } else { 1460 }
    }
}

struct Peers {
    link: Link,
    next: [u32; 2],
    clock: u32,
    /// The last timestamp each has had from the other.
    seen: [u32; 2],
}

impl Peers {
    fn send(
        &mut self,
        from: usize,
        flags: &str,
        payload: &[u8],
    ) -> Result<(usize, Vec<u8>), Error> {
        let ports = if from == 0 { [40007, 7] } else { [7, 40007] };
        let mut header = tcp_header(ports, self.next[from], 501);
        header.syn = flags.contains('S');
        header.fin = flags.contains('F');
        header.psh = flags.contains('P');
        header.ack = flags.contains('.');
        if header.ack {
            header.acknowledgment_number = self.next[1 - from];
        }
        self.clock += 3;
        let time = TcpOptionElement::Timestamp(self.clock, self.seen[from]);
        self.seen[1 - from] = self.clock;
        if header.syn {
            header.window_size = 64240;
            header.set_options(&[
                TcpOptionElement::MaximumSegmentSize(self.link.mss()),
                TcpOptionElement::SelectiveAcknowledgementPermitted,
                time,
                TcpOptionElement::Noop,
                TcpOptionElement::WindowScale(7),
            ])?;
        } else {
            header.set_options(&[TcpOptionElement::Noop, TcpOptionElement::Noop, time])?;
        }
        let used = u32::try_from(payload.len())? + u32::from(header.syn) + u32::from(header.fin);
        self.next[from] = self.next[from].wrapping_add(used);
        Ok((from, tcp(self.link, from, header, payload)?))
    }
}

fn tcp_header([source, destination]: [u16; 2], seq: u32, window: u16) -> TcpHeader {
    TcpHeader::new(source, destination, seq, window)
}

fn tcp(link: Link, from: usize, header: TcpHeader, payload: &[u8]) -> Result<Vec<u8>, Error> {
    let mut out = Vec::new();
    PacketBuilder::ip(link.header(from)?)
        .tcp_header(header)
        .write(&mut out, payload)?;
    Ok(out)
}

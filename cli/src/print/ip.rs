//! IPv4 and IPv6 with extension headers and fragments.

use std::fmt::{self, Write};
use std::net::IpAddr;

use etherparse::{
    IpAuthHeaderSlice, Ipv4HeaderSlice, Ipv6FragmentHeaderSlice, Ipv6HeaderSlice,
    Ipv6RawExtHeaderSlice,
};

use super::text::{Part, Text};
use super::transport;

/// Packets in packets are followed this deep.
pub(super) const DEEPEST: u8 = 4;

/// Where a payload comes from.
#[derive(Clone, Copy)]
pub(super) struct Ends {
    pub(super) source: IpAddr,
    pub(super) destination: IpAddr,
}

/// Either version, by the first four bits.
pub(super) fn write(out: &mut Text, part: Part<'_>, depth: u8) -> fmt::Result {
    match part.u8(0).map(|byte| byte >> 4) {
        Some(4) => {
            prefix(out, "IP ")?;
            v4(out, part, depth)
        }
        Some(6) => {
            prefix(out, "IP6 ")?;
            v6(out, part, depth)
        }
        Some(other) => write!(out, "IP{other} (invalid), length {}", part.length),
        None => out.write_str("[|ip]"),
    }
}

/// What a packet is, unless its link header, which has said so, was printed.
pub(super) fn prefix(out: &mut Text, name: &str) -> fmt::Result {
    if out.style.link_level && out.ethernet {
        return Ok(());
    }
    out.write_str(name)
}

pub(super) fn v4(out: &mut Text, part: Part<'_>, depth: u8) -> fmt::Result {
    let (Some(first), Some(total)) = (part.u8(0), part.u16(2)) else {
        return out.write_str("[|ip]");
    };
    let (header_length, total) = (usize::from(first & 15) * 4, usize::from(total));
    if first >> 4 != 4 {
        return write!(out, "version error: {} != 4", first >> 4);
    }
    if header_length < 20 {
        return write!(out, "bad-hlen {header_length}");
    }
    if total < header_length {
        return write!(out, "bad-len {total}");
    }
    let Ok(header) = Ipv4HeaderSlice::from_slice(part.data) else {
        return out.write_str("[|ip]");
    };
    if out.style.verbose {
        verbose_v4(out, &header)?;
    }
    if total > part.length {
        write!(
            out,
            "truncated-ip - {} bytes missing! ",
            total - part.length
        )?;
    }
    let ends = Ends {
        source: header.source_addr().into(),
        destination: header.destination_addr().into(),
    };
    let payload = part.limit(total).after(header_length);
    let protocol = header.protocol().0;
    let offset = header.fragments_offset().byte_offset();
    if offset > 0 {
        write!(out, "{} > {}: ", ends.source, ends.destination)?;
        let (id, length) = (header.identification(), payload.length);
        return write!(
            out,
            "ip-proto-{protocol}, id {id}, offset {offset}, length {length}"
        );
    }
    let payload = Payload {
        part: payload,
        ends,
        protocol,
        fragment: header.more_fragments(),
        v6: false,
        depth,
    };
    payload.write_with(out)
}

pub(super) fn v6(out: &mut Text, part: Part<'_>, depth: u8) -> fmt::Result {
    if let Some(first) = part.u8(0)
        && first >> 4 != 6
    {
        return write!(out, "version error: {} != 6", first >> 4);
    }
    let Ok(header) = Ipv6HeaderSlice::from_slice(part.data) else {
        return out.write_str("[|ip6]");
    };
    if out.style.verbose {
        verbose_v6(out, &header)?;
    }
    let rest = part.after(header.slice().len());
    let mut payload = Payload {
        part: rest,
        ends: Ends {
            source: header.source_addr().into(),
            destination: header.destination_addr().into(),
        },
        protocol: header.next_header().0,
        fragment: false,
        v6: true,
        depth,
    };
    let claimed = usize::from(header.payload_length());
    // A jumbogram has its length in a hop-by-hop option; without one nothing follows.
    if claimed != 0 || payload.protocol != 0 {
        payload.part = rest.limit(claimed);
    }
    if claimed > rest.length {
        write!(
            out,
            "truncated-ip6 - {} bytes missing! ",
            claimed - rest.length
        )?;
    }
    payload.write_with(out)
}

/// The header's fields, and the rest on a line of its own.
fn verbose_v4(out: &mut Text, header: &Ipv4HeaderSlice<'_>) -> fmt::Result {
    let tos = header.dcp().value() << 2 | header.ecn().value();
    let (ttl, id) = (header.ttl(), header.identification());
    let offset = header.fragments_offset().byte_offset();
    write!(out, "(tos 0x{tos:x}, ttl {ttl}, id {id}, offset {offset}, ")?;
    let flags = match (header.more_fragments(), header.dont_fragment()) {
        (true, true) => "+, DF",
        (true, false) => "+",
        (false, true) => "DF",
        (false, false) => "none",
    };
    let protocol = header.protocol();
    let name = protocol_name(protocol.0);
    let length = header.total_len();
    write!(
        out,
        "flags [{flags}], proto {name} ({}), length {length}",
        protocol.0
    )?;
    let sum = header.to_header().calc_header_checksum();
    if sum != header.header_checksum() {
        write!(
            out,
            ", bad cksum {:x} (->{sum:x})!",
            header.header_checksum()
        )?;
    }
    out.write_str(")\n    ")
}

fn verbose_v6(out: &mut Text, header: &Ipv6HeaderSlice<'_>) -> fmt::Result {
    out.write_char('(')?;
    if header.traffic_class() != 0 {
        write!(out, "class 0x{:02x}, ", header.traffic_class())?;
    }
    if header.flow_label().value() != 0 {
        write!(out, "flowlabel 0x{:05x}, ", header.flow_label().value())?;
    }
    let next = header.next_header().0;
    write!(
        out,
        "hlim {}, next-header {} ({next}) payload length: {}) ",
        header.hop_limit(),
        protocol_name(next),
        header.payload_length()
    )
}

fn protocol_name(protocol: u8) -> &'static str {
    match protocol {
        0 => "Options",
        1 => "ICMP",
        2 => "IGMP",
        4 => "IPIP",
        6 => "TCP",
        17 => "UDP",
        41 => "IPv6",
        43 => "Routing",
        44 => "Fragment",
        47 => "GRE",
        50 => "ESP",
        51 => "AH",
        58 => "ICMPv6",
        59 => "no next header",
        60 => "Options (60)",
        89 => "OSPF",
        103 => "PIM",
        112 => "VRRP",
        132 => "SCTP",
        _ => "unknown",
    }
}

#[derive(Clone, Copy)]
pub(super) struct Payload<'a> {
    pub(super) part: Part<'a>,
    pub(super) ends: Ends,
    protocol: u8,
    /// The first fragment of a packet, hence shorter than the headers in it say.
    pub(super) fragment: bool,
    v6: bool,
    pub(super) depth: u8,
}

impl Payload<'_> {
    /// With the addresses; a protocol that has ports prints them together.
    fn write_with(self, out: &mut Text) -> fmt::Result {
        if matches!(self.protocol, 6 | 17 | 132) {
            return self.write(out, true);
        }
        write!(out, "{} > {}: ", self.ends.source, self.ends.destination)?;
        self.write(out, false)
    }

    fn write(mut self, out: &mut Text, ends: bool) -> fmt::Result {
        while self.extension(out)? {}
        let part = self.part;
        match self.protocol {
            // Extensions that could not be passed: cut, or of a fragment that isn't the first.
            51 => Ok(()),
            0 | 43 | 44 | 60 if self.v6 => Ok(()),
            4 | 41 if self.depth == DEEPEST => {
                write!(out, "ip-proto-{}, length {}", self.protocol, part.length)
            }
            4 => {
                out.write_str("IP ")?;
                v4(out, part, self.depth + 1)
            }
            41 => {
                out.write_str("IP6 ")?;
                v6(out, part, self.depth + 1)
            }
            protocol => transport::write(out, protocol, self, ends),
        }
    }

    /// Prints an extension header and steps behind it; false where none is, or it can't be passed.
    fn extension(&mut self, out: &mut Text) -> Result<bool, fmt::Error> {
        let data = self.part.data;
        let (next, length) = match self.protocol {
            0 | 43 | 60 if self.v6 => {
                let name = match self.protocol {
                    0 => "HBH",
                    43 => "RT6",
                    _ => "DSTOPT",
                };
                let Ok(header) = Ipv6RawExtHeaderSlice::from_slice(data) else {
                    write!(out, "[|{name}]")?;
                    return Ok(false);
                };
                out.write_str(name)?;
                if self.protocol == 43 {
                    let (kind, left) = (data[2], data[3]);
                    write!(out, " (len={}, type={kind}, segleft={left})", data[1])?;
                }
                out.write_char(' ')?;
                (header.next_header(), header.slice().len())
            }
            44 if self.v6 => {
                let Ok(header) = Ipv6FragmentHeaderSlice::from_slice(data) else {
                    out.write_str("[|frag]")?;
                    return Ok(false);
                };
                let length = header.slice().len();
                let offset = header.fragment_offset().byte_offset();
                write!(out, "frag ({offset}|{}) ", self.part.after(length).length)?;
                if offset > 0 {
                    return Ok(false);
                }
                self.fragment = header.more_fragments();
                (header.next_header(), length)
            }
            51 => {
                let Ok(header) = IpAuthHeaderSlice::from_slice(data) else {
                    out.write_str("[|ah]")?;
                    return Ok(false);
                };
                let (spi, sequence) = (header.spi(), header.sequence_number());
                write!(out, "AH(spi=0x{spi:08x},seq=0x{sequence:x}): ")?;
                (header.next_header(), header.slice().len())
            }
            _ => return Ok(false),
        };
        self.protocol = next.0;
        self.part = self.part.after(length);
        Ok(true)
    }
}

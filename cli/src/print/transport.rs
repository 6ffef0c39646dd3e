//! TCP, UDP, and a word about the protocols that have no file of their own.

use std::fmt::{self, Write};

use super::checksum::Checksum;
use super::ip::{Ends, Payload};
use super::sequence::Base;
use super::text::{Kind, Part, Text};
use super::{app, icmp, tunnel};

/// `ends`: the addresses are still to be printed.
pub(super) fn write(out: &mut Text, protocol: u8, payload: Payload<'_>, ends: bool) -> fmt::Result {
    let part = payload.part;
    let ends = ends.then_some(payload.ends);
    match protocol {
        1 => icmp::v4(out, part),
        6 if ports(out, part, ends, "tcp")? => tcp(out, payload),
        17 if ports(out, part, ends, "udp")? => udp(out, payload),
        132 if ports(out, part, ends, "sctp")? => sctp(out, part),
        6 | 17 | 132 => Ok(()),
        50 => {
            let (Some(spi), Some(sequence)) = (part.u32(0), part.u32(4)) else {
                return out.write_str("[|esp]");
            };
            write!(
                out,
                "ESP(spi=0x{spi:08x},seq=0x{sequence:x}), length {}",
                part.length
            )
        }
        58 => icmp::v6(out, payload),
        59 => out.write_str("no next header"),
        2 => igmp(out, part),
        47 => tunnel::gre(out, part, payload.depth),
        89 => write!(
            out,
            "OSPFv{}, length {}",
            part.u8(0).unwrap_or(0),
            part.length
        ),
        103 => write!(
            out,
            "PIMv{}, length {}",
            part.u8(0).unwrap_or(0) >> 4,
            part.length
        ),
        112 => write!(
            out,
            "VRRPv{}, length {}",
            part.u8(0).unwrap_or(0) >> 4,
            part.length
        ),
        _ => write!(out, "ip-proto-{protocol}, length {}", part.length),
    }
}

/// Addresses and ports, as far as they were captured; false when the ports were not.
fn ports(
    out: &mut Text,
    part: Part<'_>,
    ends: Option<Ends>,
    name: &str,
) -> Result<bool, fmt::Error> {
    let (source, destination) = match (part.u16(0), part.u16(2)) {
        (Some(source), Some(destination)) => (source, destination),
        _ => {
            if let Some(ends) = ends {
                write!(out, "{} > {}: ", ends.source, ends.destination)?;
            }
            write!(out, "[|{name}]")?;
            return Ok(false);
        }
    };
    match ends {
        Some(ends) => write!(
            out,
            "{}.{source} > {}.{destination}: ",
            ends.source, ends.destination
        )?,
        None => write!(out, "{source} > {destination}: ")?,
    }
    Ok(true)
}

fn udp(out: &mut Text, payload: Payload<'_>) -> fmt::Result {
    out.kind = Kind::Udp;
    let (part, fragment) = (payload.part, payload.fragment);
    if part.length < 8 {
        return write!(out, "truncated-udp {}", part.length);
    }
    let Some(claimed) = part.u16(4) else {
        return out.write_str("[|udp]");
    };
    let Some(length) = usize::from(claimed).checked_sub(8) else {
        return write!(out, "truncated-udplength {claimed}");
    };
    let room = part.length - 8;
    if length > room && !fragment {
        return write!(out, "UDP, bad length {length} > {room}");
    }
    if !out.style.quiet
        && let (Some(source), Some(destination)) = (part.u16(0), part.u16(2))
    {
        let whole = part.limit(length + 8);
        if out.style.verbose && !fragment {
            match Checksum::of(payload.ends, 17, whole, 6) {
                Some(Checksum { found: 0, .. }) => out.write_str("[no cksum] ")?,
                Some(sum) if sum.is_right() => out.write_str("[udp sum ok] ")?,
                Some(Checksum { found, wanted }) => {
                    write!(out, "[bad udp cksum 0x{found:04x} -> 0x{wanted:04x}!] ")?;
                }
                None => {}
            }
        }
        let inner = whole.after(8);
        let known = match destination {
            4789 => tunnel::vxlan(out, inner, payload.depth)?,
            6081 => tunnel::geneve(out, inner, payload.depth)?,
            _ => app::write(out, [source, destination], inner)?,
        };
        if known {
            return Ok(());
        }
    }
    write!(out, "UDP, length {length}")
}

fn tcp(out: &mut Text, payload: Payload<'_>) -> fmt::Result {
    let part = payload.part;
    let Some(header) = part.array::<20>(0) else {
        return out.write_str("[|tcp]");
    };
    let header = Part {
        data: &header,
        length: 20,
    };
    let (
        Some(source),
        Some(destination),
        Some(sequence),
        Some(acknowledgment),
        Some([offset, flags]),
        Some(window),
        Some(urgent),
    ) = (
        header.u16(0),
        header.u16(2),
        header.u32(4),
        header.u32(8),
        header.array(12),
        header.u16(14),
        header.u16(18),
    )
    else {
        return Ok(());
    };
    let header_length = usize::from(offset >> 4) * 4;
    if header_length < 20 {
        let left = part.length.saturating_sub(header_length);
        return write!(
            out,
            "tcp {left} [bad hdr length {header_length} - too short, < 20]"
        );
    }
    out.kind = match flags & (FIN | SYN | RST) {
        0 => Kind::Tcp,
        _ => Kind::TcpFlags,
    };
    if out.style.quiet {
        return write!(out, "tcp {}", part.length.saturating_sub(header_length));
    }
    out.write_str("Flags [")?;
    for (bit, letter) in "FSRP.UEW".chars().enumerate() {
        if flags & (1 << bit) != 0 {
            out.write_char(letter)?;
        }
    }
    out.write_str(if flags == 0 { "none]" } else { "]" })?;
    let Some(length) = part.length.checked_sub(header_length) else {
        let all = part.length;
        return write!(out, " [bad hdr length {header_length} - too long, > {all}]");
    };
    if out.style.verbose
        && !payload.fragment
        && let Some(sum) = Checksum::of(payload.ends, 6, part, 16)
    {
        write!(out, ", cksum 0x{:04x} (", sum.found)?;
        match sum.is_right() {
            true => out.write_str("correct)")?,
            false => write!(out, "incorrect -> 0x{:04x})", sum.wanted)?,
        }
    }
    let base = match &mut out.connections {
        Some(connections) if flags & ACK != 0 => connections.base(
            (payload.ends.source, source),
            (payload.ends.destination, destination),
            flags & SYN != 0,
            sequence,
            acknowledgment,
        ),
        _ => Base::default(),
    };
    let sequence = sequence.wrapping_sub(base.sequence);
    let acknowledgment = acknowledgment.wrapping_sub(base.acknowledgment);
    if length > 0 {
        // The number wraps, as the sequence space does.
        write!(
            out,
            ", seq {sequence}:{}",
            sequence.wrapping_add(length as u32)
        )?;
    } else if flags & (FIN | SYN | RST) != 0 {
        write!(out, ", seq {sequence}")?;
    }
    if flags & ACK != 0 {
        write!(out, ", ack {acknowledgment}")?;
    }
    write!(out, ", win {window}")?;
    if flags & URG != 0 {
        write!(out, ", urg {urgent}")?;
    }
    if header_length > 20 {
        out.write_str(", options [")?;
        options(out, part.limit(header_length).after(20), base.sack)?;
        out.write_char(']')?;
    }
    write!(out, ", length {length}")?;
    match app::first_line_of_http([source, destination], part.after(header_length)) {
        Some(line) => write!(out, ": HTTP: {}", line.escape_ascii()),
        None => Ok(()),
    }
}

/// The names of the chunks, one after another.
fn sctp(out: &mut Text, part: Part<'_>) -> fmt::Result {
    const NAMES: [&str; 15] = [
        "DATA",
        "INIT",
        "INIT ACK",
        "SACK",
        "HB REQ",
        "HB ACK",
        "ABORT",
        "SHUTDOWN",
        "SHUTDOWN ACK",
        "OP ERR",
        "COOKIE ECHO",
        "COOKIE ACK",
        "ECN ECHO",
        "CWR",
        "SHUTDOWN COMPLETE",
    ];
    out.write_str("sctp")?;
    let mut chunk = part.after(12);
    let mut number = 1;
    while let (Some(kind), Some(length)) = (chunk.u8(0), chunk.u16(2)) {
        match NAMES.get(usize::from(kind)) {
            Some(name) => write!(out, " ({number}) [{name}]")?,
            None => write!(out, " ({number}) [type {kind}]")?,
        }
        number += 1;
        // To the next multiple of four; no chunk is shorter than its own header.
        chunk = chunk.after(usize::from(length).max(4).next_multiple_of(4));
    }
    write!(out, ", length {}", part.length)
}

const FIN: u8 = 0x01;
const SYN: u8 = 0x02;
const RST: u8 = 0x04;
const ACK: u8 = 0x10;
const URG: u8 = 0x20;

fn options(out: &mut Text, mut part: Part<'_>, sack: u32) -> fmt::Result {
    let mut first = true;
    while part.length > 0 {
        if !first {
            out.write_char(',')?;
        }
        first = false;
        let length = match (part.u8(0), part.u8(1)) {
            (Some(0), _) => return out.write_str("eol"),
            (Some(1), _) => {
                out.write_str("nop")?;
                1
            }
            (Some(_), Some(length)) => usize::from(length),
            // A last byte that should have a length after it.
            _ if part.data.len() == part.length => return out.write_str("[bad opt]"),
            _ => return out.write_str("[|tcp]"),
        };
        if length > 1 || part.u8(0) != Some(1) {
            if length < 2 || length > part.length {
                return out.write_str("[bad opt]");
            }
            if length > part.data.len() {
                return out.write_str("[|tcp]");
            }
            option(out, part.limit(length), sack)?;
        }
        part = part.after(length);
    }
    Ok(())
}

/// One option, whole.
fn option(out: &mut Text, option: Part<'_>, sack: u32) -> fmt::Result {
    let value = option.after(2);
    match (option.u8(0).unwrap_or(0), value.length) {
        (2, 2) => write!(out, "mss {}", value.u16(0).unwrap_or(0)),
        (3, 1) => write!(out, "wscale {}", value.u8(0).unwrap_or(0)),
        (4, 0) => out.write_str("sackOK"),
        (5, length) if length % 8 == 0 => {
            write!(out, "sack {} ", length / 8)?;
            for at in (0..length).step_by(8) {
                let edge = |at| value.u32(at).unwrap_or(0).wrapping_sub(sack);
                write!(out, "{{{}:{}}}", edge(at), edge(at + 4))?;
            }
            Ok(())
        }
        (8, 8) => {
            let (time, echo) = (value.u32(0).unwrap_or(0), value.u32(4).unwrap_or(0));
            write!(out, "TS val {time} ecr {echo}")
        }
        (34, 0) => out.write_str("tfo cookiereq"),
        (kind, _) => {
            match kind {
                2 => out.write_str("mss")?,
                3 => out.write_str("wscale")?,
                4 => out.write_str("sackOK")?,
                5 => out.write_str("sack")?,
                8 => out.write_str("TS")?,
                19 => out.write_str("md5")?,
                28 => out.write_str("uto")?,
                29 => out.write_str("tcp-ao")?,
                30 => out.write_str("mptcp")?,
                34 => out.write_str("tfo cookie")?,
                253 | 254 => out.write_str("exp")?,
                _ => write!(out, "unknown-{kind}")?,
            }
            if value.length > 0 {
                out.write_str(" 0x")?;
            }
            value
                .data
                .iter()
                .try_for_each(|byte| write!(out, "{byte:02x}"))
        }
    }
}

fn igmp(out: &mut Text, part: Part<'_>) -> fmt::Result {
    let (Some(kind), Some(group)) = (part.u8(0), part.array::<4>(4)) else {
        return out.write_str("[|igmp]");
    };
    let group = std::net::Ipv4Addr::from(group);
    match kind {
        0x11 if part.length >= 12 => write!(out, "igmp query v3")?,
        0x11 => write!(out, "igmp query")?,
        0x12 => write!(out, "igmp v1 report {group}")?,
        0x16 => write!(out, "igmp v2 report {group}")?,
        0x17 => write!(out, "igmp leave {group}")?,
        0x22 => write!(
            out,
            "igmp v3 report, {} group record(s)",
            part.u16(6).unwrap_or(0)
        )?,
        _ => write!(out, "igmp-{kind}")?,
    }
    write!(out, ", length {}", part.length)
}

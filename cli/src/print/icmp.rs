//! ICMP and ICMPv6.

use std::fmt::{self, Write};
use std::net::{Ipv4Addr, Ipv6Addr};

use etherparse::{Ipv4HeaderSlice, Ipv6HeaderSlice};

use super::checksum::Checksum;
use super::ip::Payload;
use super::text::{Kind, Part, Text};

pub(super) fn v4(out: &mut Text, part: Part<'_>) -> fmt::Result {
    out.kind = Kind::Icmp;
    let (Some([kind, code]), Some(word)) = (part.array(0), part.u32(4)) else {
        return out.write_str("[|icmp]");
    };
    let (high, low) = (word >> 16, word & 0xffff);
    out.write_str("ICMP ")?;
    match kind {
        0 => write!(out, "echo reply, id {high}, seq {low}")?,
        8 => write!(out, "echo request, id {high}, seq {low}")?,
        3 | 5 => about(out, kind, code, word, part.after(8))?,
        4 => out.write_str("source quench")?,
        9 => out.write_str("router advertisement")?,
        10 => out.write_str("router solicitation")?,
        11 => match code {
            0 => out.write_str("time exceeded in-transit")?,
            1 => out.write_str("ip reassembly time exceeded")?,
            _ => write!(out, "time exceeded-#{code}")?,
        },
        12 if code == 0 => write!(out, "parameter problem - octet {}", word >> 24)?,
        12 => write!(out, "parameter problem - code {code}")?,
        13 => write!(out, "time stamp query id {high} seq {low}")?,
        14 => write!(out, "time stamp reply id {high} seq {low}")?,
        15 => out.write_str("information request")?,
        16 => out.write_str("information reply")?,
        17 => out.write_str("address mask request")?,
        18 => out.write_str("address mask reply")?,
        _ => write!(out, "type-#{kind}")?,
    }
    write!(out, ", length {}", part.length)
}

/// Unreachable and redirect, which quote the packet that they are about.
fn about(out: &mut Text, kind: u8, code: u8, word: u32, quoted: Part<'_>) -> fmt::Result {
    let Ok(header) = Ipv4HeaderSlice::from_slice(quoted.data) else {
        let name = if kind == 3 { "unreachable" } else { "redirect" };
        return write!(out, "{name}-#{code} [|icmp]");
    };
    let to = header.destination_addr();
    if kind == 5 {
        let gateway = Ipv4Addr::from(word);
        return match code {
            0 => write!(out, "redirect {to} to net {gateway}"),
            1 => write!(out, "redirect {to} to host {gateway}"),
            2 => write!(out, "redirect-tos {to} to net {gateway}"),
            3 => write!(out, "redirect-tos {to} to host {gateway}"),
            _ => write!(out, "redirect-#{code} {to} to {gateway}"),
        };
    }
    let protocol = header.protocol().0;
    match code {
        0 => write!(out, "net {to} unreachable"),
        1 => write!(out, "host {to} unreachable"),
        2 => write!(out, "{to} protocol {protocol} unreachable"),
        3 => {
            write!(out, "{to} ")?;
            port(out, protocol, quoted.after(header.slice().len()))?;
            out.write_str(" unreachable")
        }
        4 if word & 0xffff != 0 => write!(
            out,
            "{to} unreachable - need to frag (mtu {})",
            word & 0xffff
        ),
        4 => write!(out, "{to} unreachable - need to frag"),
        5 => write!(out, "{to} unreachable - source route failed"),
        6 => write!(out, "net {to} unreachable - unknown"),
        7 => write!(out, "host {to} unreachable - unknown"),
        8 => write!(out, "{to} unreachable - source host isolated"),
        9 => write!(out, "net {to} unreachable - admin prohibited"),
        10 => write!(out, "host {to} unreachable - admin prohibited"),
        11 => write!(out, "net {to} unreachable - tos prohibited"),
        12 => write!(out, "host {to} unreachable - tos prohibited"),
        13 => write!(out, "host {to} unreachable - admin prohibited filter"),
        14 => write!(out, "host {to} unreachable - host precedence violation"),
        15 => write!(out, "host {to} unreachable - precedence cutoff"),
        _ => write!(out, "{to} unreachable - #{code}"),
    }
}

/// The destination port of a quoted packet.
fn port(out: &mut Text, protocol: u8, quoted: Part<'_>) -> fmt::Result {
    match protocol {
        6 => out.write_str("tcp port ")?,
        17 => out.write_str("udp port ")?,
        _ => write!(out, "protocol {protocol} port ")?,
    }
    match quoted.u16(2) {
        Some(port) => write!(out, "{port}"),
        None => out.write_str("[|icmp]"),
    }
}

pub(super) fn v6(out: &mut Text, payload: Payload<'_>) -> fmt::Result {
    let part = payload.part;
    out.kind = Kind::Icmp;
    let (Some([kind, code]), Some(word)) = (part.array(0), part.u32(4)) else {
        return out.write_str("[|icmp6]");
    };
    let (high, low) = (word >> 16, word & 0xffff);
    if out.style.verbose
        && !payload.fragment
        && let Some(sum) = Checksum::of(payload.ends, 58, part, 2)
    {
        match sum.is_right() {
            true => out.write_str("[icmp6 sum ok] ")?,
            false => write!(
                out,
                "[bad icmp6 cksum 0x{:04x} -> 0x{:04x}!] ",
                sum.found, sum.wanted
            )?,
        }
    }
    out.write_str("ICMP6, ")?;
    match kind {
        1 => unreachable(out, code, part.after(8))?,
        2 => write!(out, "packet too big, mtu {word}")?,
        3 if code == 0 => {
            out.write_str("time exceeded in-transit for ")?;
            quoted_destination(out, part.after(8))?;
        }
        3 if code == 1 => out.write_str("time exceeded in-transit (reassembly)")?,
        3 => write!(out, "time exceeded in-transit, unknown code ({code})")?,
        4 => match code {
            0 => write!(out, "parameter problem, erroneous - octet {word}")?,
            1 => write!(out, "parameter problem, next header - octet {word}")?,
            2 => write!(out, "parameter problem, option - octet {word}")?,
            _ => write!(out, "parameter problem, code-#{code}")?,
        },
        128 => write!(out, "echo request, id {high}, seq {low}")?,
        129 => write!(out, "echo reply, id {high}, seq {low}")?,
        130 => out.write_str("multicast listener query")?,
        131 => address(out, "multicast listener report, addr: ", part, 8)?,
        132 => address(out, "multicast listener done, addr: ", part, 8)?,
        133 => out.write_str("router solicitation")?,
        134 => out.write_str("router advertisement")?,
        135 => address(out, "neighbor solicitation, who has ", part, 8)?,
        136 => address(out, "neighbor advertisement, tgt is ", part, 8)?,
        137 => {
            address(out, "redirect, ", part, 24)?;
            address(out, " to ", part, 8)?;
        }
        143 => write!(out, "multicast listener report v2, {low} group record(s)")?,
        _ => write!(out, "unknown icmp6 type ({kind})")?,
    }
    write!(out, ", length {}", part.length)
}

fn unreachable(out: &mut Text, code: u8, quoted: Part<'_>) -> fmt::Result {
    out.write_str("destination unreachable, ")?;
    match code {
        0 => out.write_str("unreachable route ")?,
        1 => out.write_str("unreachable prohibited ")?,
        2 => out.write_str("beyond scope ")?,
        3 => out.write_str("unreachable address ")?,
        4 => out.write_str("unreachable port, ")?,
        _ => return write!(out, "unknown unreach code ({code})"),
    }
    quoted_destination(out, quoted)?;
    let Ok(header) = Ipv6HeaderSlice::from_slice(quoted.data) else {
        return Ok(());
    };
    match code {
        2 => write!(out, ", source address {}", header.source_addr()),
        4 => {
            out.write_char(' ')?;
            port(
                out,
                header.next_header().0,
                quoted.after(header.slice().len()),
            )
        }
        _ => Ok(()),
    }
}

fn quoted_destination(out: &mut Text, quoted: Part<'_>) -> fmt::Result {
    address(out, "", quoted, 24)
}

fn address(out: &mut Text, before: &str, part: Part<'_>, at: usize) -> fmt::Result {
    out.write_str(before)?;
    match part.array::<16>(at) {
        Some(address) => write!(out, "{}", Ipv6Addr::from(address)),
        None => out.write_str("[|icmp6]"),
    }
}

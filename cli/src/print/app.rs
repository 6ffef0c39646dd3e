//! A line about DNS, multicast DNS and DHCP messages.

use std::fmt::{self, Write};
use std::net::{Ipv4Addr, Ipv6Addr};

use super::text::{Part, Text};
use crate::mac::Mac;

/// What an UDP payload on such ports says; false where it is nothing known.
pub(super) fn write(
    out: &mut Text,
    [source, destination]: [u16; 2],
    part: Part<'_>,
) -> Result<bool, fmt::Error> {
    let either = |port: u16| source == port || destination == port;
    if either(53) || either(5353) {
        let multicast = either(5353);
        let Some(text) = dns(part, multicast) else {
            return Ok(false);
        };
        write!(out, "{text} ({})", part.length)?;
        return Ok(true);
    }
    if either(67) || either(68) {
        let Some(text) = dhcp(part) else {
            return Ok(false);
        };
        out.write_str(&text)?;
        return Ok(true);
    }
    Ok(false)
}

/// Of a request or a reply, on the ports where they are usual.
pub(super) fn first_line_of_http<'p>(ports: [u16; 2], part: Part<'p>) -> Option<&'p [u8]> {
    const STARTS: [&[u8]; 8] = [
        b"GET ",
        b"POST ",
        b"HEAD ",
        b"PUT ",
        b"DELETE ",
        b"OPTIONS ",
        b"CONNECT ",
        b"HTTP/1.",
    ];
    let usual = ports
        .iter()
        .any(|port| matches!(port, 80 | 8000 | 8080 | 3128));
    let line = part
        .data
        .split(|byte| matches!(byte, b'\r' | b'\n'))
        .next()?;
    (usual && STARTS.iter().any(|start| line.starts_with(start))).then_some(line)
}

/// Many short records can name one long name: what is printed stays in proportion to the packet.
fn is_enough(text: &mut String, part: Part<'_>) -> bool {
    let enough = text.len() > 1024 + 4 * part.data.len();
    if enough {
        text.push_str(" ...");
    }
    enough
}

/// `None` where a message that should be there is not, or is cut.
fn dns(part: Part<'_>, multicast: bool) -> Option<String> {
    let (id, flags) = (part.u16(0)?, part.u16(2)?);
    let count = |at: usize| part.u16(at);
    let (questions, answers) = (count(4)?, count(6)?);
    let mut text = id.to_string();
    let is = |bit: u16, mark: &'static str| if flags & bit != 0 { mark } else { "" };
    let opcode = flags >> 11 & 15;
    if opcode != 0 {
        text += &format!(" op{opcode}");
    }
    let mut at = 12;
    if flags & 0x8000 == 0 {
        text += is(0x0100, "+");
        for (count, what) in [(answers, "a"), (count(8)?, "n"), (count(10)?, "au")] {
            if count > 0 {
                text += &format!(" [{count}{what}]");
            }
        }
        for _ in 0..questions {
            let (name, next) = name(part, at)?;
            let (kind, class) = (part.u16(next)?, part.u16(next + 2)?);
            let how = match (multicast, class & 0x8000) {
                (false, _) => "",
                (true, 0) => " (QM)",
                (true, _) => " (QU)",
            };
            text += &format!(" {}{how}? {name}", kind_name(kind));
            if is_enough(&mut text, part) {
                break;
            }
            at = next + 4;
        }
        return Some(text);
    }
    text += rcode(flags & 15);
    text += is(0x0400, "*");
    text += if flags & 0x0080 == 0 && !multicast {
        "-"
    } else {
        ""
    };
    text += is(0x0200, "|");
    text += &format!(" {answers}/{}/{}", count(8)?, count(10)?);
    for _ in 0..questions {
        at = name(part, at)?.1 + 4;
    }
    for number in 0..answers {
        let (_, next) = name(part, at)?;
        let (kind, length) = (part.u16(next)?, usize::from(part.u16(next + 8)?));
        let data = next + 10;
        text += if number > 0 { ", " } else { " " };
        text += &kind_name(kind);
        if let Some(value) = value(part, kind, data, length) {
            text += &format!(" {value}");
        }
        if is_enough(&mut text, part) {
            break;
        }
        at = data + length;
    }
    Some(text)
}

fn value(part: Part<'_>, kind: u16, at: usize, length: usize) -> Option<String> {
    Some(match (kind, length) {
        (1, 4) => Ipv4Addr::from(part.array::<4>(at)?).to_string(),
        (28, 16) => Ipv6Addr::from(part.array::<16>(at)?).to_string(),
        (2 | 5 | 12, _) => name(part, at)?.0,
        (15, _) => format!("{} {}", name(part, at + 2)?.0, part.u16(at)?),
        (16, _) => {
            let text = part.data.get(at + 1..at + 1 + usize::from(part.u8(at)?))?;
            format!("\"{}\"", text.escape_ascii())
        }
        (33, _) => format!(
            "{}:{} {} {}",
            name(part, at + 6)?.0,
            part.u16(at + 4)?,
            part.u16(at)?,
            part.u16(at + 2)?
        ),
        _ => return None,
    })
}

/// A name, and where what follows it begins.
fn name(part: Part<'_>, mut at: usize) -> Option<(String, usize)> {
    let mut text = String::new();
    let (mut next, mut bytes) = (None, 1);
    // A name has 255 bytes at most (RFC 1035, 2.3.4); one that points in a circle would have more.
    for _ in 0..128 {
        let length = usize::from(part.u8(at)?);
        match length {
            0 => {
                if text.is_empty() {
                    text.push('.');
                }
                return Some((text, next.unwrap_or(at + 1)));
            }
            0xc0.. => {
                next.get_or_insert(at + 2);
                at = usize::from(part.u16(at)? & 0x3fff);
            }
            64.. => return None,
            _ => {
                bytes += 1 + length;
                if bytes > 255 {
                    return None;
                }
                let label = part.data.get(at + 1..at + 1 + length)?;
                text += &format!("{}.", label.escape_ascii());
                at += 1 + length;
            }
        }
    }
    None
}

fn kind_name(kind: u16) -> String {
    let name = match kind {
        1 => "A",
        2 => "NS",
        5 => "CNAME",
        6 => "SOA",
        12 => "PTR",
        13 => "HINFO",
        15 => "MX",
        16 => "TXT",
        28 => "AAAA",
        33 => "SRV",
        35 => "NAPTR",
        41 => "OPT",
        43 => "DS",
        46 => "RRSIG",
        47 => "NSEC",
        48 => "DNSKEY",
        64 => "SVCB",
        65 => "HTTPS",
        252 => "AXFR",
        255 => "ANY",
        other => return format!("Type{other}"),
    };
    name.to_owned()
}

fn rcode(code: u16) -> &'static str {
    match code {
        0 => "",
        1 => " FormErr",
        2 => " ServFail",
        3 => " NXDomain",
        4 => " NotImp",
        5 => " Refused",
        6 => " YXDomain",
        7 => " YXRRSet",
        8 => " NXRRSet",
        9 => " NotAuth",
        10 => " NotZone",
        _ => " Resp?",
    }
}

fn dhcp(part: Part<'_>) -> Option<String> {
    let (operation, hardware) = (part.u8(0)?, part.array::<3>(1)?);
    let mut text = "BOOTP/DHCP, ".to_owned();
    match operation {
        1 => text += "Request",
        2 => text += "Reply",
        other => text += &format!("unknown ({other})"),
    }
    if operation == 1 && hardware[..2] == [1, 6] {
        text += &format!(" from {}", Mac(part.array(28)?));
    }
    text += &format!(", length {}", part.length);
    if let Some(kind) = message_type(part) {
        text += &format!(", {kind}");
    }
    let given = part.array::<4>(16)?;
    if operation == 2 && given != [0; 4] {
        text += &format!(", your IP {}", Ipv4Addr::from(given));
    }
    Some(text)
}

/// From the options, which a magic number begins.
fn message_type(part: Part<'_>) -> Option<&'static str> {
    if part.array(236)? != [99, 130, 83, 99] {
        return None;
    }
    let mut at = 240;
    loop {
        match part.u8(at)? {
            0 => at += 1,
            255 => return None,
            53 => break,
            _ => at += 2 + usize::from(part.u8(at + 1)?),
        }
    }
    let names = [
        "Discover", "Offer", "Request", "Decline", "ACK", "NAK", "Release", "Inform",
    ];
    let kind = usize::from(part.u8(at + 2)?);
    names.get(kind.checked_sub(1)?).copied()
}

#[cfg(test)]
mod tests {
    use memif::LinkType;

    use crate::print::tests::{ethernet, line, v4};

    /// Found by fuzzing: names are pointed to, so a small packet could make a line of megabytes.
    #[test]
    fn names_do_not_swell() {
        let long = |labels: usize| [&b"\x3f"[..], &[1; 63]].concat().repeat(labels);
        let dns = |flags: u8, questions: u8, answers: u8, records: &[u8]| {
            let header = [0, 9, flags, 0, 0, questions, 0, answers, 0, 0, 0, 0];
            let length = (8 + header.len() + records.len()) as u16;
            let ports = [&[0, 53, 0, 53][..], &length.to_be_bytes(), &[0, 0]].concat();
            let packet = v4(17, &[&ports[..], &header, records].concat());
            let packet = ethernet(0x0800, &packet);
            (
                packet.len(),
                line(LinkType::ETHERNET, &packet, packet.len()),
            )
        };
        // The first is three labels, the others point to it.
        let question = [&long(3)[..], &[0, 0, 1, 0, 1]].concat();
        let many = [&question[..], &[0xc0, 12, 0, 1, 0, 1].repeat(254)].concat();
        let answer = [0xc0, 12, 0, 2, 0, 1, 0, 0, 0, 0, 0, 2, 0xc0, 12].repeat(255);
        let answers = [&question[..], &answer].concat();
        for (length, line) in [dns(1, 255, 0, &many), dns(0x80, 1, 255, &answers)] {
            assert!(line.contains(" ... ("), "{line}");
            assert!(line.len() < 4096 + 8 * length, "{} of {length}", line.len());
        }
        // 255 bytes are a name, more are none.
        let of = |labels: &[u8]| dns(1, 1, 0, &[labels, &[0, 0, 1, 0, 1]].concat()).1;
        let most = [&long(3)[..], b"\x3d", &[b'x'; 61]].concat();
        assert!(of(&most).contains(" A? "));
        assert!(!of(&long(4)).contains(" A? "));
    }
}

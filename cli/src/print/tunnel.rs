//! MPLS, GRE, VXLAN, and the packets in them.

use std::fmt::{self, Write};

use super::ip::{self, DEEPEST};
use super::link;
use super::text::{Part, Text};

/// Labels down to the bottom of the stack; the payload tells by its first four bits what it is.
pub(super) fn mpls(out: &mut Text, mut part: Part<'_>, depth: u8) -> fmt::Result {
    out.write_str("MPLS ")?;
    loop {
        let Some(entry) = part.u32(0) else {
            return out.write_str("[|mpls]");
        };
        let (label, class, ttl) = (entry >> 12, entry >> 9 & 7, entry & 0xff);
        let bottom = entry & 0x100 != 0;
        let mark = if bottom { ", [S]" } else { "" };
        write!(out, "(label {label}, tc {class}{mark}, ttl {ttl}) ")?;
        part = part.after(4);
        if bottom {
            break;
        }
    }
    match part.u8(0).map(|byte| byte >> 4) {
        Some(4 | 6) => ip::write(out, part, depth),
        _ => write!(out, "length {}", part.length),
    }
}

pub(super) fn gre(out: &mut Text, part: Part<'_>, depth: u8) -> fmt::Result {
    let (Some(flags), Some(kind)) = (part.u16(0), part.u16(2)) else {
        return out.write_str("[|gre]");
    };
    write!(out, "GREv{}", flags & 7)?;
    if flags & 7 != 0 || flags & 0x4000 != 0 {
        return write!(out, ", length {}", part.length);
    }
    let mut at = 4;
    if flags & 0x8000 != 0 {
        at += 4;
    }
    for (bit, name) in [(0x2000, "key"), (0x1000, "seq")] {
        if flags & bit == 0 {
            continue;
        }
        let Some(number) = part.u32(at) else {
            return write!(out, " [|gre]");
        };
        match name {
            "key" => write!(out, ", key=0x{number:x}")?,
            _ => write!(out, ", seq {number}")?,
        }
        at += 4;
    }
    if out.style.link_level {
        let name = match link::name(kind) {
            "Unknown" => "unknown",
            known => known,
        };
        write!(out, ", proto {name} (0x{kind:04x})")?;
    }
    write!(out, ", length {}: ", part.length)?;
    let payload = part.after(at);
    if !inner(out, kind, payload, depth)? {
        write!(out, "gre-proto-0x{kind:x}")?;
    }
    Ok(())
}

/// What is inside, by its EtherType; false where it has no lines of its own.
fn inner(out: &mut Text, kind: u16, payload: Part<'_>, depth: u8) -> Result<bool, fmt::Error> {
    match kind {
        _ if depth >= DEEPEST => Ok(false),
        0x6558 => link::ethernet(out, payload, depth + 1).map(|()| true),
        kind => link::network(out, kind, payload, depth + 1),
    }
}

/// After the UDP header; false where it is none.
pub(super) fn vxlan(out: &mut Text, part: Part<'_>, depth: u8) -> Result<bool, fmt::Error> {
    let (Some(flags), Some(word)) = (part.u8(0), part.u32(4)) else {
        return Ok(false);
    };
    let mark = if flags & 8 != 0 { "I" } else { "." };
    write!(
        out,
        "VXLAN, flags [{mark}] (0x{flags:02x}), vni {}: ",
        word >> 8
    )?;
    if depth >= DEEPEST {
        write!(out, "length {}", part.length)?;
    } else {
        link::ethernet(out, part.after(8), depth + 1)?;
    }
    Ok(true)
}

/// As `vxlan`; its options are passed over.
pub(super) fn geneve(out: &mut Text, part: Part<'_>, depth: u8) -> Result<bool, fmt::Error> {
    let (Some([first, flags]), Some(kind), Some(word)) = (part.array(0), part.u16(2), part.u32(4))
    else {
        return Ok(false);
    };
    if first >> 6 != 0 {
        return Ok(false);
    }
    let mark = match flags >> 6 {
        0 => "none",
        1 => "C",
        2 => "O",
        _ => "OC",
    };
    write!(out, "Geneve, Flags [{mark}], vni 0x{:x}", word >> 8)?;
    let payload = part.after(8 + usize::from(first & 0x3f) * 4);
    if out.style.link_level {
        write!(out, ", proto {} (0x{kind:04x})", link::name(kind))?;
    }
    out.write_str(": ")?;
    if !inner(out, kind, payload, depth)? {
        write!(out, "geneve-proto-0x{kind:x}, length {}", payload.length)?;
    }
    Ok(true)
}

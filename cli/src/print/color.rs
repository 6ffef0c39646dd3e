//! Colours, where they are wanted: the time is faint, a packet has its protocol's.

use std::fmt::{self, Write};

use super::text::{Kind, Text};

fn code(kind: Kind) -> Option<&'static str> {
    match kind {
        Kind::Other => None,
        Kind::Tcp => Some("\x1b[32m"),
        Kind::TcpFlags => Some("\x1b[1;32m"),
        Kind::Udp => Some("\x1b[36m"),
        Kind::Icmp => Some("\x1b[35m"),
        Kind::Arp => Some("\x1b[33m"),
    }
}

const FAINT: &str = "\x1b[2m";
const END: &str = "\x1b[0m";

pub(super) fn time(text: &mut Text, write: impl FnOnce(&mut String) -> fmt::Result) -> fmt::Result {
    if !text.style.color {
        return write(&mut text.line);
    }
    text.line.write_str(FAINT)?;
    write(&mut text.line)?;
    text.line.write_str(END)
}

/// Of what has been written from `start` on.
pub(super) fn body(text: &mut Text, start: usize) {
    if text.style.color
        && let Some(code) = code(text.kind)
    {
        let trimmed = text.line.trim_end().len();
        text.line.truncate(trimmed.max(start));
        text.line.insert_str(start, code);
        text.line.push_str(END);
    }
}

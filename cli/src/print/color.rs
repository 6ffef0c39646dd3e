//! Colours, where they are wanted: the time is faint, a packet has its protocol's.

use std::fmt::{self, Write};

use super::text::Text;

/// What a packet is, for its colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Other,
    Tcp,
    /// A connection that begins or ends.
    TcpFlags,
    Udp,
    Icmp,
    Arp,
}

impl Kind {
    fn code(self) -> Option<&'static str> {
        match self {
            Self::Other => None,
            Self::Tcp => Some("\x1b[32m"),
            Self::TcpFlags => Some("\x1b[1;32m"),
            Self::Udp => Some("\x1b[36m"),
            Self::Icmp => Some("\x1b[35m"),
            Self::Arp => Some("\x1b[33m"),
        }
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
        && let Some(code) = text.kind.code()
    {
        let trimmed = text.line.trim_end().len();
        text.line.truncate(trimmed.max(start));
        text.line.insert_str(start, code);
        text.line.push_str(END);
    }
}

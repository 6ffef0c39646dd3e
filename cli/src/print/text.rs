//! A line in the making, and the bytes it tells of.

use std::fmt::{self, Write};

use super::options::Style;
use super::sequence::Connections;

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

/// A line in the making.
#[derive(Debug)]
pub(super) struct Text {
    pub(super) line: String,
    pub(super) style: Style,
    pub(super) kind: Kind,
    /// Whether packets have a link header.
    pub(super) ethernet: bool,
    /// How many of the last bytes are to be shown in hex, as nothing else can be said.
    pub(super) unknown: Option<usize>,
    /// Bytes of the link header, with its tags.
    pub(super) link_header: usize,
    /// Where TCP's numbers are to be counted from the beginning of each.
    pub(super) connections: Option<Connections>,
}

impl Write for Text {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.line.write_str(text)
    }
}

/// The captured bytes of a layer, and how many it has in truth, or claims to have.
#[derive(Clone, Copy)]
pub(super) struct Part<'a> {
    pub(super) data: &'a [u8],
    pub(super) length: usize,
}

impl<'a> Part<'a> {
    /// What follows the first bytes.
    pub(super) fn after(self, header: usize) -> Self {
        Self {
            data: self.data.get(header..).unwrap_or_default(),
            length: self.length.saturating_sub(header),
        }
    }

    /// What a length field leaves of it. The field is believed even where it claims more.
    pub(super) fn limit(self, length: usize) -> Self {
        Self {
            data: &self.data[..self.data.len().min(length)],
            length,
        }
    }

    pub(super) fn array<const N: usize>(self, at: usize) -> Option<[u8; N]> {
        self.data.get(at..)?.first_chunk().copied()
    }

    pub(super) fn u8(self, at: usize) -> Option<u8> {
        self.data.get(at).copied()
    }

    pub(super) fn u16(self, at: usize) -> Option<u16> {
        self.array(at).map(u16::from_be_bytes)
    }

    pub(super) fn u32(self, at: usize) -> Option<u32> {
        self.array(at).map(u32::from_be_bytes)
    }
}

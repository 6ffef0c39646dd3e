//! Packets as lines, in the words of `tcpdump -n` with nanoseconds.
//!
//! ```text
//! 22:13:20.123456789 ARP, Request who-has 192.0.2.2 tell 192.0.2.1, length 46
//! 22:13:20.146255716 IP 192.0.2.1.40007 > 192.0.2.2.7: Flags [S], seq 1, win 64240, options [mss 1460], length 0
//! ```
//!
//! Differences, each to say more or to keep to one line: VLAN tags are shown always, fragments after the first say where
//! they belong, a protocol without words of its own has its length.
//! What a cut packet lacks is marked by `[|layer]`.

use std::fmt::{self, Write};

use jiff::tz::TimeZone;
use memif::{LinkType, Packet};

mod app;
mod checksum;
mod color;
mod hex;
mod icmp;
mod ip;
mod json;
mod lines;
mod link;
mod options;
mod sequence;
mod time;
mod transport;
mod tunnel;

use checksum::Checksum;
use color::Kind;
pub(crate) use lines::Lines;
pub(crate) use options::PrintArgs;
use options::Style;
use sequence::Connections;
use time::Clock;

/// Turns packets into lines.
#[derive(Debug)]
pub(crate) struct Printer {
    link_type: LinkType,
    clock: Clock,
    text: Text,
}

impl Printer {
    /// For packets that start with such a header; times are local, the style is plain, each line by itself.
    pub(crate) fn new(link_type: LinkType) -> Self {
        Self::styled(link_type, Style::default())
    }

    /// In the style that was asked for.
    fn styled(link_type: LinkType, style: Style) -> Self {
        let zone = TimeZone::try_system().unwrap_or(TimeZone::UTC);
        Self::with_zone(link_type, style, zone)
    }

    /// The packet's line, without its end. It lasts until the next call.
    pub(crate) fn line(&mut self, packet: &Packet<'_>) -> &str {
        self.text.line.clear();
        self.text.kind = Kind::Other;
        self.text.unknown = None;
        self.text.link_header = if self.text.ethernet { 14 } else { 0 };
        // A String takes all that is written.
        let _ = self.write(packet);
        let trimmed = self.text.line.trim_end().len();
        self.text.line.truncate(trimmed);
        &self.text.line
    }

    /// The line, and the bytes in hex if they were asked for, or nothing else could be said.
    fn lines(&mut self, packet: &Packet<'_>) -> &str {
        self.line(packet);
        let _ = self.write_bytes(packet);
        &self.text.line
    }

    fn with_zone(link_type: LinkType, style: Style, zone: TimeZone) -> Self {
        Self {
            link_type,
            clock: Clock::new(zone, style.time),
            text: Text {
                line: String::with_capacity(256),
                style,
                kind: Kind::Other,
                ethernet: u32::from(link_type) == 1,
                unknown: None,
                link_header: 0,
                connections: style.relative.then(Connections::default),
            },
        }
    }

    fn write(&mut self, packet: &Packet<'_>) -> fmt::Result {
        let text = &mut self.text;
        let time = packet.info().timestamp;
        color::time(text, |out| self.clock.write(out, time))?;
        let part = Part {
            data: packet.data(),
            length: packet.info().length,
        };
        let start = text.line.len();
        link::write(text, self.link_type, part)?;
        color::body(text, start);
        Ok(())
    }

    /// The dump that was asked for, or else of what had no words.
    fn write_bytes(&mut self, packet: &Packet<'_>) -> fmt::Result {
        let text = &mut self.text;
        let (from, ascii) = match (text.style.dump, text.unknown) {
            (Some(dump), _) => (if dump.link { 0 } else { text.link_header }, dump.ascii),
            (None, Some(payload)) if !text.style.quiet => {
                let left = payload.min(packet.len());
                (packet.len() - left, true)
            }
            (None, _) => return Ok(()),
        };
        let bytes = packet.data().get(from..).unwrap_or_default();
        hex::write(&mut text.line, bytes, ascii)
    }
}

/// A line in the making.
#[derive(Debug)]
struct Text {
    line: String,
    style: Style,
    kind: Kind,
    /// Whether packets have a link header.
    ethernet: bool,
    /// How many of the last bytes are to be shown in hex, as nothing else can be said.
    unknown: Option<usize>,
    /// Bytes of the link header, with its tags.
    link_header: usize,
    /// Where TCP's numbers are to be counted from the beginning of each.
    connections: Option<Connections>,
}

impl Write for Text {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.line.write_str(text)
    }
}

/// The captured bytes of a layer, and how many it has in truth, or claims to have.
#[derive(Clone, Copy)]
struct Part<'a> {
    data: &'a [u8],
    length: usize,
}

impl<'a> Part<'a> {
    /// What follows the first bytes.
    fn after(self, header: usize) -> Self {
        Self {
            data: self.data.get(header..).unwrap_or_default(),
            length: self.length.saturating_sub(header),
        }
    }

    /// What a length field leaves of it. The field is believed even where it claims more.
    fn limit(self, length: usize) -> Self {
        Self {
            data: &self.data[..self.data.len().min(length)],
            length,
        }
    }

    fn array<const N: usize>(self, at: usize) -> Option<[u8; N]> {
        self.data.get(at..)?.first_chunk().copied()
    }

    fn u8(self, at: usize) -> Option<u8> {
        self.data.get(at).copied()
    }

    fn u16(self, at: usize) -> Option<u16> {
        self.array(at).map(u16::from_be_bytes)
    }

    fn u32(self, at: usize) -> Option<u32> {
        self.array(at).map(u32::from_be_bytes)
    }
}

#[cfg(test)]
mod tests;

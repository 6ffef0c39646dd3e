//! Turns packets into lines.

use std::fmt::{self, Write};

use jiff::tz::TimeZone;
use memif::{LinkType, Packet};

use super::options::Style;
use super::sequence::Connections;
use super::text::{Kind, Part, Text};
use super::time::Clock;
use super::{color, hex, link};
use crate::link_type::Header;

/// Turns packets into lines.
#[derive(Debug)]
pub struct Printer {
    link_type: LinkType,
    clock: Clock,
    text: Text,
    /// Of the last packet, from 1.
    number: u64,
}

impl Printer {
    /// For packets that start with such a header; times are local, the style is plain, each line by
    /// itself.
    pub fn new(link_type: LinkType) -> Self {
        Self::styled(link_type, Style::default())
    }

    /// In the style that was asked for.
    pub(super) fn styled(link_type: LinkType, style: Style) -> Self {
        let zone = TimeZone::try_system().unwrap_or(TimeZone::UTC);
        Self::with_zone(link_type, style, zone)
    }

    /// The packet's line, without its end. It lasts until the next call.
    pub fn line(&mut self, packet: &Packet<'_>) -> &str {
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
    pub(super) fn lines(&mut self, packet: &Packet<'_>) -> &str {
        self.line(packet);
        let _ = self.write_bytes(packet);
        &self.text.line
    }

    pub(super) fn with_zone(link_type: LinkType, style: Style, zone: TimeZone) -> Self {
        Self {
            link_type,
            clock: Clock::new(zone, style.time),
            number: 0,
            text: Text {
                line: String::with_capacity(256),
                style,
                kind: Kind::Other,
                ethernet: Header::of(link_type) == Header::Ethernet,
                unknown: None,
                link_header: 0,
                connections: style.relative.then(Connections::default),
            },
        }
    }

    fn write(&mut self, packet: &Packet<'_>) -> fmt::Result {
        let text = &mut self.text;
        let time = packet.info().timestamp;
        self.number += 1;
        if text.style.number {
            write!(text, "{:>5}  ", self.number)?;
        }
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
            (Some(dump), _) if dump.only_ascii => {
                let bytes = packet.data().get(text.link_header..).unwrap_or_default();
                return hex::write_ascii(&mut text.line, bytes);
            }
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

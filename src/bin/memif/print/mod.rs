//! Packets as lines, in the words of `tcpdump -nS` with nanoseconds.
//!
//! ```text
//! 22:13:20.123456789 ARP, Request who-has 192.0.2.2 tell 192.0.2.1, length 46
//! 22:13:20.146255716 IP 192.0.2.1.40007 > 192.0.2.2.7: Flags [S], seq 1, win 64240, options [mss 1460], length 0
//! ```
//!
//! Differences, each to say more or to keep to one line: VLAN tags are shown always, fragments after the first say where
//! they belong, a protocol without words of its own has its length, application protocols are not looked into.
//! What a cut packet lacks is marked by `[|layer]`.

use std::fmt::{self, Write};

use jiff::tz::TimeZone;
use memif::{LinkType, Packet, Timestamp};

mod icmp;
mod ip;
mod link;
mod transport;

/// Turns packets into lines.
#[derive(Debug)]
pub(crate) struct Printer {
    link_type: LinkType,
    clock: LocalTime,
    line: String,
}

impl Printer {
    /// For packets that start with such a header; times are local.
    pub(crate) fn new(link_type: LinkType) -> Self {
        Self::with_zone(link_type, TimeZone::try_system().unwrap_or(TimeZone::UTC))
    }

    /// The packet's line, without its end. It lasts until the next call.
    pub(crate) fn line(&mut self, packet: &Packet<'_>) -> &str {
        self.line.clear();
        // A String takes all that is written.
        let _ = self.write(packet);
        self.line.truncate(self.line.trim_end().len());
        &self.line
    }

    fn with_zone(link_type: LinkType, zone: TimeZone) -> Self {
        Self {
            link_type,
            clock: LocalTime {
                zone,
                second: None,
                text: String::new(),
            },
            line: String::with_capacity(256),
        }
    }

    fn write(&mut self, packet: &Packet<'_>) -> fmt::Result {
        self.clock.write(&mut self.line, packet.info().timestamp)?;
        let part = Part {
            data: packet.data(),
            length: packet.info().length,
        };
        link::write(&mut self.line, self.link_type, part)
    }
}

/// Asks the time zone once a second: packets come by the million.
#[derive(Debug)]
struct LocalTime {
    zone: TimeZone,
    second: Option<u64>,
    text: String,
}

impl LocalTime {
    fn write(&mut self, out: &mut String, time: Timestamp) -> fmt::Result {
        let second = time.seconds();
        if self.second != Some(second) {
            self.second = Some(second);
            let utc = i64::try_from(second).unwrap_or(0);
            let offset = jiff::Timestamp::from_second(utc)
                .map_or(0, |time| self.zone.to_offset(time).seconds());
            let of_day = (utc + i64::from(offset)).rem_euclid(86_400);
            self.text.clear();
            let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
            write!(self.text, "{hour:02}:{minute:02}:{second:02}")?;
        }
        write!(out, "{}.{:09} ", self.text, time.subsec_nanos())
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

//! What `-v` says of the checksums of TCP, UDP and ICMPv6.

use std::net::IpAddr;

use etherparse::checksum::Sum16BitWords;

use super::ip::Ends;
use super::text::Part;

/// The checksum in a packet, and the one that it should have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Checksum {
    pub(super) found: u16,
    pub(super) wanted: u16,
}

impl Checksum {
    /// Of a packet's part whose checksum stands `at` an even place; `None` where the part is cut.
    pub(super) fn of(ends: Ends, protocol: u8, part: Part<'_>, at: usize) -> Option<Self> {
        let found = part.u16(at)?;
        if part.data.len() != part.length {
            return None;
        }
        let sum = match (ends.source, ends.destination) {
            (IpAddr::V4(a), IpAddr::V4(b)) => {
                let sum = Sum16BitWords::new().add_slice(&a.octets());
                sum.add_slice(&b.octets())
            }
            (IpAddr::V6(a), IpAddr::V6(b)) => {
                let sum = Sum16BitWords::new().add_slice(&a.octets());
                sum.add_slice(&b.octets())
            }
            _ => return None,
        };
        // A jumbogram's length needs more than two bytes.
        let length = u32::try_from(part.length).ok()?.to_be_bytes();
        let sum = sum.add_slice(&length).add_2bytes([0, protocol]);
        let (before, after) = (&part.data[..at], &part.data[at + 2..]);
        let wanted = sum.add_slice(before).add_slice(after).ones_complement();
        Some(Self {
            found,
            wanted: u16::from_be(wanted),
        })
    }

    /// Both forms of zero are the same number.
    pub(super) fn is_right(self) -> bool {
        let number = |sum: u16| if sum == 0xffff { 0 } else { sum };
        number(self.found) == number(self.wanted)
    }
}

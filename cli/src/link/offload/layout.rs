//! Where a frame's headers are, and what they say.

use std::ops::Range;

use super::sum::Sum;

const IPV4: usize = 20;
const IPV6: usize = 40;
const TCP: usize = 20;
const UDP: usize = 8;

/// The place of the flags in TCP's header.
const FLAGS: usize = 13;
pub(super) const FIN: u8 = 0x01;
pub(super) const SYN: u8 = 0x02;
pub(super) const RST: u8 = 0x04;
pub(super) const PSH: u8 = 0x08;
pub(super) const ACK: u8 = 0x10;
pub(super) const URG: u8 = 0x20;
pub(super) const CWR: u8 = 0x80;

/// Where the parts of a TCP segment or UDP datagram begin in an Ethernet frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) ip: usize,
    pub(super) v6: bool,
    pub(super) udp: bool,
    pub(super) transport: usize,
    pub(super) payload: usize,
}

/// Where the IP header begins, behind at most two VLAN tags, and whether it is one of IPv6.
fn network(frame: &[u8]) -> Option<(usize, bool)> {
    let mut at = 12;
    loop {
        let v6 = match frame.get(at..at + 2)? {
            [0x81, 0x00] | [0x88, 0xa8] if at < 20 => {
                at += 4;
                continue;
            }
            [0x08, 0x00] => false,
            [0x86, 0xdd] => true,
            _ => return None,
        };
        let version = *frame.get(at + 2)? >> 4;
        return (version == if v6 { 6 } else { 4 }).then_some((at + 2, v6));
    }
}

impl Layout {
    /// Of a frame whose transport header is known to begin there.
    pub(super) fn at(frame: &[u8], transport: usize, udp: bool) -> Option<Self> {
        let (ip, v6) = network(frame)?;
        let header = match udp {
            true => UDP,
            false => usize::from(*frame.get(transport + 12)? >> 4) * 4,
        };
        let payload = transport + header;
        let whole = transport >= ip + if v6 { IPV6 } else { IPV4 }
            && header >= if udp { UDP } else { TCP }
            && payload <= frame.len();
        whole.then_some(Self {
            ip,
            v6,
            udp,
            transport,
            payload,
        })
    }

    /// `None` with IP options or extension headers, and of fragments.
    pub(super) fn of(frame: &[u8]) -> Option<Self> {
        let (ip, v6) = network(frame)?;
        let (protocol, transport) = if v6 {
            (*frame.get(ip + 6)?, ip + IPV6)
        } else {
            let fragment = u16::from_be_bytes(*frame.get(ip + 6..)?.first_chunk()?) & 0x3fff != 0;
            if frame[ip] != 0x45 || fragment {
                return None;
            }
            (*frame.get(ip + 9)?, ip + IPV4)
        };
        match protocol {
            6 => Self::at(frame, transport, false),
            17 => Self::at(frame, transport, true),
            _ => None,
        }
    }

    /// Where the transport's checksum is, from its header on.
    pub(super) fn checksum(&self) -> usize {
        if self.udp { 6 } else { 16 }
    }

    fn checksum_place(&self) -> Range<usize> {
        let at = self.transport + self.checksum();
        at..at + 2
    }

    pub(super) fn checksum_of(&self, frame: &[u8]) -> u16 {
        word(frame, self.checksum_place().start)
    }

    pub(super) fn set_checksum(&self, frame: &mut [u8], checksum: u16) {
        frame[self.checksum_place()].copy_from_slice(&checksum.to_be_bytes());
    }

    /// The sum of the pseudo-header, for so many bytes of headers and payload.
    pub(super) fn pseudo_header(&self, frame: &[u8], length: usize) -> Sum {
        let addresses = match self.v6 {
            true => &frame[self.ip + 8..self.ip + IPV6],
            false => &frame[self.ip + 12..self.ip + IPV4],
        };
        let protocol = if self.udp { 17 } else { 6 };
        Sum::of(addresses)
            .add(&(length as u32).to_be_bytes())
            .add_word(protocol)
    }

    /// Whether the checksums are right, and the lengths those of the frame.
    pub(super) fn is_right(&self, frame: &[u8]) -> bool {
        let length = frame.len() - self.transport;
        self.is_exact(frame)
            && (self.v6 || Sum::of(&frame[self.ip..self.transport]).value() == 0xffff)
            && self
                .pseudo_header(frame, length)
                .add(&frame[self.transport..])
                .value()
                == 0xffff
    }

    /// Whether the lengths are those of the frame: neither cut nor padded.
    pub(super) fn is_exact(&self, frame: &[u8]) -> bool {
        let length = frame.len() - self.transport;
        let says = |at| usize::from(word(frame, at));
        let ip = match self.v6 {
            true => says(self.ip + 4) + IPV6,
            false => says(self.ip + 2),
        };
        ip == frame.len() - self.ip && (!self.udp || says(self.transport + 4) == length)
    }

    /// Says in the headers how much payload follows.
    pub(super) fn set_length(&self, headers: &mut [u8], payload: usize) {
        let length = self.payload - self.ip + payload;
        if self.v6 {
            let length = (length - IPV6) as u16;
            headers[self.ip + 4..self.ip + 6].copy_from_slice(&length.to_be_bytes());
        } else {
            headers[self.ip + 2..self.ip + 4].copy_from_slice(&(length as u16).to_be_bytes());
            let header = &mut headers[self.ip..self.transport];
            header[10..12].fill(0);
            let checksum = !Sum::of(header).value();
            header[10..12].copy_from_slice(&checksum.to_be_bytes());
        }
        if self.udp {
            let length = (UDP + payload) as u16;
            headers[self.transport + 4..self.transport + 6].copy_from_slice(&length.to_be_bytes());
        }
    }

    /// The identification in the header of IPv4.
    pub(super) fn add_to_id(&self, headers: &mut [u8], n: u16) {
        if !self.v6 {
            let id = word(headers, self.ip + 4).wrapping_add(n);
            headers[self.ip + 4..self.ip + 6].copy_from_slice(&id.to_be_bytes());
        }
    }

    /// Whether the kernel, which numbers them anew, gives a frame the id that it had. Where nobody
    /// may fragment them, ids don't matter.
    pub(super) fn ids_follow(&self, first: &[u8], frame: &[u8], n: u16) -> bool {
        const DONT_FRAGMENT: u8 = 0x40;
        self.v6
            || frame[self.ip + 6] & DONT_FRAGMENT != 0
            || word(frame, self.ip + 4) == word(first, self.ip + 4).wrapping_add(n)
    }

    pub(super) fn sequence(&self, frame: &[u8]) -> u32 {
        let at = self.transport + 4;
        u32::from_be_bytes([frame[at], frame[at + 1], frame[at + 2], frame[at + 3]])
    }

    pub(super) fn set_sequence(&self, headers: &mut [u8], sequence: u32) {
        let at = self.transport + 4;
        headers[at..at + 4].copy_from_slice(&sequence.to_be_bytes());
    }

    pub(super) fn flags(&self, frame: &[u8]) -> u8 {
        frame[self.transport + FLAGS]
    }

    pub(super) fn set_flags(&self, headers: &mut [u8], flags: u8) {
        headers[self.transport + FLAGS] = flags;
    }

    /// Whether two frames of this layout are of one connection, or between the same two sockets.
    pub(super) fn is_same_flow(&self, a: &[u8], b: &[u8]) -> bool {
        let (addresses, protocol) = match self.v6 {
            true => (8..IPV6, 6),
            false => (12..IPV4, 9),
        };
        let ip = |part: Range<usize>| self.ip + part.start..self.ip + part.end;
        let ports = self.transport..self.transport + 4;
        let same = |part: Range<usize>| a[part.clone()] == b[part];
        same(0..self.ip) && same(ip(addresses)) && same(ip(protocol..protocol + 1)) && same(ports)
    }

    /// Whether the headers of two frames of a flow differ in nothing but lengths, checksums, ids,
    /// sequence numbers and PSH.
    pub(super) fn is_alike(&self, a: &[u8], b: &[u8]) -> bool {
        let (ip, tcp) = (self.ip, self.transport);
        let same = |part: Range<usize>| a[part.clone()] == b[part];
        let network = match self.v6 {
            true => same(ip..ip + 4) && same(ip + 6..ip + 8),
            false => same(ip..ip + 2) && same(ip + 6..ip + 9),
        };
        network
            && (self.udp
                || same(tcp + 8..tcp + FLAGS)
                    && (self.flags(a) ^ self.flags(b)) & !PSH == 0
                    && same(tcp + 14..tcp + 16)
                    && same(tcp + 18..self.payload))
    }
}

fn word(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

//! TCP segments larger than the peer's frames: finds their headers, and cuts them.

use smoltcp::phy::{ChecksumCapabilities, Medium};
use smoltcp::wire::{Ipv4Packet, Ipv6Packet, TcpPacket};

const ETHERNET: usize = 14;
const IPV6: usize = 40;
const TCP: usize = 20;
const PROTOCOL_TCP: u8 = 6;

/// The offset of the byte with the flags in the TCP header.
const FLAGS: usize = 13;
const FIN: u8 = 0x01;
const SYN: u8 = 0x02;
const PSH: u8 = 0x08;
const CWR: u8 = 0x80;

/// Below this, TCP's options can leave no room in a segment, and smoltcp 0.14 with segmentation
/// offload panics. Real stacks announce 536 or more.
const LEAST_MSS: u16 = 64;

/// Where the parts of a TCP segment begin in a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    ip: usize,
    tcp: usize,
    pub(super) payload: usize,
    v6: bool,
}

impl Layout {
    /// `None` if there is no complete TCP header.
    pub(super) fn of(frame: &[u8], medium: Medium) -> Option<Self> {
        let ip = match medium {
            Medium::Ip => 0,
            _ => match frame.get(12..ETHERNET)? {
                [0x08, 0x00] | [0x86, 0xdd] => ETHERNET,
                _ => return None,
            },
        };
        let first = *frame.get(ip)?;
        let (tcp, v6, protocol) = match first >> 4 {
            4 => (
                ip + usize::from(first & 0x0f) * 4,
                false,
                *frame.get(ip + 9)?,
            ),
            6 => (ip + IPV6, true, *frame.get(ip + 6)?),
            _ => return None,
        };
        // A later fragment has no TCP header.
        let fragment = !v6 && frame.get(ip + 6..ip + 8)? != [0, 0] && {
            u16::from_be_bytes([frame[ip + 6], frame[ip + 7]]) & 0x1fff != 0
        };
        let header = usize::from(*frame.get(tcp + 12)? >> 4) * 4;
        let payload = tcp + header;
        let whole = tcp >= ip + 20 && header >= TCP && payload <= frame.len();
        (protocol == PROTOCOL_TCP && whole && !fragment).then_some(Self {
            ip,
            tcp,
            payload,
            v6,
        })
    }

    /// Computes the TCP checksum, if the caller wants one.
    pub(super) fn fill_tcp(&self, frame: &mut [u8], checksum: &ChecksumCapabilities) {
        if !checksum.tcp.tx() {
            return;
        }
        let (ip, tcp) = frame[self.ip..].split_at_mut(self.tcp - self.ip);
        let (from, to) = if self.v6 {
            let ip = Ipv6Packet::new_unchecked(&*ip);
            (ip.src_addr().into(), ip.dst_addr().into())
        } else {
            let ip = Ipv4Packet::new_unchecked(&*ip);
            (ip.src_addr().into(), ip.dst_addr().into())
        };
        TcpPacket::new_unchecked(tcp).fill_checksum(&from, &to);
    }

    /// The payloads of the segments, as ranges of the frame.
    pub(super) fn pieces(
        &self,
        frame: &[u8],
        size: usize,
    ) -> impl ExactSizeIterator<Item = std::ops::Range<usize>> + use<> {
        let (start, end, size) = (self.payload, frame.len(), size.max(1));
        (0..(end - start).div_ceil(size)).map(move |n| {
            let from = start + n * size;
            from..(from + size).min(end)
        })
    }

    /// Writes the segment that carries `piece` of `frame` to `out`, which has room for the headers
    /// and the piece.
    pub(super) fn write(
        &self,
        frame: &[u8],
        piece: std::ops::Range<usize>,
        checksum: &ChecksumCapabilities,
        out: &mut [u8],
    ) {
        let (first, last) = (piece.start == self.payload, piece.end == frame.len());
        out[..self.payload].copy_from_slice(&frame[..self.payload]);
        out[self.payload..].copy_from_slice(&frame[piece.clone()]);

        let tcp = &mut out[self.tcp..];
        let before = (piece.start - self.payload) as u32;
        let sequence = u32::from_be_bytes([tcp[4], tcp[5], tcp[6], tcp[7]]).wrapping_add(before);
        tcp[4..8].copy_from_slice(&sequence.to_be_bytes());
        if !last {
            tcp[FLAGS] &= !(FIN | PSH);
        }
        if !first {
            tcp[FLAGS] &= !CWR;
        }

        let length = out.len() - self.ip;
        if self.v6 {
            let length = ((length - IPV6) as u16).to_be_bytes();
            out[self.ip + 4..self.ip + 6].copy_from_slice(&length);
        } else {
            let header = &mut out[self.ip..self.tcp];
            header[2..4].copy_from_slice(&(length as u16).to_be_bytes());
            if checksum.ipv4.tx() {
                Ipv4Packet::new_unchecked(header).fill_checksum();
            }
        }
        self.fill_tcp(out, checksum);
    }

    /// Whether a frame announces segments that are too small for the stack.
    pub(super) fn announces_too_little(&self, frame: &[u8]) -> bool {
        if frame[self.tcp + FLAGS] & SYN == 0 {
            return false;
        }
        let mut options = &frame[self.tcp + TCP..self.payload];
        loop {
            options = match *options {
                [1, ref rest @ ..] => rest,
                [2, 4, a, b, ..] if u16::from_be_bytes([a, b]) < LEAST_MSS => return true,
                [0, ..] | [] | [_] => return false,
                [_, length, ..] => match options.get(usize::from(length.max(2))..) {
                    Some(rest) => rest,
                    None => return false,
                },
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A segment with 12 bytes of options and `payload` bytes, checksums not set.
    fn segment(medium: Medium, v6: bool, payload: usize) -> Vec<u8> {
        let mut frame = Vec::new();
        if medium == Medium::Ethernet {
            frame.extend([2; 12]);
            frame.extend(if v6 { [0x86, 0xdd] } else { [8, 0] });
        }
        let length = 32 + payload;
        if v6 {
            frame.extend([0x60, 0, 0, 0, (length >> 8) as u8, length as u8, 6, 64]);
            frame.extend([0xfd; 32]);
        } else {
            let total = 20 + length;
            frame.extend([0x45, 0, (total >> 8) as u8, total as u8, 0, 0, 0x40, 0]);
            frame.extend([64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
        }
        frame.extend([0, 7, 0, 8, 0xff, 0xff, 0xff, 0, 0, 0, 0, 1]);
        frame.extend([0x80, CWR | PSH | FIN | 0x10, 1, 0, 0, 0, 0, 0]);
        frame.extend([1; 12]);
        frame.extend((0..payload).map(|i| (i * 7) as u8));
        frame
    }

    #[test]
    fn every_piece_is_a_segment_of_its_own_with_right_checksums() {
        for (medium, v6) in [
            (Medium::Ethernet, false),
            (Medium::Ethernet, true),
            (Medium::Ip, false),
            (Medium::Ip, true),
        ] {
            for (length, size) in [(1, 1), (5000, 1448), (2896, 1448), (60_000, 536)] {
                let frame = segment(medium, v6, length);
                let layout = Layout::of(&frame, medium).unwrap();
                let pieces = layout.pieces(&frame, size);
                let count = pieces.len();
                assert_eq!(count, length.div_ceil(size));
                let mut joined = Vec::new();
                for (n, piece) in pieces.enumerate() {
                    let mut out = vec![0xee; layout.payload + piece.len()];
                    layout.write(&frame, piece, &ChecksumCapabilities::default(), &mut out);
                    let ip = &out[layout.ip..];
                    let tcp = if v6 {
                        let ip = Ipv6Packet::new_checked(ip).unwrap();
                        assert_eq!(ip.total_len(), out.len() - layout.ip);
                        let tcp = TcpPacket::new_checked(ip.payload()).unwrap();
                        assert!(tcp.verify_checksum(&ip.src_addr().into(), &ip.dst_addr().into()));
                        tcp
                    } else {
                        let ip = Ipv4Packet::new_checked(ip).unwrap();
                        assert!(ip.verify_checksum());
                        assert_eq!(usize::from(ip.total_len()), out.len() - layout.ip);
                        let tcp = TcpPacket::new_checked(ip.payload()).unwrap();
                        assert!(tcp.verify_checksum(&ip.src_addr().into(), &ip.dst_addr().into()));
                        tcp
                    };
                    let before = (n * size) as u32;
                    assert_eq!(
                        tcp.seq_number().0 as u32,
                        0xffff_ff00u32.wrapping_add(before)
                    );
                    assert_eq!((tcp.fin(), tcp.psh()), (n + 1 == count, n + 1 == count));
                    assert_eq!((tcp.cwr(), tcp.ack()), (n == 0, true));
                    joined.extend_from_slice(tcp.payload());
                }
                assert!(joined == frame[layout.payload..], "{medium:?} {v6} {size}");
            }
        }
    }

    #[test]
    fn what_is_no_tcp_has_no_layout() {
        let whole = segment(Medium::Ethernet, false, 100);
        assert!(Layout::of(&whole, Medium::Ethernet).is_some());
        let start_of_payload = whole.len() - 100;
        for length in 0..start_of_payload {
            assert_eq!(Layout::of(&whole[..length], Medium::Ethernet), None);
        }
        for (at, byte) in [
            (12, 9),
            (14, 0x44),
            (14, 0x75),
            (23, 17),
            (21, 1),
            (46, 0x40),
        ] {
            let mut other = whole.clone();
            other[at] = byte;
            assert_eq!(Layout::of(&other, Medium::Ethernet), None, "{at}");
        }
    }

    #[test]
    fn a_tiny_segment_size_is_seen_in_a_syn_only() {
        let mut frame = segment(Medium::Ip, false, 0);
        let says = |frame: &[u8]| {
            Layout::of(frame, Medium::Ip)
                .unwrap()
                .announces_too_little(frame)
        };
        frame[40..46].copy_from_slice(&[1, 3, 3, 7, 2, 4]);
        frame[46..48].copy_from_slice(&20u16.to_be_bytes());
        assert!(!says(&frame));
        frame[33] |= SYN;
        assert!(says(&frame));
        frame[46..48].copy_from_slice(&536u16.to_be_bytes());
        assert!(!says(&frame));
        // The last of several counts, for the stack.
        frame[48..52].copy_from_slice(&[2, 4, 0, 20]);
        assert!(says(&frame));
        // Options with a wrong length, and no options at all.
        for (code, length) in [(9, 0), (9, 255), (2, 3), (2, 255), (0, 0)] {
            frame[40..42].copy_from_slice(&[code, length]);
            says(&frame);
        }
    }
}

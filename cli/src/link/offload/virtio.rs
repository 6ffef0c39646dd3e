//! What is left to do for a frame.

const NEEDS_CHECKSUM: u8 = 1;

const TCP_V4: u8 = 1;
const TCP_V6: u8 = 4;
const UDP: u8 = 5;
/// Set beside the others: the first segment only has the flag CWR.
const ECN: u8 = 0x80;

/// The header before each frame (`struct virtio_net_hdr`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Virtio {
    /// The transport's checksum field has the sum of the pseudo-header only. The sum goes from
    /// `start` on, its complement to `start + offset`.
    pub(super) needs_checksum: bool,
    pub(super) start: u16,
    pub(super) offset: u16,
    pub(super) segments: Option<Segments>,
}

/// What the frame is to be cut to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Segments {
    pub(super) kind: Kind,
    pub(super) ecn: bool,
    /// Bytes of all headers.
    pub(super) headers: u16,
    /// Payload of each, the last may have less.
    pub(super) size: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    TcpV4,
    TcpV6,
    Udp,
}

impl Virtio {
    pub(crate) const LENGTH: usize = 10;

    /// `None` if it asks for what this device never offered.
    pub(crate) fn decode(bytes: [u8; Self::LENGTH]) -> Option<Self> {
        let [flags, kind, rest @ ..] = bytes;
        let word = |n: usize| u16::from_ne_bytes([rest[2 * n], rest[2 * n + 1]]);
        let segments = |cut| Segments {
            kind: cut,
            ecn: kind & ECN != 0,
            headers: word(0),
            size: word(1),
        };
        Some(Self {
            needs_checksum: flags & NEEDS_CHECKSUM != 0,
            start: word(2),
            offset: word(3),
            segments: match kind & !ECN {
                0 => None,
                TCP_V4 => Some(segments(Kind::TcpV4)),
                TCP_V6 => Some(segments(Kind::TcpV6)),
                UDP => Some(segments(Kind::Udp)),
                _ => return None,
            },
        })
    }

    pub(crate) fn encode(&self) -> [u8; Self::LENGTH] {
        let mut bytes = [0; Self::LENGTH];
        bytes[0] = u8::from(self.needs_checksum) * NEEDS_CHECKSUM;
        let (mut headers, mut size) = (0, 0);
        if let Some(segments) = self.segments {
            bytes[1] = match segments.kind {
                Kind::TcpV4 => TCP_V4,
                Kind::TcpV6 => TCP_V6,
                Kind::Udp => UDP,
            } | (u8::from(segments.ecn) * ECN);
            (headers, size) = (segments.headers, segments.size);
        }
        let words = [headers, size, self.start, self.offset];
        for (place, word) in bytes[2..].chunks_exact_mut(2).zip(words) {
            place.copy_from_slice(&word.to_ne_bytes());
        }
        bytes
    }
}

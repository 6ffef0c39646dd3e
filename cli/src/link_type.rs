//! What packets begin with, as far as the command understands it.

use memif::{LinkType, Packet};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Header {
    Ethernet,
    /// None: packets begin with IP.
    Ip,
    /// Linux "cooked": a header of so many bytes, with the EtherType at this place.
    Cooked {
        length: usize,
        ether_type: usize,
    },
    Other,
}

impl Header {
    pub(crate) fn of(link_type: LinkType) -> Self {
        match u32::from(link_type) {
            1 => Self::Ethernet,
            // RAW, the numbers it has in memory on some systems, IPV4, IPV6.
            101 | 12 | 14 | 228 | 229 => Self::Ip,
            // SLL and SLL2.
            113 => Self::Cooked {
                length: 16,
                ether_type: 14,
            },
            276 => Self::Cooked {
                length: 20,
                ether_type: 0,
            },
            _ => Self::Other,
        }
    }

    /// The IP packet behind a cooked header; nothing where it has another payload.
    pub(crate) fn stripped<'p>(self, packet: Packet<'p>) -> Packet<'p> {
        let Self::Cooked { length, ether_type } = self else {
            return packet;
        };
        let data = packet.data();
        let is_ip = matches!(
            data.get(ether_type..ether_type + 2),
            Some([0x08, 0] | [0x86, 0xdd])
        );
        let payload = data.get(length..).filter(|_| is_ip).unwrap_or_default();
        let mut info = packet.info();
        info.capture_length = payload.len();
        info.length = info.length.saturating_sub(length);
        Packet::new(payload, info)
    }
}

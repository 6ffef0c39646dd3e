//! What no packet should look like, and packets that were cut or damaged.

use memif::LinkType;
use proptest::prelude::*;

use super::{every_packet, line, udp, v4, v6};

proptest! {
    #[test]
    fn garbage_is_one_line(data in proptest::collection::vec(any::<u8>(), 0..200), more in 0_usize..2000) {
        for link_type in [LinkType::ETHERNET, LinkType::RAW, LinkType::from(7)] {
            prop_assert!(!line(link_type, &data, data.len() + more).contains('\n'));
        }
    }

    /// Gets behind the headers, which pure noise seldom does.
    #[test]
    fn garbage_in_known_protocols(
        protocol in proptest::sample::select(&[0_u8, 1, 2, 4, 6, 17, 41, 43, 44, 47, 50, 51, 58, 60, 132, 253][..]),
        data in proptest::collection::vec(any::<u8>(), 0..100),
        more in 0_usize..2000,
    ) {
        for packet in [v4(protocol, &data), v6(protocol, &data)] {
            line(LinkType::RAW, &packet, packet.len() + more);
        }
    }

    #[test]
    fn damaged_packets(
        packet in proptest::sample::select(every_packet()),
        captured: proptest::sample::Index,
        changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 0..4),
    ) {
        let length = packet.len();
        let mut packet = packet[..captured.index(length + 1)].to_vec();
        for (at, value) in changes {
            if !packet.is_empty() {
                let at = at.index(packet.len());
                packet[at] = value;
            }
        }
        line(LinkType::ETHERNET, &packet, length);
        line(LinkType::RAW, packet.get(14..).unwrap_or_default(), length);
    }
}

#[test]
fn every_cut_of_every_packet() {
    for packet in every_packet() {
        for captured in 0..packet.len().min(200) {
            line(LinkType::ETHERNET, &packet[..captured], packet.len());
        }
    }
}

/// Nested packets must not exhaust the stack.
#[test]
fn deep_nesting_ends() {
    let mut packet = v4(17, &udp(5));
    for _ in 0..100 {
        packet = v4(4, &packet);
    }
    let line = line(LinkType::RAW, &packet, packet.len());
    assert!(
        line.ends_with("IP 192.0.2.1 > 192.0.2.2: ip-proto-4, length 1933"),
        "{line}"
    );
}

//! What the tests of handles share.

use std::time::Duration;

use memif::{Eof, Error, PacketHandle, RxMode};

use crate::common::*;

pub(crate) const MODES: [RxMode; 4] = [
    RxMode::Interrupt,
    RxMode::Polling,
    RxMode::Adaptive {
        spin: Duration::from_micros(20),
    },
    RxMode::Adaptive {
        spin: Duration::ZERO,
    },
];

/// Fills the ring; the packets that were accepted.
pub(crate) fn fill(handle: &mut PacketHandle, length: usize) -> Vec<Vec<u8>> {
    let mut sent = Vec::new();
    loop {
        let packet = pattern(sent.len() as u64, length);
        match handle.write_packet(&packet) {
            Ok(()) => sent.push(packet),
            Err(e) => {
                assert_eq!(e, Error::Full);
                return sent;
            }
        }
    }
}

/// Reads until the link is down, and expects these packets.
#[track_caller]
pub(crate) fn expect_then(handle: &mut PacketHandle, wanted: &[Vec<u8>], last: Eof) {
    let (packets, reason) = drain(handle);
    assert_eq!(packets.len(), wanted.len());
    for (i, (got, wanted)) in packets.iter().zip(wanted).enumerate() {
        assert_same(got, wanted, format!("packet {i}"));
    }
    assert_eq!(reason, last);
    for _ in 0..3 {
        assert_eq!(eof(handle.read_packet()), last, "it stays so");
    }
}

//! Cutting large TCP segments: the pieces carry the whole payload, in order, and nothing panics.
#![no_main]
// A part of the module is used.
#![allow(dead_code)]

use libfuzzer_sys::fuzz_target;
use smoltcp::phy::{ChecksumCapabilities, Medium};

#[path = "../../src/phy/segment.rs"]
mod segment;

fuzz_target!(|data: &[u8]| {
    let [control, a, b, frame @ ..] = data else {
        return;
    };
    let medium = if control & 1 == 0 {
        Medium::Ethernet
    } else {
        Medium::Ip
    };
    let Some(layout) = segment::Layout::of(frame, medium) else {
        return;
    };
    let _ = layout.announces_too_little(frame);
    let checksum = ChecksumCapabilities::default();
    let size = usize::from(u16::from_le_bytes([*a, *b]));
    if (frame.len() - layout.payload) / size.max(1) > 64 {
        return;
    }
    let mut payload = Vec::new();
    for piece in layout.pieces(frame, size) {
        let mut out = vec![0; layout.payload + piece.len()];
        layout.write(frame, piece, &checksum, &mut out);
        payload.extend_from_slice(&out[layout.payload..]);
        assert_eq!(
            segment::Layout::of(&out, medium),
            Some(layout),
            "a piece is laid out alike"
        );
    }
    assert_eq!(payload, frame[layout.payload..]);
    let mut whole = frame.to_vec();
    layout.fill_tcp(&mut whole, &checksum);
});

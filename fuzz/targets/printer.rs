//! The lines of `memif capture`: packets of any content, cut anywhere.
#![no_main]

use libfuzzer_sys::fuzz_target;
use memif::{CaptureInfo, LinkType, Packet, Timestamp};
use memif_cli::print::Printer;

fuzz_target!(|data: &[u8]| {
    let [kind, beyond, a, b, packet @ ..] = data else {
        return;
    };
    let link_type = match kind & 3 {
        0 => LinkType::ETHERNET,
        1 => LinkType::RAW,
        _ => LinkType::from(u32::from(*a) | u32::from(*b) << 8),
    };
    let mut info = CaptureInfo::whole(
        packet.len(),
        Timestamp::from_nanos(u64::from(*a) << 56 | u64::from(*b) << 30),
    );
    info.length = packet.len() + usize::from(*beyond) * 7;
    let mut printer = Printer::new(link_type);
    let packet = Packet::new(packet, info);
    let line = printer.line(&packet).to_owned();
    assert!(
        !line.contains(|c: char| c.is_control()),
        "it would change the terminal: {line:?}"
    );
    assert!(line.len() < 4096 + 8 * packet.len(), "{} bytes", line.len());
    assert_eq!(
        line,
        printer.line(&packet),
        "the same packet has the same line"
    );
});

//! Captures with numbered packets, and reading them back.

use std::path::Path;

use memif::pcap::{CaptureReader, PcapWriter};
use memif::{CaptureInfo, Error, LinkType, Packet, PacketBuf, PacketSink, PacketSource, Timestamp};

/// A packet with its number inside, and bytes that depend on it.
pub(crate) fn numbered(number: u64, size: usize) -> Vec<u8> {
    let mut packet = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x88, 0xb5];
    packet.extend_from_slice(&number.to_be_bytes());
    let filler = (packet.len()..size).map(|i| (i as u64 * 7 + number) as u8);
    packet.extend(filler);
    packet
}

pub(crate) fn number(packet: &[u8]) -> u64 {
    u64::from_be_bytes(packet[14..22].try_into().unwrap())
}

/// Packets `from` to `to`, of these sizes in turn, a microsecond after each other.
pub(crate) fn write_numbered(path: impl AsRef<Path>, from: u64, to: u64, sizes: &[usize]) {
    let mut writer = PcapWriter::create(path, LinkType::ETHERNET, None).unwrap();
    for (number, size) in (from..to).zip(sizes.iter().cycle()) {
        let time = Timestamp::from_nanos(1_700_000_000_000_000_000 + number * 1000);
        let packet = numbered(number, *size);
        writer
            .write_packet(&Packet::new(&packet, CaptureInfo::whole(*size, time)))
            .unwrap();
    }
    writer.close().unwrap();
}

#[track_caller]
pub(crate) fn read(path: impl AsRef<Path>) -> Vec<PacketBuf> {
    all(CaptureReader::open(path).unwrap())
}

#[track_caller]
pub(crate) fn all(mut reader: impl PacketSource) -> Vec<PacketBuf> {
    let mut packets = Vec::new();
    loop {
        match reader.read_packet() {
            Ok(packet) => packets.push(packet.into()),
            Err(Error::Eof(_)) => return packets,
            Err(e) => panic!("after {} packets: {e}", packets.len()),
        }
    }
}

/// The same bytes in the same order; times and snap lengths may differ.
#[track_caller]
pub(crate) fn assert_same(got: &[PacketBuf], sent: &[PacketBuf]) {
    assert_eq!(got.len(), sent.len(), "packets");
    let other = got.iter().zip(sent).position(|(a, b)| a[..] != b[..]);
    assert_eq!(other, None, "the first packet with other bytes");
}

/// All of these numbers, each once, in order, with the bytes that belong to them.
#[track_caller]
pub(crate) fn assert_numbered(got: &[PacketBuf], from: u64, to: u64) {
    for (packet, n) in got.iter().zip(from..) {
        assert_eq!(number(packet), n, "after {} packets", n - from);
        assert!(packet[..] == numbered(n, packet.len()), "bytes of {n}");
    }
    assert_eq!(got.len() as u64, to - from, "packets");
}

//! Writing pcapng.

use memif::pcap::{CaptureReader, InterfaceInfo, PcapNgWriter};
use memif::{CaptureInfo, Direction, LinkType, Packet, PacketSource, Timestamp};

#[test]
fn what_is_written_is_read_again() {
    let mut file = Vec::new();
    let interfaces = ["", "odd", "even"].map(|name| InterfaceInfo::new(name, LinkType::RAW));
    let mut writer = PcapNgWriter::new(&mut file, &interfaces).unwrap();
    for length in 0..70_000usize {
        if length < 100 || length % 9999 == 0 {
            let data = vec![length as u8; length];
            let info = CaptureInfo::whole(length, Timestamp::from_nanos(length as u64));
            let packet = Packet::new(&data, info);
            let direction = [Direction::Inbound, Direction::Outbound][length % 2];
            let interface = 1 + (length % 2) as u32;
            writer
                .write_packet_on(interface, direction, &packet)
                .unwrap();
        }
    }
    let empty = Packet::new(&[], CaptureInfo::whole(0, Timestamp::default()));
    let error = writer.write_packet_on(3, Direction::Inbound, &empty);
    assert!(error.unwrap_err().to_string().contains("number 3, of 3"));
    let packets = writer.packets_accepted();
    drop(writer);

    let mut reader = CaptureReader::new(&file[..]).unwrap();
    assert_eq!(reader.link_type(), LinkType::RAW);
    for _ in 0..packets {
        let packet = reader.read_packet().unwrap();
        let length = packet.len();
        assert!(packet.iter().all(|byte| *byte == length as u8));
        assert_eq!(packet.info().timestamp.as_nanos(), length as u64);
        assert_eq!(packet.info().interface_index, 1 + (length % 2) as u32);
        let direction = [Direction::Inbound, Direction::Outbound][length % 2];
        assert_eq!(packet.info().direction, direction);
    }
    assert!(reader.read_packet().unwrap_err().is_eof());
}

//! Writing pcapng.

use memif::pcap::{CaptureReader, InterfaceInfo, InterfaceStatistics, PcapNgWriter};
use memif::{CaptureInfo, Direction, LinkType, Packet, PacketSink, PacketSource, Timestamp};

const DIRECTIONS: [Direction; 3] = [Direction::Unknown, Direction::Inbound, Direction::Outbound];

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
            let direction = DIRECTIONS[length % 3];
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
        assert_eq!(packet.info().direction, DIRECTIONS[length % 3]);
    }
    assert!(reader.read_packet().unwrap_err().is_eof());
}

#[test]
fn a_snap_length_is_one_or_more_and_none_keeps_all() {
    let mut file = Vec::new();
    let mut interface = InterfaceInfo::new("x", LinkType::ETHERNET);
    let mut writer = PcapNgWriter::new(&mut file, &[interface.clone()]).unwrap();
    interface.snaplen = Some(0);
    let error = writer.add_interface(&interface).unwrap_err();
    assert!(error.to_string().contains("snap length"), "{error}");
    interface.snaplen = Some(2);
    assert_eq!(writer.add_interface(&interface), Ok(1));
    let packet = Packet::whole(b"abc", Timestamp::default());
    for interface in [0, 1] {
        writer
            .write_packet_on(interface, Direction::Unknown, &packet)
            .unwrap();
    }
    writer.close().unwrap();
    let mut reader = CaptureReader::new(&file[..]).unwrap();
    assert_eq!(reader.read_packet().unwrap().data(), b"abc");
    assert_eq!(reader.read_packet().unwrap().data(), b"ab");
    let snaplens: Vec<_> = reader.interfaces().iter().map(|i| i.snaplen).collect();
    assert_eq!(snaplens, [Some(memif::DEFAULT_SNAPLEN), Some(2)]);
}

#[test]
fn a_sink_of_one_interface_takes_packets_of_any() {
    let mut file = Vec::new();
    let interface = InterfaceInfo::new("only", LinkType::ETHERNET);
    let mut writer = PcapNgWriter::new(&mut file, &[interface]).unwrap();
    let mut info = CaptureInfo::whole(3, Timestamp::from_nanos(7));
    (info.interface_index, info.direction) = (42, Direction::Inbound);
    writer.write_packet(&Packet::new(b"abc", info)).unwrap();
    writer.close().unwrap();
    let mut reader = CaptureReader::new(&file[..]).unwrap();
    let info = reader.read_packet().unwrap().info();
    assert_eq!(
        (info.interface_index, info.direction),
        (0, Direction::Inbound)
    );
    assert_eq!(reader.interfaces()[0].name, "only");
}

#[test]
fn statistics_tell_of_a_ring_that_was_full() {
    let text = b"ring found full 3 times: the peer may have dropped packets";
    for full in [0, 3] {
        let mut file = Vec::new();
        let interface = InterfaceInfo::new("x", LinkType::ETHERNET);
        let mut writer = PcapNgWriter::new(&mut file, &[interface]).unwrap();
        let mut counts = InterfaceStatistics::default();
        counts.found_full = full;
        writer.write_statistics(0, &counts).unwrap();
        writer.close().unwrap();
        let told = file.windows(text.len()).any(|bytes| bytes == text);
        assert_eq!(told, full == 3);
    }
}

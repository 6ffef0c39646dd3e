//! Reading pcapng.

use memif::pcap::CaptureReader;
use memif::{LinkType, PacketSource};

use crate::files::*;

const RESOLUTION: u16 = 9;
const OFFSET: u16 = 14;

#[test]
fn every_kind_of_packet_in_both_byte_orders() {
    for order in ORDERS {
        let file = [
            section(order),
            interface(order, 101, 4, &[]),
            block(order, 0x0bad_cafe, b"somebody's own"),
            enhanced(order, 0, 1_500_000, 100, b"odd"),
            interface(order, 101, 0, &[]),
            old_packet(order, 1, 2_000_001, 4, b"even"),
            simple(order, 2, b"sp"),
            simple(order, 90, b"four"),
            block(order, 5, b"a broken statistics block"),
            enhanced(order, 1, 0, 0, b""),
        ]
        .concat();
        let mut reader = CaptureReader::new(&file[..]).unwrap();
        assert_eq!(reader.link_type(), LinkType::RAW);
        let (packets, end) = drain(&mut reader);
        assert_clean(&end);
        assert_eq!(
            packets,
            [
                seen(1_500_000_000, b"odd", 100, 0),
                seen(2_000_001_000, b"even", 4, 1),
                seen(0, b"sp", 2, 0),
                seen(0, b"four", 90, 0),
                seen(0, b"", 0, 1),
            ]
        );
    }
}

fn one_packet_at(options: &[u8], order: Order, ticks: u64) -> u64 {
    let file = [
        section(order),
        interface(order, 1, 0, options),
        enhanced(order, 0, ticks, 1, b"x"),
    ]
    .concat();
    let (packets, end) = read_all(&file);
    assert_clean(&end);
    packets[0].nanos
}

#[test]
fn every_clock_resolution() {
    for order in ORDERS {
        for (resolution, ticks, nanos) in [
            (0, 5, 5_000_000_000),
            (3, 1_500, 1_500_000_000),
            (6, 1, 1_000),
            (9, 1_500_000_000_123_456_789, 1_500_000_000_123_456_789),
            (12, 1_999, 1),
            (0x80, 7, 7_000_000_000),
            (0x80 | 20, 3 << 19, 1_500_000_000),
            (0x80 | 32, 1 << 30, 250_000_000),
            (0, u64::MAX, u64::MAX),
        ] {
            let options = option(order, RESOLUTION, &[resolution]);
            assert_eq!(
                one_packet_at(&options, order, ticks),
                nanos,
                "{resolution:#x}"
            );
        }
        assert_eq!(
            one_packet_at(&[], order, 1),
            1_000,
            "microseconds by default"
        );
    }
}

#[test]
fn clock_offsets_reach_before_1970_and_far_ahead() {
    for order in ORDERS {
        let at = |seconds: i64, ticks| {
            let options = [
                option(order, 2, b"eth0"),
                option(order, OFFSET, &order.u64(seconds as u64)),
                option(order, RESOLUTION, &[9]),
                option(order, 0, b""),
            ];
            one_packet_at(&options.concat(), order, ticks)
        };
        assert_eq!(at(10, 1), 10_000_000_001);
        assert_eq!(at(-1, 3_000_000_000), 2_000_000_000);
        assert_eq!(at(-10, 1), 0);
        assert_eq!(at(i64::MIN, u64::MAX), 0);
        assert_eq!(at(i64::MAX, 0), u64::MAX);
    }
}

#[test]
fn odd_options_do_no_harm() {
    let order = Order::Little;
    let options = [
        option(order, 2, b"\xff\xfe not UTF-8"),
        option(order, 11, b""),
    ]
    .concat();
    let mut described = interface(order, 1, 0, &options);
    described[10] = 1; // reserved
    let comment = option(order, 1, b"\xff\xff");
    let file = [
        section(order),
        described,
        enhanced_with(order, 0, 1, 3, b"abc", &comment),
    ]
    .concat();
    let (packets, end) = read_all(&file);
    assert_clean(&end);
    assert_eq!(packets, [seen(1_000, b"abc", 3, 0)]);
}

#[test]
fn sections_start_anew_and_may_change_the_byte_order() {
    let [big, little] = ORDERS;
    let file = [
        section(big),
        interface(big, 1, 0, &option(big, RESOLUTION, &[9])),
        interface(big, 1, 0, &option(big, RESOLUTION, &[3])),
        enhanced(big, 1, 1, 1, b"a"),
        section(little),
        interface(little, 1, 0, &[]),
        enhanced(little, 0, 1, 1, b"b"),
        enhanced(little, 1, 1, 1, b"of no interface here"),
    ]
    .concat();
    let (packets, end) = read_all(&file);
    assert_eq!(
        packets,
        [seen(1_000_000, b"a", 1, 1), seen(1_000, b"b", 1, 0)]
    );
    assert!(!end.is_eof());
}

#[test]
fn a_packet_of_another_link_type_ends_the_file_with_both_types_named() {
    let order = Order::Big;
    let start = [
        section(order),
        interface(order, 1, 0, &[]),
        interface(order, 101, 0, &[]),
        enhanced(order, 0, 1, 1, b"a"),
    ]
    .concat();
    let (packets, end) = read_all(&start);
    assert_clean(&end);
    assert_eq!(
        packets.len(),
        1,
        "an interface without packets is no trouble"
    );

    let file = [start.clone(), enhanced(order, 1, 1, 1, b"b")].concat();
    let (packets, end) = read_all(&file);
    assert_eq!(packets.len(), 1);
    let (offset, problem) = damage(&end);
    assert_eq!(offset, start.len() as u64);
    assert!(
        problem.contains("Ethernet (1)") && problem.contains("raw IP (101)"),
        "{problem}"
    );
}

#[test]
fn a_file_without_interfaces_is_an_empty_ethernet_capture() {
    let mut reader_bytes = section(Order::Little);
    reader_bytes.extend(block(Order::Little, 0x0bad_cafe, b""));
    let mut reader = CaptureReader::new(&reader_bytes[..]).unwrap();
    assert_eq!(reader.link_type(), LinkType::ETHERNET);
    let (packets, end) = drain(&mut reader);
    assert!(packets.is_empty());
    assert_clean(&end);
}

#[test]
fn a_packet_before_its_interface_is_an_error() {
    let order = Order::Little;
    for packet in [
        enhanced(order, 0, 1, 1, b"a"),
        simple(order, 1, b"a"),
        old_packet(order, 0, 1, 1, b"a"),
    ] {
        let start = section(order);
        let file = [start.clone(), packet, interface(order, 1, 0, &[])].concat();
        assert_eq!(damage(&read_all(&file).1).0, start.len() as u64);
    }
}

#[test]
fn another_major_version_is_refused() {
    let order = Order::Little;
    let mut newer = section(order);
    newer[12] = 2;
    let first = read_all(&newer).1;
    assert!(damage(&first).1.contains("version 2.0"), "{first}");
    let later = [section(order), interface(order, 1, 0, &[]), newer].concat();
    assert!(damage(&read_all(&later).1).1.contains("version 2.0"));
}

#[test]
fn blocks_larger_than_the_buffer() {
    let order = Order::Big;
    let big = vec![3; 1_000_001];
    let file = [
        section(order),
        block(order, 0x0bad_cafe, &vec![0; 2_000_000]),
        interface(order, 1, 0, &[]),
        enhanced(order, 0, 1, 1_000_001, &big),
        enhanced(order, 0, 2, 1, b"x"),
    ]
    .concat();
    let (packets, end) = read_all(&file);
    assert_clean(&end);
    assert_eq!(
        packets,
        [seen(1_000, &big, 1_000_001, 0), seen(2_000, b"x", 1, 0)]
    );
}

use std::path::Path;

use jiff::tz::TimeZone;
use memif::pcap::CaptureReader;
use memif::{CaptureInfo, LinkType, Packet, PacketSource, Timestamp};

use super::Printer;
use super::options::Style;

mod noise;
mod tcp;

#[test]
fn ethernet_lines() {
    let udp = v4(17, &udp(5));
    check(&[
        (
            ethernet(0x0800, &udp),
            "IP 192.0.2.1.1111 > 192.0.2.2.2222: UDP, length 5",
        ),
        (
            ethernet(0x8100, &[&hex("30050800")[..], &udp].concat()),
            "vlan 5, p 1, DEI, IP 192.0.2.1.1111 > 192.0.2.2.2222: UDP, length 5",
        ),
        (
            ethernet(0x88a8, &[&hex("0007810020640800")[..], &udp].concat()),
            "vlan 7, p 0, vlan 100, p 1, IP 192.0.2.1.1111 > 192.0.2.2.2222: UDP, length 5",
        ),
        (
            ethernet(0x8100, &hex("000588b500")),
            "vlan 5, p 0, 02:00:00:00:00:01 > 02:00:00:00:00:02, ethertype Unknown (0x88b5), length 19",
        ),
        (ethernet(0x88cc, &[0; 46]), "LLDP, length 46"),
        (
            ethernet(0x0026, &[0; 46]),
            "02:00:00:00:00:01 > 02:00:00:00:00:02, 802.3, length 38",
        ),
        (ethernet(0x0800, &hex("65")), "IP [|ip]"),
        (ethernet(0x0800, &v6(17, &[])), "IP version error: 6 != 4"),
        (ethernet(0x86dd, &udp), "IP6 version error: 4 != 6"),
    ]);
}

#[test]
fn protocols_that_have_a_name() {
    let padded = |text: &str| [hex(text), vec![0; 40]].concat();
    check(&[
        (
            ethernet(0x0026, &padded("424203 0000 00 00 00")),
            "STP 802.1d, length 38",
        ),
        (
            ethernet(0x0026, &padded("424203 0000 02 02 3c")),
            "STP 802.1w, length 38",
        ),
        (ethernet(0x8809, &padded("0101 0114")), "LACPv1, length 44"),
        (
            ethernet(0x8863, &padded("1109 0000 0004")),
            "PPPoE PADI [ses 0x0], length 46",
        ),
        (
            ethernet(0x8864, &padded("1100 0011 0004")),
            "PPPoE session [ses 0x11], length 46",
        ),
        (
            ethernet(0x888e, &padded("0101 0000")),
            "EAPOL start (1) v1, len 0",
        ),
        (
            ethernet(
                0x0800,
                &v4(
                    132,
                    &hex(
                        "0457 08ae 00000000 00000000 01000014 00000000000000000000000000000000 0b000004",
                    ),
                ),
            ),
            "IP 192.0.2.1.1111 > 192.0.2.2.2222: sctp (1) [INIT] (2) [COOKIE ACK], length 36",
        ),
        (
            ethernet(
                0x0800,
                &v4(
                    17,
                    &[
                        &hex("0457 17c1 0031 0000 0000 0800 00000a00")[..],
                        &v4(17, &udp(5)),
                    ]
                    .concat(),
                ),
            ),
            "IP 192.0.2.1.1111 > 192.0.2.2.6081: Geneve, Flags [none], vni 0xa: IP 192.0.2.1.1111 > 192.0.2.2.2222: UDP, length 5",
        ),
    ]);
}

#[test]
fn arp_lines() {
    let arp = |operation: u8, target: &str| {
        let head = hex("000108000604");
        let sender = hex("020000000001 c0000201");
        ethernet(
            0x0806,
            &[
                &head[..],
                &[0, operation],
                &sender,
                &hex(target),
                &hex("c0000202"),
            ]
            .concat(),
        )
    };
    check(&[
        (
            arp(1, "000000000000"),
            "ARP, Request who-has 192.0.2.2 tell 192.0.2.1, length 28",
        ),
        (
            arp(1, "020000000002"),
            "ARP, Request who-has 192.0.2.2 (02:00:00:00:00:02) tell 192.0.2.1, length 28",
        ),
        (
            arp(2, "020000000002"),
            "ARP, Reply 192.0.2.1 is-at 02:00:00:00:00:01, length 28",
        ),
        (arp(77, "020000000002"), "ARP, Unknown (77), length 28"),
        (
            ethernet(0x0806, &hex("0006 0801 0101 0001 00 00 00 00")),
            "ARP, Hardware 6 (len 1), Protocol 0x0801 (len 1), length 12",
        ),
    ]);
}

#[test]
fn ipv4_lines() {
    let with = |at: usize, value: &str| {
        let mut packet = v4(17, &udp(5));
        let value = hex(value);
        packet[at..at + value.len()].copy_from_slice(&value);
        ethernet(0x0800, &packet)
    };
    let inner = v4(17, &udp(5));
    check(&[
        (with(0, "42"), "IP bad-hlen 8"),
        (with(2, "000a"), "IP bad-len 10"),
        (
            with(2, "03e8"),
            "IP truncated-ip - 967 bytes missing! 192.0.2.1.1111 > 192.0.2.2.2222: UDP, length 5",
        ),
        // A first fragment prints as the packet, a later one says where it belongs.
        (
            with(6, "2000"),
            "IP 192.0.2.1.1111 > 192.0.2.2.2222: UDP, length 5",
        ),
        (
            with(4, "0007 2010"),
            "IP 192.0.2.1 > 192.0.2.2: ip-proto-17, id 7, offset 128, length 13",
        ),
        (
            ethernet(0x0800, &v4(4, &inner)),
            "IP 192.0.2.1 > 192.0.2.2: IP 192.0.2.1.1111 > 192.0.2.2.2222: UDP, length 5",
        ),
        (
            ethernet(0x0800, &v4(253, &[0; 24])),
            "IP 192.0.2.1 > 192.0.2.2: ip-proto-253, length 24",
        ),
        (
            ethernet(0x0800, &v4(0, &[0; 24])),
            "IP 192.0.2.1 > 192.0.2.2: ip-proto-0, length 24",
        ),
        (
            ethernet(0x0800, &v4(50, &hex("00001234 00000005 00000000"))),
            "IP 192.0.2.1 > 192.0.2.2: ESP(spi=0x00001234,seq=0x5), length 12",
        ),
        (
            ethernet(0x0800, &v4(132, &hex("0457 08ae 00000000 00000000"))),
            "IP 192.0.2.1.1111 > 192.0.2.2.2222: sctp, length 12",
        ),
        (
            ethernet(0x0800, &v4(2, &hex("16000000 e00000fb"))),
            "IP 192.0.2.1 > 192.0.2.2: igmp v2 report 224.0.0.251, length 8",
        ),
    ]);
}

#[test]
fn ipv6_lines() {
    let line =
        |next: u8, payload: &[u8], line: &'static str| (ethernet(0x86dd, &v6(next, payload)), line);
    let extended = |header: &str| [&hex(header)[..], &udp(5)].concat();
    check(&[
        line(
            17,
            &udp(5),
            "IP6 2001:db8::1.1111 > 2001:db8::2.2222: UDP, length 5",
        ),
        line(
            0,
            &extended("11000502 00000100"),
            "IP6 2001:db8::1 > 2001:db8::2: HBH 1111 > 2222: UDP, length 5",
        ),
        line(
            60,
            &extended("11000104 00000000"),
            "IP6 2001:db8::1 > 2001:db8::2: DSTOPT 1111 > 2222: UDP, length 5",
        ),
        line(
            44,
            &extended("11000001 0000004d"),
            "IP6 2001:db8::1 > 2001:db8::2: frag (0|13) 1111 > 2222: UDP, length 5",
        ),
        line(
            44,
            &extended("11000400 0000004d"),
            "IP6 2001:db8::1 > 2001:db8::2: frag (1024|13)",
        ),
        line(
            51,
            &extended("1104 0000 00000005 00000009 000000000000000000000000"),
            "IP6 2001:db8::1 > 2001:db8::2: AH(spi=0x00000005,seq=0x9): 1111 > 2222: UDP, length 5",
        ),
        line(59, &[], "IP6 2001:db8::1 > 2001:db8::2: no next header"),
        line(
            253,
            &[0; 24],
            "IP6 2001:db8::1 > 2001:db8::2: ip-proto-253, length 24",
        ),
        line(0, &hex("11"), "IP6 2001:db8::1 > 2001:db8::2: [|HBH]"),
    ]);
    // A length of 0 is that of a jumbogram where an option says its length; else padding follows.
    let empty = |next: u8, payload: &[u8]| {
        let mut packet = v6(next, payload);
        packet[4..6].fill(0);
        ethernet(0x86dd, &packet)
    };
    check(&[
        (
            empty(0, &extended("1100c204 0000000d")),
            "IP6 2001:db8::1 > 2001:db8::2: HBH 1111 > 2222: UDP, length 5",
        ),
        (empty(17, &udp(5)), "IP6 2001:db8::1 > 2001:db8::2: [|udp]"),
    ]);
}

#[test]
fn udp_lines() {
    let line = |payload: &str, line: &'static str| (ethernet(0x0800, &v4(17, &hex(payload))), line);
    check(&[
        line(
            "0457 08ae 0008 0000",
            "IP 192.0.2.1.1111 > 192.0.2.2.2222: UDP, length 0",
        ),
        line(
            "0457 08ae 0004 0000",
            "IP 192.0.2.1.1111 > 192.0.2.2.2222: truncated-udplength 4",
        ),
        line(
            "0457 08ae 0064 0000 00",
            "IP 192.0.2.1.1111 > 192.0.2.2.2222: UDP, bad length 92 > 1",
        ),
        line(
            "0457 08ae 00",
            "IP 192.0.2.1.1111 > 192.0.2.2.2222: truncated-udp 5",
        ),
        line("0457", "IP 192.0.2.1 > 192.0.2.2: [|udp]"),
    ]);
}

/// With `-v`: a wrong checksum, the right one, none, and one that can't be known.
#[test]
fn checksums() {
    let style = Style {
        verbose: true,
        time: super::options::Time::None,
        ..Style::default()
    };
    let mut printer = Printer::with_zone(LinkType::RAW, style, TimeZone::UTC);
    let mut said = |packet: &[u8], length: usize| {
        let mut info = CaptureInfo::whole(packet.len(), Timestamp::from_nanos(0));
        info.length = length;
        let line = printer.line(&Packet::new(packet, info));
        line.rsplit_once("2222: ").unwrap().1.to_owned()
    };
    let mut packet = v4(17, &udp(5));
    assert_eq!(said(&packet, 33), "[no cksum] UDP, length 5");
    packet[27] = 1;
    let wrong = said(&packet, 33);
    let wanted = wrong
        .strip_prefix("[bad udp cksum 0x0001 -> 0x")
        .and_then(|rest| rest.strip_suffix("!] UDP, length 5"))
        .unwrap_or_else(|| panic!("{wrong}"));
    packet[26..28].copy_from_slice(&hex(wanted));
    assert_eq!(said(&packet, 33), "[udp sum ok] UDP, length 5");
    assert_eq!(said(&packet[..32], 33), "UDP, length 5");
    let packet = tcp(0x02, "", 0).split_off(14);
    let said = said(&packet, 40);
    assert!(
        said.starts_with("Flags [S], cksum 0x0000 (incorrect -> 0x"),
        "{said}"
    );
}

#[test]
fn icmp_lines() {
    let quoted = v4(17, &udp(5));
    let line = |head: &str, line: &'static str| {
        let line = format!("IP 192.0.2.1 > 192.0.2.2: ICMP {line}, length 41");
        (
            ethernet(0x0800, &v4(1, &[&hex(head)[..], &quoted].concat())),
            line,
        )
    };
    check(&[
        line("0800 0000 0007 0001", "echo request, id 7, seq 1"),
        line("0000 0000 0007 0001", "echo reply, id 7, seq 1"),
        line("0300 0000 00000000", "net 192.0.2.2 unreachable"),
        line("0301 0000 00000000", "host 192.0.2.2 unreachable"),
        line("0302 0000 00000000", "192.0.2.2 protocol 17 unreachable"),
        line("0303 0000 00000000", "192.0.2.2 udp port 2222 unreachable"),
        line(
            "0304 0000 00000578",
            "192.0.2.2 unreachable - need to frag (mtu 1400)",
        ),
        line(
            "030d 0000 00000000",
            "host 192.0.2.2 unreachable - admin prohibited filter",
        ),
        line("0501 0000 c0000203", "redirect 192.0.2.2 to host 192.0.2.3"),
        line("0b00 0000 00000000", "time exceeded in-transit"),
        line("0c00 0000 14000000", "parameter problem - octet 20"),
        line("c800 0000 00000000", "type-#200"),
    ]);
    check(&[(
        ethernet(0x0800, &v4(1, &hex("0303 0000 00000000 4500"))),
        "IP 192.0.2.1 > 192.0.2.2: ICMP unreachable-#3 [|icmp], length 10",
    )]);
}

#[test]
fn icmpv6_lines() {
    let quoted = v6(17, &udp(5));
    let line = |head: &str, line: &'static str| {
        let line = format!("IP6 2001:db8::1 > 2001:db8::2: ICMP6, {line}, length 61");
        (
            ethernet(0x86dd, &v6(58, &[&hex(head)[..], &quoted].concat())),
            line,
        )
    };
    check(&[
        line("8000 0000 0007 0001", "echo request, id 7, seq 1"),
        line("8100 0000 0007 0001", "echo reply, id 7, seq 1"),
        line(
            "0100 0000 00000000",
            "destination unreachable, unreachable route 2001:db8::2",
        ),
        line(
            "0104 0000 00000000",
            "destination unreachable, unreachable port, 2001:db8::2 udp port 2222",
        ),
        line("0200 0000 000005dc", "packet too big, mtu 1500"),
        line(
            "0300 0000 00000000",
            "time exceeded in-transit for 2001:db8::2",
        ),
        line("8500 0000 00000000", "router solicitation"),
        line("8600 0000 00000000", "router advertisement"),
        line(
            "8f00 0000 00000002",
            "multicast listener report v2, 2 group record(s)",
        ),
        line("c900 0000 00000000", "unknown icmp6 type (201)"),
    ]);
    let neighbor = |kind: &str| {
        let target = hex("20010db8000000000000000000000002");
        ethernet(
            0x86dd,
            &v6(58, &[&hex(kind)[..], &[0; 7], &target].concat()),
        )
    };
    check(&[
        (
            neighbor("87"),
            "IP6 2001:db8::1 > 2001:db8::2: ICMP6, neighbor solicitation, who has 2001:db8::2, length 24",
        ),
        (
            neighbor("88"),
            "IP6 2001:db8::1 > 2001:db8::2: ICMP6, neighbor advertisement, tgt is 2001:db8::2, length 24",
        ),
    ]);
}

#[test]
fn cut_packets_print_what_they_have() {
    let packet = tcp(0x02, "020405b4 0402 0101", 0);
    for (captured, expected) in [
        (0, "[|ether]"),
        (13, "[|ether]"),
        (14, "IP [|ip]"),
        (33, "IP [|ip]"),
        (34, "IP 192.0.2.1 > 192.0.2.2: [|tcp]"),
        (38, "IP 192.0.2.1.1111 > 192.0.2.2.2222: [|tcp]"),
        (53, "IP 192.0.2.1.1111 > 192.0.2.2.2222: [|tcp]"),
        (
            54,
            "IP 192.0.2.1.1111 > 192.0.2.2.2222: Flags [S], seq 4294967294, win 500, options [[|tcp]], length 0",
        ),
        (
            59,
            "IP 192.0.2.1.1111 > 192.0.2.2.2222: Flags [S], seq 4294967294, win 500, options [mss 1460,[|tcp]], length 0",
        ),
    ] {
        assert_eq!(
            line(LinkType::ETHERNET, &packet[..captured], packet.len()),
            expected
        );
    }
    // The headers are whole: the line is that of the whole packet.
    let packet = ethernet(0x0800, &v4(17, &udp(1000)));
    assert_eq!(
        line(LinkType::ETHERNET, &packet[..64], packet.len()),
        "IP 192.0.2.1.1111 > 192.0.2.2.2222: UDP, length 1000"
    );
}

#[test]
fn other_link_types() {
    assert_eq!(
        line(LinkType::RAW, &v4(17, &udp(5)), 33),
        "IP 192.0.2.1.1111 > 192.0.2.2.2222: UDP, length 5"
    );
    assert_eq!(
        line(LinkType::RAW, &v6(17, &udp(5)), 53),
        "IP6 2001:db8::1.1111 > 2001:db8::2.2222: UDP, length 5"
    );
    assert_eq!(
        line(LinkType::RAW, &[0x90; 5], 5),
        "IP9 (invalid), length 5"
    );
    assert_eq!(
        line(LinkType::from(147), &[0; 5], 5),
        "link type 147, length 5"
    );
}

#[test]
fn times_are_local() {
    let zone = TimeZone::fixed(jiff::tz::offset(-5));
    let mut printer = Printer::with_zone(LinkType::RAW, Style::default(), zone);
    let mut at = |nanos: u64| {
        let info = CaptureInfo::whole(0, Timestamp::from_nanos(nanos));
        printer.line(&Packet::new(&[], info)).to_owned()
    };
    assert_eq!(at(1_700_000_000_000_000_001), "17:13:20.000000001 [|ip]");
    assert_eq!(at(1_700_000_000_999_999_999), "17:13:20.999999999 [|ip]");
    assert_eq!(at(1_700_000_001_000_000_000), "17:13:21.000000000 [|ip]");
    assert_eq!(at(0), "19:00:00.000000000 [|ip]", "before the epoch there");
    assert_eq!(at(u64::MAX), "18:34:33.709551615 [|ip]");
}

#[test]
fn daylight_saving_is_looked_up() {
    let zone = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
    let mut printer = Printer::with_zone(LinkType::RAW, Style::default(), zone);
    // 2024-03-31 01:00 UTC.
    for (second, expected) in [(1_711_846_799, "01:59:59"), (1_711_846_800, "03:00:00")] {
        let info = CaptureInfo::whole(0, Timestamp::from_nanos(second * 1_000_000_000));
        assert!(printer.line(&Packet::new(&[], info)).starts_with(expected));
    }
}

/// Where tcpdump is installed: our lines are its lines, but for the differences that the module
/// names.
fn check(table: &[(Vec<u8>, impl AsRef<str>)]) {
    for (packet, expected) in table {
        assert_eq!(
            line(LinkType::ETHERNET, packet, packet.len()),
            expected.as_ref()
        );
    }
}

/// A packet's line without its time.
pub(super) fn line(link_type: LinkType, data: &[u8], length: usize) -> String {
    let info = CaptureInfo::whole(length, Timestamp::from_nanos(0));
    let mut printer = Printer::with_zone(link_type, Style::default(), TimeZone::UTC);
    let line = printer.line(&Packet::new(data, info));
    line.strip_prefix("00:00:00.000000000 ").unwrap().to_owned()
}

fn hex(digits: &str) -> Vec<u8> {
    let digits: Vec<u8> = digits.bytes().filter(|digit| *digit != b' ').collect();
    let digit = |digit: u8| char::from(digit).to_digit(16).unwrap() as u8;
    digits
        .chunks(2)
        .map(|pair| digit(pair[0]) << 4 | digit(pair[1]))
        .collect()
}

pub(super) fn ethernet(kind: u16, payload: &[u8]) -> Vec<u8> {
    [
        &hex("020000000002 020000000001")[..],
        &kind.to_be_bytes(),
        payload,
    ]
    .concat()
}

pub(super) fn v4(protocol: u8, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(20 + payload.len()).unwrap().to_be_bytes();
    [
        &[
            0x45, 0, length[0], length[1], 0, 1, 0, 0, 64, protocol, 0, 0,
        ][..],
        &hex("c0000201 c0000202"),
        payload,
    ]
    .concat()
}

fn v6(next_header: u8, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len()).unwrap().to_be_bytes();
    [
        &[0x60, 0, 0, 0, length[0], length[1], next_header, 64][..],
        &hex("20010db8000000000000000000000001 20010db8000000000000000000000002"),
        payload,
    ]
    .concat()
}

fn udp(payload: usize) -> Vec<u8> {
    let length = u16::try_from(8 + payload).unwrap().to_be_bytes();
    [
        &hex("0457 08ae")[..],
        &length,
        &[0, 0],
        &vec![b'x'; payload],
    ]
    .concat()
}

fn tcp(flags: u8, options: &str, payload: usize) -> Vec<u8> {
    let options = hex(options);
    let offset = u8::try_from(5 + options.len() / 4).unwrap() << 4;
    let segment = [
        &hex("0457 08ae fffffffe 000000c8")[..],
        &[offset, flags],
        &hex("01f4 0000 0007"),
        &options,
        &vec![b'x'; payload],
    ]
    .concat();
    ethernet(0x0800, &v4(6, &segment))
}

/// Of all the captures.
fn every_packet() -> Vec<Vec<u8>> {
    ["mixed.pcap", "protocols.pcap"]
        .map(|name| {
            Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("../testdata")
                .join(name)
        })
        .iter()
        .flat_map(|path| packets(path))
        .collect()
}

fn packets(path: &Path) -> Vec<Vec<u8>> {
    let mut reader = CaptureReader::open(path).unwrap();
    let mut out = Vec::new();
    while let Ok(packet) = reader.read_packet() {
        out.push(packet.to_vec());
    }
    out
}

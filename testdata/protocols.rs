//! A packet or two of every protocol that the command has words for, beyond those of `mixed.pcap`.

use super::*;

const MPLS: u16 = 0x8847;
const RARP: u16 = 0x8035;
const LLDP: u16 = 0x88cc;

pub(super) fn packets() -> Result<Packets, Error> {
    let v4 = Link { v6: false };
    let v6 = Link { v6: true };
    let mut out = Packets::new();

    out.push(frame(0, RARP, &arp(3, 0, MAC[0])));
    out.push(frame(0, VLAN, &tagged(5, ARP, &arp(1, 0, [0; 6]))));
    out.push(frame(
        0,
        QINQ,
        &tagged(7, VLAN, &tagged(0x2064, IPV6, &ping(v6, 0, 1, 8)?)),
    ));

    let inner = ping(v4, 0, 1, 24)?;
    out.push(frame(0, MPLS, &[&label(100, true)[..], &inner].concat()));
    let two = [
        &label(16_000, false)[..],
        &label(17, true),
        &ping(v6, 0, 2, 24)?,
    ]
    .concat();
    out.push(frame(0, MPLS, &two));

    for (flags, fields) in [
        (0_u16, &[][..]),
        (0x2000, &[0, 0, 0x12, 0x34]),
        (0x1000, &[0, 0, 0, 9]),
    ] {
        let header = [&flags.to_be_bytes()[..], &IPV4.to_be_bytes(), fields].concat();
        out.push(frame(
            0,
            IPV4,
            &bare(v4, 0, 47, &[&header[..], &inner].concat())?,
        ));
    }
    let ether = frame(1, IPV4, &ping(v4, 1, 1, 24)?);
    out.push(frame(
        0,
        IPV4,
        &bare(v4, 0, 47, &[&[0, 0, 0x65, 0x58][..], &ether].concat())?,
    ));
    out.push(frame(
        0,
        IPV4,
        &bare(v4, 0, 47, &[0, 0, 0x12, 0x34, 1, 2, 3, 4])?,
    ));

    let vxlan = [&[8, 0, 0, 0, 0, 0x30, 0x39, 0][..], &ether].concat();
    out.push(frame(0, IPV4, &udp(v4, 0, [50_000, 4789], &vxlan)?));
    out.push(frame(0, IPV6, &udp(v6, 0, [50_000, 4789], &vxlan)?));

    for (number, payload) in names().into_iter().enumerate() {
        let ports = [[40_000, 53], [53, 40_000]][number % 2];
        out.push(frame(
            number % 2,
            IPV4,
            &udp(v4, number % 2, ports, &payload)?,
        ));
    }
    out.push(frame(0, IPV6, &udp(v6, 0, [5353, 5353], &names()[0])?));

    for (kind, from) in [(1, 0), (2, 1), (3, 0), (5, 1)] {
        let ports = [[68, 67], [67, 68]][from];
        out.push(frame(from, IPV4, &udp(v4, from, ports, &dhcp(kind))?));
    }

    let advertisement = Icmpv6Type::Unknown {
        type_u8: 134,
        code_u8: 0,
        bytes5to8: [64, 0, 7, 8],
    };
    let all_nodes = [0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    let body = [&[0; 8][..], &[1, 1], &MAC[1]].concat();
    out.push(frame(
        1,
        IPV6,
        &neighbor_discovery(V6[1], all_nodes, advertisement, &body)?,
    ));
    for kind in [1_u8, 3] {
        let quoted = udp(v6, 0, [40_003, 5999], &text(20))?;
        let error = Icmpv6Type::Unknown {
            type_u8: kind,
            code_u8: if kind == 1 { 4 } else { 0 },
            bytes5to8: [0; 4],
        };
        out.push(frame(
            1,
            IPV6,
            &neighbor_discovery(V6[1], V6[0], error, &quoted)?,
        ));
    }

    out.push(frame(0, LLDP, &text(46)));
    out.push(frame(0, EXPERIMENTAL, &text(50)));
    Ok(out)
}

/// A label stack entry with a time to live of 64.
fn label(label: u32, bottom: bool) -> [u8; 4] {
    (label << 12 | u32::from(bottom) << 8 | 64).to_be_bytes()
}

/// Questions and their answers.
fn names() -> Vec<Vec<u8>> {
    let name = b"\x07example\x03com\x00";
    let message = |id: u16, flags: u16, answers: &[u8], count: u8, kind: u16| {
        let mut out = [&id.to_be_bytes()[..], &flags.to_be_bytes()].concat();
        out.extend_from_slice(&[0, 1, 0, count, 0, 0, 0, 0]);
        out.extend_from_slice(name);
        out.extend_from_slice(&[&kind.to_be_bytes()[..], &[0, 1]].concat());
        out.extend_from_slice(answers);
        out
    };
    let record = |kind: u8, data: &[u8]| {
        let head = [0xc0, 12, 0, kind, 0, 1, 0, 0, 14, 16, 0, data.len() as u8];
        [&head[..], data].concat()
    };
    let alias = record(5, b"\x03www\xc0\x0c");
    let address = record(1, &[192, 0, 2, 80]);
    vec![
        message(0x1234, 0x0100, &[], 0, 1),
        message(0x1234, 0x8180, &[alias, address].concat(), 2, 1),
        message(0x1235, 0x0100, &[], 0, 28),
        message(0x1235, 0x8180, &record(28, &V6[1]), 1, 28),
        message(0x1236, 0x0000, &[], 0, 15),
        message(
            0x1236,
            0x8180,
            &record(15, b"\x00\x0a\x04mail\xc0\x0c"),
            1,
            15,
        ),
        message(0x1237, 0x0100, &[], 0, 16),
        message(0x1237, 0x8183, &[], 0, 16),
        message(0x1238, 0x0100, &[], 0, 12),
        message(0x1238, 0x8582, &[], 0, 12),
    ]
}

/// A DHCP message of this type.
fn dhcp(kind: u8) -> Vec<u8> {
    let reply = matches!(kind, 2 | 5);
    let mut out = vec![if reply { 2 } else { 1 }, 1, 6, 0, 0x39, 3, 0xf3, 0x26];
    out.extend_from_slice(&[0; 8]);
    out.extend_from_slice(if reply { &V4[0] } else { &[0; 4] });
    out.extend_from_slice(&[0; 8]);
    out.extend_from_slice(&MAC[0]);
    out.resize(236, 0);
    out.extend_from_slice(&[99, 130, 83, 99, 53, 1, kind, 255]);
    out.resize(300, 0);
    out
}

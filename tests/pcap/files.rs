//! Capture files made by hand, byte for byte, and a reader for all of one.

use std::io::Read;

use memif::pcap::CaptureReader;
use memif::{Error, Packet, PacketSource};

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Order {
    Big,
    Little,
}

pub(crate) const ORDERS: [Order; 2] = [Order::Big, Order::Little];

impl Order {
    pub(crate) fn u16(self, n: u16) -> [u8; 2] {
        if self == Order::Big {
            n.to_be_bytes()
        } else {
            n.to_le_bytes()
        }
    }

    pub(crate) fn u32(self, n: u32) -> [u8; 4] {
        if self == Order::Big {
            n.to_be_bytes()
        } else {
            n.to_le_bytes()
        }
    }

    pub(crate) fn u64(self, n: u64) -> [u8; 8] {
        if self == Order::Big {
            n.to_be_bytes()
        } else {
            n.to_le_bytes()
        }
    }
}

/// What was read of one packet.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Seen {
    pub(crate) nanos: u64,
    pub(crate) data: Vec<u8>,
    pub(crate) length: usize,
    pub(crate) interface: u32,
}

pub(crate) fn seen(nanos: u64, data: &[u8], length: usize, interface: u32) -> Seen {
    Seen {
        nanos,
        data: data.to_vec(),
        length,
        interface,
    }
}

/// All packets, and the error after the last of them, of which the reader has
/// to make an end of file the next time.
pub(crate) fn drain<R: Read>(reader: &mut CaptureReader<R>) -> (Vec<Seen>, Error) {
    let mut packets = Vec::new();
    let end = loop {
        match reader.read_packet() {
            Ok(packet) => packets.push(of(&packet)),
            Err(error) => break error,
        }
    };
    for _ in 0..3 {
        let again = reader.read_packet().expect_err("a packet after the end");
        assert_eq!(again.eof(), Some(memif::Eof::EndOfFile), "after {end}");
    }
    (packets, end)
}

/// As [`drain`], where opening may fail too. Packets that are read many at a time must be the same.
pub(crate) fn read_all(bytes: &[u8]) -> (Vec<Seen>, Error) {
    let (seen, end) = match CaptureReader::new(bytes) {
        Ok(mut reader) => drain(&mut reader),
        Err(error) => return (Vec::new(), error),
    };
    for most in [1, 2, 64] {
        let mut reader = CaptureReader::new(bytes).unwrap();
        let mut together = Vec::new();
        let other_end = loop {
            let mut packets = vec![Packet::default(); most];
            match reader.read_packets(&mut packets) {
                Ok(count) => {
                    assert!((1..=most).contains(&count));
                    together.extend(packets[..count].iter().map(of));
                }
                Err(error) => break error,
            }
        };
        assert_eq!(together, seen, "{most} at a time");
        assert_eq!(other_end.to_string(), end.to_string());
        let again = reader.read_packets(&mut [Packet::default()]);
        assert_eq!(again.unwrap_err().eof(), Some(memif::Eof::EndOfFile));
        assert_eq!(reader.read_packets(&mut []).unwrap(), 0);
    }
    (seen, end)
}

fn of(packet: &Packet<'_>) -> Seen {
    let info = packet.info();
    assert_eq!(info.capture_length, packet.len());
    seen(
        info.timestamp.as_nanos(),
        packet,
        info.length,
        info.interface_index,
    )
}

pub(crate) fn assert_clean(end: &Error) {
    assert_eq!(end.eof(), Some(memif::Eof::EndOfFile), "{end}");
}

/// The offset and the text of a capture error.
pub(crate) fn damage(end: &Error) -> (u64, &str) {
    match end {
        Error::Capture {
            offset, problem, ..
        } => (*offset, problem),
        other => panic!("no damage reported, but {other:?}"),
    }
}

pub(crate) fn pcap_header(order: Order, nano: bool, snaplen: u32, link_type: u32) -> Vec<u8> {
    let magic = if nano { 0xa1b2_3c4d } else { 0xa1b2_c3d4 };
    [
        &order.u32(magic)[..],
        &order.u16(2),
        &order.u16(4),
        &[0; 8],
        &order.u32(snaplen),
        &order.u32(link_type),
    ]
    .concat()
}

pub(crate) fn pcap_record(
    order: Order,
    seconds: u32,
    fraction: u32,
    length: u32,
    data: &[u8],
) -> Vec<u8> {
    let captured = order.u32(data.len() as u32);
    [
        &order.u32(seconds)[..],
        &order.u32(fraction),
        &captured,
        &order.u32(length),
        data,
    ]
    .concat()
}

pub(crate) fn block(order: Order, kind: u32, body: &[u8]) -> Vec<u8> {
    let padding = body.len().next_multiple_of(4) - body.len();
    let size = order.u32((12 + body.len() + padding) as u32);
    [&order.u32(kind)[..], &size, body, &[0; 3][..padding], &size].concat()
}

pub(crate) fn option(order: Order, code: u16, value: &[u8]) -> Vec<u8> {
    let padding = value.len().next_multiple_of(4) - value.len();
    [
        &order.u16(code)[..],
        &order.u16(value.len() as u16),
        value,
        &[0; 3][..padding],
    ]
    .concat()
}

pub(crate) fn section(order: Order) -> Vec<u8> {
    let body = [
        &order.u32(0x1a2b_3c4d)[..],
        &order.u16(1),
        &order.u16(0),
        &[0xff; 8],
        &option(order, 4, b"by hand"),
        &option(order, 0, b""),
    ];
    block(order, 0x0a0d_0d0a, &body.concat())
}

pub(crate) fn interface(order: Order, link_type: u16, snaplen: u32, options: &[u8]) -> Vec<u8> {
    let body = [
        &order.u16(link_type)[..],
        &[0; 2],
        &order.u32(snaplen),
        options,
    ];
    block(order, 1, &body.concat())
}

pub(crate) fn enhanced(
    order: Order,
    interface: u32,
    ticks: u64,
    length: u32,
    data: &[u8],
) -> Vec<u8> {
    enhanced_with(order, interface, ticks, length, data, &[])
}

pub(crate) fn enhanced_with(
    order: Order,
    interface: u32,
    ticks: u64,
    length: u32,
    data: &[u8],
    options: &[u8],
) -> Vec<u8> {
    block(
        order,
        6,
        &[
            &order.u32(interface)[..],
            &packet_body(order, ticks, length, data),
            options,
        ]
        .concat(),
    )
}

pub(crate) fn old_packet(
    order: Order,
    interface: u16,
    ticks: u64,
    length: u32,
    data: &[u8],
) -> Vec<u8> {
    let numbers = [order.u16(interface), order.u16(7)].concat();
    block(
        order,
        2,
        &[&numbers[..], &packet_body(order, ticks, length, data)].concat(),
    )
}

pub(crate) fn simple(order: Order, length: u32, data: &[u8]) -> Vec<u8> {
    block(order, 3, &[&order.u32(length)[..], data].concat())
}

fn packet_body(order: Order, ticks: u64, length: u32, data: &[u8]) -> Vec<u8> {
    let padding = data.len().next_multiple_of(4) - data.len();
    [
        &order.u32((ticks >> 32) as u32)[..],
        &order.u32(ticks as u32),
        &order.u32(data.len() as u32),
        &order.u32(length),
        data,
        &[0; 3][..padding],
    ]
    .concat()
}

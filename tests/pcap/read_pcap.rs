//! Reading pcap, and telling what is none.

use std::io::{self, Read, Write};

use memif::pcap::CaptureReader;
use memif::{Eof, Error, LinkType, PacketSource};

use crate::files::*;

#[test]
fn every_magic_in_both_byte_orders() {
    for order in ORDERS {
        for (nano, nanos) in [
            (false, 1_500_000_000_000_123_000),
            (true, 1_500_000_000_000_000_123),
        ] {
            let mut file = pcap_header(order, nano, 65535, 101);
            file.extend(pcap_record(order, 1_500_000_000, 123, 5, b"hello"));
            file.extend(pcap_record(order, u32::MAX, 0, 1500, b"cut"));
            file.extend(pcap_record(order, 0, 0, 0, b""));
            let mut reader = CaptureReader::new(&file[..]).unwrap();
            assert_eq!(reader.link_type(), LinkType::RAW);
            assert_eq!(reader.position(), 24);
            let (packets, end) = drain(&mut reader);
            assert_clean(&end);
            assert_eq!(
                packets,
                [
                    seen(nanos, b"hello", 5, 0),
                    seen(u64::from(u32::MAX) * 1_000_000_000, b"cut", 1500, 0),
                    seen(0, b"", 0, 0),
                ]
            );
            assert_eq!(reader.position(), file.len() as u64);
        }
    }
}

#[test]
fn snap_lengths_of_zero_and_less_than_a_packet() {
    for snaplen in [0, 1, 40, 262_144, u32::MAX] {
        let mut file = pcap_header(Order::Little, true, snaplen, 1);
        file.extend(pcap_record(Order::Little, 1, 2, 1514, &[7; 40]));
        file.extend(pcap_record(Order::Little, 1, 3, 70_000, &[8; 70_000]));
        let (packets, end) = read_all(&file);
        assert_clean(&end);
        assert_eq!(packets[0], seen(1_000_000_002, &[7; 40], 1514, 0));
        assert_eq!(packets[1].data.len(), 70_000);
    }
}

#[test]
fn packets_larger_than_the_buffer() {
    let big = vec![9; 3 << 20];
    let mut file = pcap_header(Order::Little, true, 0, 1);
    for _ in 0..3 {
        file.extend(pcap_record(Order::Little, 1, 2, big.len() as u32, &big));
        file.extend(pcap_record(Order::Little, 1, 3, 4, b"tiny"));
    }
    let (packets, end) = read_all(&file);
    assert_clean(&end);
    assert_eq!(packets.len(), 6);
    assert!(packets.iter().step_by(2).all(|p| p.data == big));
}

#[test]
fn the_frame_check_sequence_bits_are_no_link_type() {
    let file = pcap_header(Order::Big, false, 65535, 0x2400_0001);
    assert_eq!(
        CaptureReader::new(&file[..]).unwrap().link_type(),
        LinkType::ETHERNET
    );
}

#[test]
fn what_is_no_capture_is_told_by_what_it_is() {
    for (bytes, says) in [
        (&b""[..], "empty"),
        (b"\x1f\x8b\x08\0\0\0", "gzip"),
        (b"\x28\xb5\x2f\xfd\0", "zstd"),
        (b"\xfd7zXZ\0", "xz"),
        (b"BZh91AY", "bzip2"),
        (b"\x04\x22\x4d\x18", "lz4"),
        (b"\xa1\xb2\xcd\x34", "patched"),
        (b"#!/bin/sh\n", "not a capture file"),
        (b"\xa1\xb2", "cut short"),
        (b"\x0a\x0d\x0d\x0a\0\0\0\x1cabcd", "byte-order"),
    ] {
        let (packets, end) = read_all(bytes);
        assert!(packets.is_empty());
        let (offset, problem) = damage(&end);
        assert_eq!(offset, 0);
        assert!(problem.contains(says), "{problem:?} lacks {says:?}");
    }
    let mut old = pcap_header(Order::Big, false, 65535, 1);
    old[5] = 1;
    assert!(damage(&read_all(&old).1).1.contains("version 1.4"));
}

#[test]
fn errors_name_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("some.pcap");
    let error = CaptureReader::open(&path).unwrap_err();
    assert!(matches!(error, Error::Io { .. }));
    assert!(error.to_string().contains("some.pcap"), "{error}");

    std::fs::write(&path, b"no capture").unwrap();
    assert!(
        CaptureReader::open(&path)
            .unwrap_err()
            .to_string()
            .contains("some.pcap: at byte 0")
    );

    let mut file = pcap_header(Order::Big, false, 65535, 1);
    file.extend(b"cut");
    std::fs::write(&path, file).unwrap();
    let (_, end) = drain(&mut CaptureReader::open(&path).unwrap());
    assert!(
        end.to_string().contains("some.pcap: at byte 24: cut short"),
        "{end}"
    );
}

/// Gives a few bytes at a time, and an error before each of them.
struct Dribble<'a> {
    bytes: &'a [u8],
    error: io::ErrorKind,
    due: bool,
}

impl Read for Dribble<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.due = !self.due;
        if self.due {
            return Err(self.error.into());
        }
        let count = self.bytes.len().min(3);
        let (now, later) = self.bytes.split_at(count);
        (&mut *buffer).write_all(now)?;
        self.bytes = later;
        Ok(count)
    }
}

#[test]
fn interrupted_reads_are_tried_again() {
    let mut file = pcap_header(Order::Little, true, 65535, 1);
    file.extend(pcap_record(Order::Little, 1, 2, 5, b"hello"));
    let dribble = Dribble {
        bytes: &file,
        error: io::ErrorKind::Interrupted,
        due: false,
    };
    let (packets, end) = drain(&mut CaptureReader::new(dribble).unwrap());
    assert_clean(&end);
    assert_eq!(packets, [seen(1_000_000_002, b"hello", 5, 0)]);
}

#[test]
fn a_reader_without_bytes_for_now_is_empty_and_goes_on() {
    let mut file = pcap_header(Order::Little, true, 65535, 1);
    file.extend(pcap_record(Order::Little, 1, 2, 5, b"hello"));
    let (header, packets) = file.split_at(24);
    let reader = header.chain(Dribble {
        bytes: packets,
        error: io::ErrorKind::WouldBlock,
        due: false,
    });
    let mut reader = CaptureReader::new(reader).unwrap();
    let mut waits = 0;
    loop {
        match reader.read_packet() {
            Ok(packet) => break assert_eq!(packet.data(), b"hello"),
            Err(error) => assert_eq!(error.eof(), Some(Eof::Empty)),
        }
        waits += 1;
    }
    assert_eq!(waits, 7);
}

#[test]
fn a_failing_reader_is_reported_once() {
    let mut file = pcap_header(Order::Little, true, 65535, 1);
    file.extend(pcap_record(Order::Little, 1, 2, 5, b"hello"));
    let reader = (&file[..]).chain(Dribble {
        bytes: b"",
        error: io::ErrorKind::ConnectionReset,
        due: false,
    });
    let (packets, end) = drain(&mut CaptureReader::new(reader).unwrap());
    assert_eq!(packets.len(), 1);
    assert!(
        matches!(&end, Error::Io { error, .. } if error.kind() == io::ErrorKind::ConnectionReset)
    );
}

//! What the kernel hands over, as it crosses a memif.

use super::super::layout::{CWR, FIN};
use super::*;

#[test]
fn every_piece_has_headers_of_its_own_and_right_checksums() {
    for shape in Shape::all() {
        for (length, size) in [(5000, 1448), (2896, 1448), (1449, 1448), (60_001, 1400)] {
            let (frame, virtio) = shape.whole(length, size);
            let pieces = finished(&frame, &virtio, 0).unwrap();
            assert_eq!(pieces.len(), length.div_ceil(size), "{shape:?}");
            let mut data = Vec::new();
            for (n, piece) in pieces.iter().enumerate() {
                shape.check(piece);
                assert!(piece.len() <= shape.payload() + size);
                assert_eq!(piece[..shape.ip()], frame[..shape.ip()]);
                if !shape.v6 {
                    let id = 0xfffe_u16.wrapping_add(n as u16).to_be_bytes();
                    assert_eq!(piece[shape.ip() + 4..shape.ip() + 6], id);
                }
                if !shape.udp {
                    let tcp = &piece[shape.transport()..];
                    let sequence = 0xffff_ff00_u32.wrapping_add((n * size) as u32);
                    assert_eq!(tcp[4..8], sequence.to_be_bytes());
                    let last = n + 1 == pieces.len();
                    assert_eq!(tcp[13], if last { ACK | PSH } else { ACK });
                }
                data.extend_from_slice(&piece[shape.payload()..]);
            }
            assert!(data == payload(length), "{shape:?}");
        }
    }
}

#[test]
fn only_the_first_says_that_the_window_was_reduced_and_only_the_last_that_it_ends() {
    let shape = Shape::TCP;
    let (mut frame, mut virtio) = shape.whole(3000, 1000);
    frame[shape.transport() + 13] = ACK | FIN | PSH | CWR;
    virtio.segments.as_mut().unwrap().ecn = true;
    let pieces = finished(&frame, &virtio, 0).unwrap();
    let flags: Vec<_> = pieces.iter().map(|p| p[shape.transport() + 13]).collect();
    assert_eq!(flags, [ACK | CWR, ACK, ACK | FIN | PSH]);
    pieces.iter().for_each(|piece| shape.check(piece));
}

/// What a network card has joined, and checked, before it was routed here.
#[test]
fn a_frame_whose_checksum_needs_nothing_is_cut_all_the_same() {
    for shape in Shape::all() {
        let (mut frame, mut virtio) = shape.whole(5000, 1000);
        shape.fill(&mut frame);
        (virtio.needs_checksum, virtio.start, virtio.offset) = (false, 0, 0);
        let pieces = finished(&frame, &virtio, 0).unwrap();
        assert_eq!(pieces.len(), 5);
        pieces.iter().for_each(|piece| shape.check(piece));
    }
}

#[test]
fn ip_options_and_extension_headers_stay() {
    // Four bytes of options; a destination options header.
    for (shape, more, at) in [
        (Shape::TCP, &[1, 1, 1, 0][..], 34),
        (Shape::TCP_V6, &[6, 0, 1, 4, 0, 0, 0, 0], 54),
    ] {
        let (mut frame, mut virtio) = shape.whole(3000, 1000);
        frame.splice(at..at, more.iter().copied());
        if shape.v6 {
            frame[shape.ip() + 6] = 60;
        } else {
            frame[shape.ip()] = 0x46;
        }
        virtio.start += more.len() as u16;
        let pieces = finished(&frame, &virtio, 0).unwrap();
        assert_eq!(pieces.len(), 3);
        for mut piece in pieces {
            // Without them it is a segment as any other.
            let ip = &piece[shape.ip()..];
            match shape.v6 {
                true => assert_eq!(Ipv6Packet::new_checked(ip).unwrap().total_len(), ip.len()),
                false => assert!(Ipv4Packet::new_checked(ip).unwrap().verify_checksum()),
            }
            assert_eq!(piece.drain(at..at + more.len()).as_slice(), more);
            let (from, to) = shape.ends(&piece);
            let tcp = TcpPacket::new_checked(&piece[shape.transport()..]).unwrap();
            assert!(tcp.verify_checksum(&from, &to));
        }
    }
}

#[test]
fn tcp_stays_whole_where_it_may_and_datagrams_never() {
    for shape in Shape::all() {
        let (frame, virtio) = shape.whole(30_000, 1000);
        let count = |whole| finished(&frame, &virtio, whole).unwrap().len();
        let may = if shape.udp { 30 } else { 1 };
        assert_eq!((count(frame.len()), count(frame.len() - 1)), (may, 30));
        if !shape.udp {
            shape.check(&finished(&frame, &virtio, frame.len()).unwrap()[0]);
            // As a network card may have joined it.
            let done = Virtio {
                needs_checksum: false,
                ..virtio
            };
            shape.check(&finished(&frame, &done, frame.len()).unwrap()[0]);
        }
    }
}

#[test]
fn a_frame_that_needs_a_checksum_only_gets_it() {
    for shape in Shape::all() {
        for length in [0, 1, 2, 7, 8, 9, 1001] {
            let mut frame = shape.frame(5, &payload(length));
            let right = frame.clone();
            let virtio = shape.unfinished(&mut frame);
            assert_eq!(finished(&frame, &virtio, 0).unwrap(), [right]);
        }
    }
}

/// Zero would mean that there is none.
#[test]
fn a_datagram_whose_checksum_is_zero_says_so_in_the_other_form() {
    let shape = Shape::UDP;
    let mut frame = shape.frame(0, &[0, 0]);
    let at = shape.checksum();
    let complement = [frame[at], frame[at + 1]];
    frame[shape.payload()..].copy_from_slice(&complement);
    let virtio = shape.unfinished(&mut frame);
    let done = finished(&frame, &virtio, 0).unwrap().remove(0);
    assert_eq!(done[at..at + 2], [0xff, 0xff]);
    shape.check(&done);
}

#[test]
fn what_needs_nothing_is_not_touched() {
    for length in [0, 1, 14, 60, 1514] {
        let frame = payload(length);
        let done = finished(&frame, &Virtio::default(), 0).unwrap();
        assert_eq!(done, [frame]);
    }
}

#[test]
fn what_is_not_understood_is_dropped() {
    let shape = Shape::TCP;
    let (frame, virtio) = shape.whole(3000, 1000);
    let dropped = |frame: &[u8], virtio: &Virtio| finished(frame, virtio, 0).is_none();
    let with = |edit: &dyn Fn(&mut Virtio, &mut Segments)| {
        let mut other = virtio;
        let mut segments = virtio.segments.unwrap();
        edit(&mut other, &mut segments);
        other.segments = Some(segments);
        other
    };
    assert!(!dropped(&frame, &virtio));
    assert!(dropped(&frame, &with(&|_, segments| segments.size = 0)));
    assert!(dropped(
        &frame,
        &with(&|_, segments| segments.kind = Kind::TcpV6)
    ));
    for start in [0, 33, 3060, u16::MAX] {
        assert!(dropped(&frame, &with(&|virtio, _| virtio.start = start)));
    }
    for length in 0..shape.payload() {
        assert!(dropped(&frame[..length], &virtio), "{length}");
    }
    let mut short_header = frame.clone();
    short_header[shape.transport() + 12] = 0x40;
    assert!(dropped(&short_header, &virtio));
    let checksum_only = Virtio {
        segments: None,
        ..virtio
    };
    for length in 0..shape.checksum() + 2 {
        assert!(dropped(&frame[..length], &checksum_only), "{length}");
    }
}

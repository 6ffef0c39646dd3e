//! What comes over a memif, as the kernel gets it.

use super::super::layout::{CWR, FIN, RST, SYN, URG};
use super::*;

const ECE: u8 = 0x40;

#[test]
fn what_was_cut_is_joined_to_the_same() {
    for shape in Shape::all() {
        for (length, size) in [(5000, 1300), (2600, 1300), (1301, 1300), (64_000, 1300)] {
            let (frame, virtio) = shape.whole(length, size);
            let pieces = finished(&frame, &virtio, 0).unwrap();
            let joined = joined(&pieces, LIMITS);
            assert!(joined == [(frame, Some(virtio))], "{shape:?} {length}");
        }
    }
}

#[test]
fn a_frame_that_came_whole_is_to_be_cut_to_the_mtu() {
    for shape in Shape::all() {
        let mtu_payload = 1500 - (shape.payload() - shape.ip());
        let (frame, virtio) = shape.whole(30_000, mtu_payload);
        let mut whole = frame.clone();
        shape.fill(&mut whole);
        let wrong = |at: usize| {
            let mut other = whole.clone();
            other[at] ^= 1;
            other
        };
        let as_it_is = |frame: Vec<u8>| {
            assert!(joined(std::slice::from_ref(&frame), LIMITS) == [(frame, None)])
        };
        if shape.udp {
            as_it_is(whole.clone());
        } else {
            assert!(joined(std::slice::from_ref(&whole), LIMITS) == [(frame, Some(virtio))]);
            for flag in [SYN, RST, URG] {
                let mut other = whole.clone();
                other[shape.transport() + 13] |= flag;
                shape.fill(&mut other);
                as_it_is(other);
            }
        }
        as_it_is(wrong(5000));
        as_it_is(wrong(shape.checksum()));
    }
    // The flag of the congestion window is the first segment's alone.
    let shape = Shape::TCP;
    let reduced = shape.edited(0, &payload(3000), |frame| {
        frame[shape.transport() + 13] |= CWR | FIN;
    });
    let (_, virtio) = joined(&[reduced], LIMITS).remove(0);
    assert!(virtio.unwrap().segments.unwrap().ecn);
}

/// Three frames: how many the kernel gets where the second is another.
fn with_second(shape: Shape, second: Vec<u8>) -> usize {
    let part = payload(500);
    let frames = [shape.frame(0, &part), second, shape.frame(1000, &part)];
    joined(&frames, LIMITS).len()
}

#[test]
fn segments_that_differ_are_not_joined() {
    let part = payload(500);
    for shape in Shape::all() {
        assert_eq!(with_second(shape, shape.frame(500, &part)), 1);
        let edits: &[(usize, u8)] = match shape.v6 {
            true => &[(1, 0x10), (3, 1), (7, 1)],
            false => &[(1, 1), (1, 4), (6, 0x40), (8, 1)],
        };
        let tcp: &[(usize, u8)] = &[(11, 1), (12, 0x10), (15, 1), (19, 1), (25, 1)];
        let ip = edits.iter().map(|(at, bit)| (shape.ip() + at, *bit));
        let flags = [FIN, SYN, RST, URG, ECE, CWR, ACK].map(|flag| (13, flag));
        let tcp = tcp.iter().copied().chain(flags);
        let tcp = tcp.map(|(at, bit)| (shape.transport() + at, bit));
        let tcp = tcp.filter(|_| !shape.udp);
        for (at, bit) in ip.chain(tcp) {
            let other = shape.edited(500, &part, |frame| frame[at] ^= bit);
            // The third does not follow the first, if it was TCP.
            let least = if shape.udp { 2 } else { 3 };
            assert!(
                with_second(shape, other) >= least,
                "{shape:?} {at} {bit:#x}"
            );
        }
        if !shape.udp {
            assert_eq!(with_second(shape, shape.frame(499, &part)), 3);
            assert_eq!(with_second(shape, shape.frame(501, &part)), 3);
        }
    }
}

#[test]
fn segments_with_wrong_checksums_or_lengths_go_as_they_are() {
    let part = payload(500);
    for shape in Shape::all() {
        let right = shape.frame(500, &part);
        let mut places = vec![shape.checksum(), shape.payload() + 77];
        if !shape.v6 {
            places.push(shape.ip() + 10);
        }
        for at in places {
            let mut wrong = right.clone();
            wrong[at] ^= 4;
            let frames = [
                shape.frame(0, &part),
                wrong.clone(),
                shape.frame(1000, &part),
            ];
            let joined = joined(&frames, LIMITS);
            assert_eq!(joined.len(), 3, "{shape:?} {at}");
            assert!(joined[1] == (wrong, None));
        }
        let mut padded = right.clone();
        padded.push(0);
        assert_eq!(with_second(shape, padded), 3);
        assert_eq!(with_second(shape, right[..right.len() - 1].to_vec()), 3);
        // The first one is judged too.
        let mut wrong = shape.frame(0, &part);
        wrong[shape.payload() + 1] ^= 1;
        assert_eq!(joined(&[wrong, right], LIMITS).len(), 2);
    }
}

#[test]
fn a_shorter_or_pushed_one_is_the_last() {
    let shape = Shape::TCP;
    let sizes = |lengths: &[usize]| {
        let mut sequence = 0;
        let frames: Vec<_> = lengths
            .iter()
            .map(|&length| {
                let frame = shape.frame(sequence, &payload(length));
                sequence += length as u32;
                frame
            })
            .collect();
        let joined = joined(&frames, LIMITS);
        let lengths = joined
            .iter()
            .map(|(frame, _)| frame.len() - shape.payload());
        lengths.collect::<Vec<_>>()
    };
    assert_eq!(sizes(&[500, 500, 300, 300, 300]), [1300, 600]);
    assert_eq!(sizes(&[500, 501, 501]), [500, 1002]);
    assert_eq!(sizes(&[500, 0, 500, 500]), [500, 0, 1000]);
    assert_eq!(sizes(&[1400; 50]), [1400 * 46, 1400 * 4]);

    let part = payload(500);
    let pushed = shape.edited(500, &part, |frame| frame[shape.transport() + 13] |= PSH);
    let frames = [shape.frame(0, &part), pushed, shape.frame(1000, &part)];
    let joined = joined(&frames, LIMITS);
    assert_eq!(joined.len(), 2);
    assert_eq!(joined[0].0[shape.transport() + 13], ACK | PSH);
}

#[test]
fn datagrams_are_joined_where_the_kernel_takes_them() {
    let shape = Shape::UDP;
    let part = payload(500);
    let frames = vec![shape.frame(0, &part); 100];
    let counts = |limits| {
        let joined = joined(&frames, limits);
        let payloads = joined
            .iter()
            .map(|(frame, _)| frame.len() - shape.payload());
        payloads.map(|length| length / 500).collect::<Vec<_>>()
    };
    assert_eq!(counts(LIMITS), [64, 36]);
    assert_eq!(
        counts(Limits {
            udp: false,
            ..LIMITS
        }),
        [1; 100]
    );
    // Without a checksum nothing is known of it.
    let mut bare = shape.frame(0, &part);
    bare[shape.checksum()..][..2].fill(0);
    assert_eq!(joined(&[bare.clone(), bare], LIMITS).len(), 2);
}

#[test]
fn flows_are_joined_side_by_side_and_keep_their_order() {
    let part = payload(500);
    let of_flow = |flow: u8, n: u32| {
        Shape::TCP.edited(n * 500, &part, |frame| {
            frame[Shape::TCP.transport() + 1] = flow;
        })
    };
    let frames: Vec<_> = (0..4)
        .flat_map(|n| (0..8).map(move |flow| (flow, n)))
        .map(|(flow, n)| of_flow(flow, n))
        .collect();
    assert_eq!(joined(&frames, LIMITS).len(), 8);
    // More than are kept in mind: nothing is lost, and nothing overtakes.
    let frames: Vec<_> = (0..4)
        .flat_map(|n| (0..9).map(move |flow| (flow, n)))
        .map(|(flow, n)| of_flow(flow, n))
        .collect();
    assert_eq!(joined(&frames, LIMITS).len(), 36);

    // What may be of a flow ends its group.
    let shape = Shape::TCP;
    let fragment = shape.edited(0, &part, |frame| frame[shape.ip() + 7] = 1);
    let options = {
        let mut frame = shape.frame(500, &part);
        frame.splice(34..34, [1, 1, 1, 0]);
        frame[shape.ip()] = 0x46;
        frame
    };
    let arp = [&[0xff; 12][..], &[8, 6], &[0; 46]].concat();
    for between in [fragment, options, arp, vec![0; 5], shape.frame(500, &[])] {
        let frames = [shape.frame(0, &part), between, shape.frame(500, &part)];
        assert_eq!(joined(&frames, LIMITS).len(), 3);
    }
}

/// The kernel numbers what it cuts: who may fragment it needs the ids that it had.
#[test]
fn segments_that_may_be_fragmented_are_joined_in_the_order_of_their_ids() {
    let part = payload(500);
    for vlan in [false, true] {
        let shape = Shape { vlan, ..Shape::TCP };
        let frame = |sequence, id: u16, flags| {
            shape.edited(sequence, &part, |frame| {
                frame[shape.ip() + 4..shape.ip() + 6].copy_from_slice(&id.to_be_bytes());
                frame[shape.ip() + 6] = flags;
            })
        };
        for (flags, ids, count) in [
            (0, [0xffff, 0, 1], 1),
            (0, [5, 900, 7], 3),
            (0x40, [5, 900, 7], 1),
        ] {
            let frames = [0, 1, 2].map(|n| frame(500 * n as u32, ids[n], flags));
            assert_eq!(joined(&frames, LIMITS).len(), count, "{ids:?}");
        }
    }
}

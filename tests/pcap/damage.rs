//! Files that are cut short, corrupt, or noise: what is whole is delivered,
//! the damage is reported once, nothing panics and nothing runs for ever.

use proptest::prelude::*;

use crate::files::*;

/// A pcap file, and where in it each record begins; the last is its end.
fn pcap(order: Order) -> (Vec<u8>, Vec<usize>) {
    let mut file = pcap_header(order, true, 65535, 1);
    let mut starts = vec![file.len()];
    for (second, data) in [&b"one"[..], b"", b"three packets", &[0x55; 100]]
        .iter()
        .enumerate()
    {
        file.extend(pcap_record(
            order,
            second as u32,
            5,
            data.len() as u32,
            data,
        ));
        starts.push(file.len());
    }
    (file, starts)
}

/// The same as pcapng, with each block's start and whether it is a packet.
fn pcapng(order: Order) -> (Vec<u8>, Vec<(usize, bool)>) {
    let blocks = [
        (section(order), false),
        (interface(order, 1, 65535, &option(order, 9, &[9])), false),
        (enhanced(order, 0, 77, 3, b"one"), true),
        (simple(order, 5, b"piece"), true),
        (block(order, 0x0bad_cafe, b"private"), false),
        (
            enhanced_with(order, 0, 78, 99, b"with options", &option(order, 1, b"hm")),
            true,
        ),
        (old_packet(order, 0, 79, 4, b"aged"), true),
    ];
    let mut file = Vec::new();
    let mut starts = Vec::new();
    for (block, packet) in blocks {
        starts.push((file.len(), packet));
        file.extend(block);
    }
    (file, starts)
}

#[test]
fn a_pcap_cut_at_any_byte_gives_its_whole_records() {
    for order in ORDERS {
        let (file, starts) = pcap(order);
        let (all, end) = read_all(&file);
        assert_clean(&end);
        for cut in 0..file.len() {
            let (packets, end) = read_all(&file[..cut]);
            let whole = starts[1..].iter().filter(|&&end| end <= cut).count();
            assert_eq!(packets, all[..whole], "cut at {cut}");
            if starts.contains(&cut) {
                assert_clean(&end);
            } else {
                let begin = starts
                    .iter()
                    .rev()
                    .find(|&&start| start < cut)
                    .copied()
                    .unwrap_or(0);
                let (offset, problem) = damage(&end);
                assert_eq!(offset, begin as u64, "cut at {cut}: {problem}");
                assert!(problem.contains("cut short") || cut == 0, "{problem}");
            }
        }
    }
}

#[test]
fn a_pcapng_cut_at_any_byte_gives_its_whole_packets() {
    for order in ORDERS {
        let (file, starts) = pcapng(order);
        let (all, end) = read_all(&file);
        assert_clean(&end);
        assert_eq!(all.len(), 4);
        for cut in 0..file.len() {
            let (packets, end) = read_all(&file[..cut]);
            let started = starts.iter().filter(|(start, _)| *start < cut);
            let boundary = starts.iter().any(|(start, _)| *start == cut);
            let (cut_block, cut_packet) =
                started.clone().next_back().copied().unwrap_or((0, false));
            let touched = started.filter(|(_, packet)| *packet).count();
            let whole = touched - usize::from(cut_packet && !boundary);
            assert_eq!(packets, all[..whole], "cut at {cut}");
            if boundary && cut > 0 {
                assert_clean(&end);
            } else {
                assert_eq!(damage(&end).0, cut_block as u64, "cut at {cut}");
            }
        }
    }
}

#[test]
fn pcap_lengths_that_can_not_be() {
    let order = Order::Little;
    let (good, starts) = pcap(order);
    let record = starts[2];
    for (field, value, says) in [
        (8, u32::MAX, "most"),
        (8, 262_145, "most"),
        (8, 200_000, "cut short"),
        (8, 14, "14 bytes captured of a packet of 13"),
        (12, 5, "captured of a packet of 5"),
        (4, 1_000_000_000, "nanoseconds"),
    ] {
        let mut file = good.clone();
        file[record + field..record + field + 4].copy_from_slice(&order.u32(value));
        let (packets, end) = read_all(&file);
        assert_eq!(packets.len(), 2);
        let (offset, problem) = damage(&end);
        assert_eq!(offset, record as u64);
        assert!(problem.contains(says), "{problem:?} lacks {says:?}");
    }
}

#[test]
fn pcapng_lengths_that_can_not_be() {
    let order = Order::Big;
    let (good, starts) = pcapng(order);
    let (packet, _) = starts[5];
    for (field, value) in [
        (4, u32::MAX),    // block length: beyond all bounds, unaligned,
        (4, 0x7fff_fffc), // aligned,
        (4, 0),           // too short to move on,
        (4, 8),           // too short to hold itself,
        (4, 30),          // unaligned,
        (4, 28),          // with another at the block's end,
        (4, 1 << 20),     // past the file's end
        (8, 9),           // no such interface
        (20, u32::MAX),   // captured length past the block's end,
        (20, 100_000),    // past the file's
        (24, 1),          // less on the wire than captured
        (48, 48),         // the length at the end, another than at the start
    ] {
        let mut file = good.clone();
        file[packet + field..packet + field + 4].copy_from_slice(&order.u32(value));
        let (packets, end) = read_all(&file);
        assert_eq!(packets.len(), 2, "field {field} = {value}");
        assert_eq!(
            damage(&end).0,
            packet as u64,
            "field {field} = {value}: {end}"
        );
    }
}

#[test]
fn an_interface_whose_options_run_away_is_an_error() {
    let order = Order::Little;
    let mut options = option(order, 9, &[9]);
    options[2] = 200;
    let file = [section(order), interface(order, 1, 0, &options)].concat();
    assert_eq!(damage(&read_all(&file).1).0, section(order).len() as u64);
}

/// Reads all of it: for the panics and the endless loops that must not be.
fn survives(bytes: &[u8]) {
    let (packets, _) = read_all(bytes);
    assert!(packets.len() <= bytes.len() / 12);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn noise_is_survived(
        start in prop::sample::select(vec![0xa1b2_c3d4u32, 0x4d3c_b2a1, 0x0a0d_0d0a, 0]),
        noise in prop::collection::vec(any::<u8>(), 0..600),
    ) {
        survives(&noise);
        survives(&[&start.to_be_bytes()[..], &noise].concat());
        for order in ORDERS {
            survives(&[&pcap_header(order, false, 65535, 1)[..], &noise].concat());
            survives(&[&pcapng(order).0[..], &noise].concat());
        }
    }

    #[test]
    fn blocks_of_noise_are_survived(
        kinds in prop::collection::vec((0u32..8, prop::collection::vec(any::<u8>(), 0..80)), 1..8),
    ) {
        for order in ORDERS {
            let mut file = [section(order), interface(order, 1, 0, &[])].concat();
            for (kind, body) in &kinds {
                file.extend(block(order, *kind, body));
            }
            survives(&file);
        }
    }

    #[test]
    fn changed_bytes_are_survived_and_what_is_before_is_delivered(
        ng in any::<bool>(),
        big in any::<bool>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let order = if big { Order::Big } else { Order::Little };
        let good = if ng { pcapng(order).0 } else { pcap(order).0 };
        let (all, _) = read_all(&good);
        let mut file = good.clone();
        for (index, value) in changes {
            let at = index.index(file.len());
            file[at] = value;
        }
        file.truncate(cut.index(good.len()) + 1);
        let first = file.iter().zip(&good).position(|(a, b)| a != b).unwrap_or(file.len());
        let (before, _) = read_all(&good[..first]);
        let (packets, _) = read_all(&file);
        prop_assert_eq!(&before[..], &all[..before.len()]);
        prop_assert!(packets.len() >= before.len());
        prop_assert_eq!(&packets[..before.len()], &before[..]);
    }
}

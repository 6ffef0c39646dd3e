//! What goes in comes out: once, in order, within the memory that was given.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use memif::pcap::RecordFormat;
use memif::{CaptureInfo, Direction, Packet, Timestamp};

use super::block::BLOCK;
use super::store::SPARE_IDLE;
use super::*;
use crate::files::filter::PacketFilter;
use crate::files::record::intake::Intake;
use crate::lock::lock;

const FORMAT: RecordFormat = RecordFormat::PcapNg;

fn buffer(limit: usize) -> Buffer {
    let intake = Intake {
        filter: PacketFilter::default(),
        snaplen: u32::MAX,
    };
    Buffer::new(limit, FORMAT, Arc::new(intake))
}

/// A packet of this time, length and number.
fn put(buffer: &Buffer, source: &Source, time: u64, length: usize, number: u32) {
    let mut data = vec![number as u8; length.max(4)];
    data[..4].copy_from_slice(&number.to_ne_bytes());
    let info = CaptureInfo::whole(data.len() + 1, Timestamp::from_nanos(time));
    let packet = Packet::new(&data, info);
    buffer.put(
        source,
        (number, Some(Direction::Outbound)),
        [packet].into_iter(),
    );
}

/// The numbers of all that is there, as the writer gets them.
fn take(buffer: &Buffer, heads: &mut Heads) -> Vec<u32> {
    let mut numbers = Vec::new();
    while heads.fill(buffer, true) {
        let mut more = |next: Next<'_>| match next {
            Next::Note(Note::Missed(number, ..)) => numbers.push(number),
            Next::Note(_) => panic!("another note"),
            Next::Packets(group) => {
                let mut left = &group.records.bytes[..];
                for _ in 0..group.records.packets {
                    let (record, rest) = left.split_at(FORMAT.first(left).unwrap());
                    let at = |at: usize| u32::from_ne_bytes(*record[at..].first_chunk().unwrap());
                    let (captured, number) = (at(20) as usize, at(28));
                    assert_eq!((at(8), at(24)), (number, captured as u32 + 1));
                    let data = &record[28..28 + captured];
                    assert!(data[4..].iter().all(|byte| *byte == number as u8));
                    numbers.push(number);
                    left = rest;
                }
                assert_eq!(left, [0; 0]);
                let looked = group.looked;
                assert_eq!(
                    (looked.packets, looked.accepted, looked.cut_before),
                    (group.records.packets, looked.packets, looked.packets)
                );
            }
        };
        while heads.next(buffer, None, &mut more) {}
    }
    numbers
}

#[test]
fn readers_are_merged_by_time() {
    let buffer = buffer(1 << 20);
    let sources = [(); 3].map(|()| buffer.add_source());
    for (source, time) in [
        (0, 1),
        (0, 4),
        (0, 4),
        (1, 2),
        (1, 3),
        (1, 9),
        (2, 0),
        (2, 5),
    ] {
        let number = time as u32 * 10 + source;
        put(&buffer, &sources[source as usize], time, 60, number);
    }
    // A note stays between the packets of its reader, whose times need not grow.
    buffer.note(&sources[1], Note::Missed(999, 0, false));
    put(&buffer, &sources[1], 6, 60, 61);
    let mut heads = Heads::default();
    let got = take(&buffer, &mut heads);
    assert_eq!(got, [2, 10, 21, 31, 40, 40, 52, 91, 999, 61]);
    assert_eq!(take(&buffer, &mut heads), [0; 0]);
    assert_eq!(buffer.packets(), 0);
}

#[test]
fn a_packet_is_not_kept_for_those_that_follow() {
    let buffer = buffer(1 << 20);
    let source = buffer.add_source();
    let mut heads = Heads::default();
    put(&buffer, &source, 1, 60, 1);
    put(&buffer, &source, 100_000_000, 60, 2);
    assert!(!heads.fill(&buffer, false), "so soon");
    put(&buffer, &source, 100_000_001, 60, 3);
    assert!(heads.fill(&buffer, false), "100 ms after the first");
    // A clock that was set does not matter.
    put(&buffer, &source, 5, 60, 4);
    assert_eq!(take(&buffer, &mut heads), [1, 2, 3, 4]);
}

#[test]
fn memory_is_bounded_and_given_back() {
    let limit = 4 << 20;
    let buffer = buffer(limit);
    let source = buffer.add_source();
    let mut heads = Heads::default();
    for round in 0..3 {
        let mut sent = Vec::new();
        while buffer.has_room() {
            let number = sent.len() as u32;
            put(&buffer, &source, 1, 1 + sent.len() % 9000, number);
            sent.push(number);
        }
        assert!(sent.len() > 200, "{round}");
        let used = buffer.load().highest;
        assert!(used <= limit && used > limit - 2 * BLOCK, "{used}");
        assert_eq!(buffer.packets(), sent.len() as u64);
        assert_eq!(take(&buffer, &mut heads), sent);
        assert_eq!(buffer.used.load(Ordering::Relaxed), 0);
        assert!(lock(&buffer.spare).len() > SPARE_IDLE);
        buffer.give_back();
        assert_eq!(lock(&buffer.spare).len(), SPARE_IDLE);
    }
}

#[test]
fn a_packet_that_is_larger_than_a_block_has_one_of_its_own() {
    let buffer = buffer(BLOCK);
    let source = buffer.add_source();
    for (number, length) in [(0, 60), (1, 3 * BLOCK), (2, 60), (3, 2 * BLOCK)] {
        put(&buffer, &source, 1, length, number);
    }
    assert!(!buffer.has_room());
    assert_eq!(take(&buffer, &mut Heads::default()), [0, 1, 2, 3]);
    assert!(buffer.has_room());
    // Also as the first, after the usual block turned out to be too small.
    put(&buffer, &source, 1, 3 * BLOCK, 4);
    assert_eq!(take(&buffer, &mut Heads::default()), [4]);
    assert_eq!(buffer.used.load(Ordering::Relaxed), 0);
    // Only blocks of the usual size are kept.
    assert!(
        lock(&buffer.spare)
            .iter()
            .all(|block| block.size() == BLOCK)
    );
}

/// Two readers that wait for room, and fall idle, and a writer that sleeps.
#[test]
fn nobody_misses_a_wake_up() {
    const EACH: u32 = 20_000;
    let buffer = buffer(256 << 10);
    let read = AtomicU64::new(0);
    let failed = AtomicBool::new(false);
    thread::scope(|scope| {
        let (buffer, read) = (&buffer, &read);
        let readers: Vec<_> = (0..2u32)
            .map(|at| {
                let source = buffer.add_source();
                scope.spawn(move || {
                    for n in 0..EACH {
                        while !buffer.has_room() {
                            buffer.wait(|| buffer.has_room());
                        }
                        put(buffer, &source, n.into(), 4 + n as usize % 700, 2 * n + at);
                        if n % 97 == 0 {
                            buffer.set_idle();
                            // Idle readers are heard, and not only when there is no room.
                            while n % 970 == 0 && buffer.packets() > 0 {
                                thread::yield_now();
                            }
                        }
                    }
                })
            })
            .collect();
        let failed = &failed;
        scope.spawn(move || {
            buffer.attach();
            let mut heads = Heads::default();
            let mut next = [0, 1];
            loop {
                let closing = buffer.is_closing();
                buffer.take_idle();
                let taken = take(buffer, &mut heads);
                let any = !taken.is_empty();
                for number in taken {
                    let expected = &mut next[number as usize % 2];
                    failed.fetch_or(number != *expected, Ordering::Relaxed);
                    *expected += 2;
                    read.fetch_add(1, Ordering::Relaxed);
                }
                if closing {
                    break;
                }
                buffer.sleep(true, any);
            }
        });
        for reader in readers {
            reader.join().unwrap();
        }
        buffer.close();
    });
    assert!(!failed.into_inner());
    assert_eq!(read.into_inner(), 2 * u64::from(EACH));
}

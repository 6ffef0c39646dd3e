//! What a recording counts: every packet once, wherever it ends.

use std::os::fd::OwnedFd;

use memif::Timestamp;
use memif::pcap::{InterfaceStatistics, RecordFormat};

use super::*;
use crate::files::filter::PacketFilter;
use crate::files::record::buffer::{Buffer, Heads, Next};
use crate::files::record::output::Records;

/// Takes so many packets, then is full or fails.
#[derive(Default)]
struct Limited {
    left: u64,
    fails: bool,
    taken: u64,
    counts: InterfaceStatistics,
    /// By the clock.
    is_over: bool,
}

impl Output for Limited {
    fn put(&mut self, _: &Packet<'_>, _: u32, _: Direction) -> Result<Put, Failure> {
        if self.left == 0 {
            return match self.fails {
                true => Err(Failure::Failed("no room".into())),
                false => Ok(Put::Full),
            };
        }
        self.left -= 1;
        self.taken += 1;
        Ok(Put::Taken)
    }

    fn put_records(&mut self, records: Records<'_>) -> Result<Put, Failure> {
        let any = Packet::default();
        let mut puts = (0..records.packets).map(|_| self.put(&any, 0, Direction::Unknown));
        puts.find(|put| !matches!(put, Ok(Put::Taken)))
            .unwrap_or(Ok(Put::Taken))
    }

    fn flush(&mut self) -> Result<(), Failure> {
        Ok(())
    }

    fn tick(&mut self) -> Result<Put, Failure> {
        Ok(match self.is_over {
            true => Put::Full,
            false => Put::Taken,
        })
    }

    fn is_read_along(&self) -> bool {
        false
    }

    fn pipe(&self) -> Option<OwnedFd> {
        None
    }

    fn counts(&mut self, _: u32) -> Option<&mut InterfaceStatistics> {
        Some(&mut self.counts)
    }

    fn end(&mut self, _: bool) -> Result<(), Failure> {
        Ok(())
    }

    /// One of them did not get where it belongs.
    fn packets(&self) -> (u64, u64) {
        (self.taken, self.taken.saturating_sub(self.fails.into()))
    }

    fn what_was_done(&self) -> String {
        "seen".into()
    }
}

fn state(left: u64, fails: bool, limit: Option<u64>) -> State {
    let output = Limited {
        left,
        fails,
        ..Limited::default()
    };
    State {
        left: limit,
        ..state_of(output)
    }
}

fn state_of(output: Limited) -> State {
    State {
        output: Box::new(output),
        intake: Arc::new(Intake {
            filter: PacketFilter::default(),
            snaplen: 40,
        }),
        left: None,
        stop_at: None,
        seen: Summary::default(),
        first: None,
        failure: None,
        unread: None,
        full: false,
        over: None,
        on_dropped: None,
        rings: None,
        ended: false,
        flush: false,
        room: Vec::new(),
    }
}

/// How packets come.
#[derive(Clone, Copy, Debug, PartialEq)]
enum By {
    One,
    Records,
    Buffer,
}

const WAYS: [By; 3] = [By::One, By::Records, By::Buffer];

/// Twelve of 60 bytes, of which the last had been 100 and was cut before it came here.
fn take(state: &mut State, by: By) {
    let packets = (0..12).map(|n| {
        let length = if n == 11 { 30 } else { 60 };
        let mut info = memif::CaptureInfo::whole(length, Timestamp::default());
        info.length = if n == 11 { 100 } else { 60 };
        Packet::new(&[0; 60][..length], info)
    });
    match by {
        By::One => return state.take(0, Some(Direction::Inbound), packets),
        By::Records => {
            return state.take_records(RecordFormat::PcapNg, 0, Some(Direction::Inbound), packets);
        }
        By::Buffer => {}
    }
    let buffer = Buffer::new(1 << 20, RecordFormat::PcapNg, Arc::clone(&state.intake));
    let source = buffer.add_source();
    buffer.put(&source, (0, Some(Direction::Inbound)), packets);
    let mut heads = Heads::default();
    assert!(heads.fill(&buffer, true));
    heads.next(&buffer, state.over, |next| match next {
        Next::Packets(group) => state.take_group(group),
        Next::Note(_) => panic!("a note"),
    });
}

#[test]
fn every_packet_is_in_one_of_the_counts() {
    // Full, failed, at the limit, and after the end: how many are done, discarded, lost.
    for (make, done, discarded, lost) in [
        ((100, false, None, None), 12, 0, 0),
        ((10, false, None, None), 10, 2, 0),
        ((10, true, None, None), 9, 0, 3),
        ((100, false, Some(7), None), 7, 5, 0),
        ((100, false, None, Some(0)), 12, 0, 0),
    ] {
        for by in WAYS {
            let (left, fails, limit, over) = make;
            let mut state = state(left, fails, limit);
            state.over = over.map(Timestamp::from_nanos);
            take(&mut state, by);
            let seen = state.summary(true);
            assert_eq!((seen.received, seen.bytes), (12, 11 * 60 + 100));
            assert_eq!(
                (seen.done, seen.discarded, seen.lost),
                (done, discarded, lost)
            );
            let counts = state.output.counts(0).unwrap();
            assert_eq!((counts.received, counts.accepted), (12, 12));
            // Before the end what is not flushed counts as done.
            assert_eq!(counts.dropped, discarded + lost - u64::from(lost > 0));
            let is_done = discarded + lost > 0 || over.is_some();
            assert_eq!(state.is_done(), is_done);
        }
    }
}

#[test]
fn packets_cut_here_are_told_from_those_cut_before() {
    for by in WAYS {
        let mut state = state(100, false, None);
        take(&mut state, by);
        assert_eq!((state.seen.cut, state.seen.cut_before), (11, 1));
    }
}

#[test]
fn the_clock_is_looked_at_before_packets_are_written() {
    for by in WAYS {
        let mut state = state_of(Limited {
            left: 100,
            is_over: true,
            ..Limited::default()
        });
        take(&mut state, by);
        let seen = state.summary(true);
        assert_eq!((seen.done, seen.discarded), (0, 12));
    }
}

#[test]
fn a_packet_that_no_record_can_hold_ends_the_recording() {
    let mut state = state(100, false, None);
    let huge = vec![0; 65 << 20];
    state.intake = Arc::new(Intake {
        filter: PacketFilter::default(),
        snaplen: u32::MAX,
    });
    let packets = [&[0; 60], &huge[..], &[0; 60]];
    let packets = packets.map(|data| Packet::whole(data, Timestamp::default()));
    state.take_records(RecordFormat::PcapNg, 0, Some(Direction::Inbound), packets);
    let seen = state.summary(true);
    assert_eq!((seen.received, seen.done, seen.lost), (3, 1, 2));
    assert!(state.failure.is_some());
}

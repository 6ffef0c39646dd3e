//! What a recording counts: every packet once, wherever it ends.

use std::os::fd::OwnedFd;

use memif::Timestamp;
use memif::pcap::InterfaceStatistics;

use super::*;

/// Takes so many packets, then is full or fails.
struct Limited {
    left: u64,
    fails: bool,
    taken: u64,
    counts: InterfaceStatistics,
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

    fn flush(&mut self) -> Result<(), Failure> {
        Ok(())
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
        (self.taken, self.taken - u64::from(self.fails))
    }

    fn what_was_done(&self) -> String {
        "seen".into()
    }
}

fn state(left: u64, fails: bool, limit: Option<u64>) -> State {
    State {
        output: Box::new(Limited {
            left,
            fails,
            taken: 0,
            counts: InterfaceStatistics::default(),
        }),
        filter: PacketFilter::default(),
        snaplen: 40,
        left: limit,
        stop_at: None,
        seen: Summary::default(),
        first: None,
        failure: None,
        full: false,
        over: None,
        on_dropped: None,
        rings: None,
        ended: false,
        flush: false,
    }
}

/// Twelve of 60 bytes, of which the last had been 100 and was cut before it came here.
fn take(state: &mut State) -> u64 {
    let packets = (0..12).map(|n| {
        let length = if n == 11 { 30 } else { 60 };
        let mut info = memif::CaptureInfo::whole(length, Timestamp::default());
        info.length = if n == 11 { 100 } else { 60 };
        Packet::new(&[0; 60][..length], info)
    });
    state.take(0, Direction::Inbound, packets)
}

#[test]
fn every_packet_is_in_one_of_the_counts() {
    // Full, failed, and at the limit: how many are done, discarded, lost.
    for (mut state, done, discarded, lost) in [
        (state(100, false, None), 12, 0, 0),
        (state(10, false, None), 10, 2, 0),
        (state(10, true, None), 9, 0, 3),
        (state(100, false, Some(7)), 7, 5, 0),
    ] {
        assert_eq!(take(&mut state), 12 - state.output.packets().0);
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
        assert_eq!(state.is_done(), discarded + lost > 0);
    }
}

#[test]
fn packets_cut_here_are_told_from_those_cut_before() {
    let mut state = state(100, false, None);
    take(&mut state);
    assert_eq!((state.seen.cut, state.seen.cut_before), (11, 1));
}

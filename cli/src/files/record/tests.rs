//! What readers and the writer are to each other when one of them stops.

use std::os::fd::OwnedFd;
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::{Duration, Instant};

use memif::pcap::RecordFormat;
use memif::{CaptureInfo, Direction, Packet, Timestamp};

use super::output::Records;
use super::watch::Watch;
use super::*;
use crate::events::{Events, Task};
use crate::failure::Failure;
use crate::files::filter::PacketFilter;

/// What it does with each packet, how many it took, and where it tells that when it is flushed.
struct Stub(Box<dyn FnMut() -> Put + Send>, u64, Sender<u64>);

impl Output for Stub {
    fn put(&mut self, _: &Packet<'_>, _: u32, _: Direction) -> Result<Put, Failure> {
        let put = (self.0)();
        self.1 += u64::from(put == Put::Taken);
        Ok(put)
    }

    fn format(&self) -> Option<RecordFormat> {
        Some(RecordFormat::Pcap)
    }

    fn put_records(&mut self, records: Records<'_>) -> Result<Put, Failure> {
        let any = Packet::default();
        let mut puts = (0..records.packets).map(|_| self.put(&any, 0, Direction::Unknown));
        puts.find(|put| !matches!(put, Ok(Put::Taken)))
            .unwrap_or(Ok(Put::Taken))
    }

    fn flush(&mut self) -> Result<(), Failure> {
        let _ = self.2.send(self.1); // who has the other end may not ask
        Ok(())
    }

    fn idle(&mut self) -> Result<(), Failure> {
        Ok(())
    }

    fn is_read_along(&self) -> bool {
        false
    }

    fn pipe(&self) -> Option<OwnedFd> {
        None
    }

    fn end(&mut self, _: bool) -> Result<(), Failure> {
        Ok(())
    }

    fn packets(&self) -> (u64, u64) {
        (self.1, self.1)
    }

    fn what_was_done(&self) -> String {
        "seen".into()
    }
}

const BUFFER: usize = 1 << 20;

fn recording(
    put: impl FnMut() -> Put + Send + 'static,
    limits: Limits,
    ends_command: bool,
) -> (Recording, Events) {
    let (recording, events, _) = flushed_recording(put, limits, ends_command);
    (recording, events)
}

/// With how many packets had been taken at each flush.
fn flushed_recording(
    put: impl FnMut() -> Put + Send + 'static,
    limits: Limits,
    ends_command: bool,
) -> (Recording, Events, Receiver<u64>) {
    let events = Events::start().unwrap();
    let setup = Setup {
        filter: PacketFilter::default(),
        snaplen: 65535,
        limits,
        buffer: Some(BUFFER),
        ends_command,
    };
    let (flushes, flushed) = mpsc::channel();
    let output = Box::new(Stub(Box::new(put), 0, flushes));
    let recording = start(output, setup, &events, |_| {}).unwrap();
    (recording, events, flushed)
}

fn bring(feed: &mut Feed, packets: usize) {
    let info = CaptureInfo::whole(1000, Timestamp::now());
    feed.take(0, (0..packets).map(|_| Packet::new(&[0; 1000], info)));
}

/// Brings packets until no more are wanted; how many.
fn bring_all(recording: &Recording) -> u64 {
    let mut feed = Feed::new(recording);
    let mut brought = 0;
    while feed.wanted() != Some(0) {
        bring(&mut feed, 10);
        brought += 10;
    }
    brought
}

#[test]
fn a_writer_that_panics_ends_the_recording() {
    let (recording, events) = recording(|| panic!("as it should"), Limits::default(), true);
    let brought = bring_all(&recording);
    assert!(events.is_stopped());
    let (seen, result) = recording.end();
    let Err(Failure::Failed(why)) = result else {
        panic!("{result:?}")
    };
    assert!(why.contains("panicked"), "{why}");
    // The one that it panicked at may be in hand.
    assert!(
        seen.received >= brought && seen.lost >= brought,
        "{seen:?} of {brought}"
    );
}

#[test]
fn what_comes_after_the_end_is_counted_and_not_kept() {
    let mut left = 3;
    let put = move || match left {
        0 => Put::Full,
        _ => {
            left -= 1;
            Put::Taken
        }
    };
    let (recording, events) = recording(put, Limits::default(), false);
    let mut feed = Feed::new(&recording);
    let mut brought = 0;
    while !recording.is_done() || brought < 10_000 {
        feed.wait_for_room(&events);
        bring(&mut feed, 10);
        brought += 10;
    }
    let (seen, result) = recording.end();
    result.unwrap();
    assert_eq!((seen.received, seen.done), (brought, 3));
    assert_eq!(seen.discarded, brought - 3);
    assert!(seen.load.unwrap().highest <= BUFFER);
}

/// A writer that waits, say for the reader of a pipe.
fn blocked() -> (Sender<()>, impl FnMut() -> Put + Send) {
    let (go, wait): (_, Receiver<()>) = mpsc::channel();
    let put = move || {
        // Until the other end is dropped.
        let _ = wait.recv();
        Put::Taken
    };
    (go, put)
}

#[test]
fn a_time_ends_while_the_writer_is_blocked() {
    for ends_command in [true, false] {
        let (go, put) = blocked();
        let limits = Limits {
            duration: Some(Duration::from_millis(20)),
            ..Limits::default()
        };
        let (recording, events) = recording(put, limits, ends_command);
        let brought = bring_all(&recording);
        assert_eq!(events.is_stopped(), ends_command);
        drop(go);
        let (seen, result) = recording.end();
        result.unwrap();
        assert_eq!(seen.received, brought);
        assert_eq!(seen.done + seen.discarded, brought);
        assert!(seen.done > 0);
    }
}

#[test]
fn a_reader_that_fails_costs_nothing_that_others_brought() {
    let (go, put) = blocked();
    let (recording, events) = recording(put, Limits::default(), true);
    let [mut one, mut other] = [(); 2].map(|()| Feed::new(&recording));
    bring(&mut one, 100);
    other.fail(Failure::Failed("as it should".into()));
    bring(&mut one, 100);
    drop(go);
    let (seen, result) = recording.end();
    assert!(events.is_stopped());
    let failed = matches!(&result, Err(Failure::Failed(why)) if why == "as it should");
    assert!(failed, "{result:?}");
    assert_eq!((seen.received, seen.done, seen.lost), (200, 200, 0));
}

/// Whoever brings the last one: the others learn that it is done, and not before.
#[test]
fn readers_go_on_until_all_that_is_wanted_was_written() {
    for _ in 0..20 {
        let limits = Limits {
            packets: Some(500),
            ..Limits::default()
        };
        let (recording, _events) = recording(|| Put::Taken, limits, true);
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    let mut feed = Feed::new(&recording);
                    while feed.wanted() != Some(0) {
                        bring(&mut feed, 1);
                    }
                    assert!(recording.is_done());
                });
            }
        });
        let (seen, result) = recording.end();
        result.unwrap();
        assert_eq!((seen.done, seen.received - seen.discarded), (500, 500));
    }
}

#[test]
fn a_flush_comes_after_all_that_was_there_before() {
    let (go, put) = blocked();
    let (recording, _events, flushed) = flushed_recording(put, Limits::default(), true);
    let mut feeds = [(); 2].map(|()| Feed::new(&recording));
    // Several blocks of each.
    for _ in 0..4 {
        feeds.iter_mut().for_each(|feed| bring(feed, 100));
    }
    recording.buffer().unwrap().ask_flush();
    drop(go);
    assert_eq!(flushed.recv_timeout(Duration::from_secs(60)), Ok(800));
    recording.end().1.unwrap();
}

#[test]
fn what_left_its_ring_before_another_reader_failed_is_written() {
    for _ in 0..20 {
        let (recording, _events) = recording(|| Put::Taken, Limits::default(), true);
        let [mut one, mut other] = [(); 2].map(|()| Feed::new(&recording));
        other.fail(Failure::Failed("as it should".into()));
        while !recording.is_done() {
            std::thread::yield_now();
        }
        bring(&mut one, 100);
        let (seen, result) = recording.end();
        assert!(result.is_err());
        assert_eq!((seen.received, seen.done), (100, 100));
    }
}

/// The writer had just written all that there was, and held the state.
#[test]
fn that_the_reader_of_a_pipe_has_gone_is_learnt_though_somebody_writes() {
    let (recording, _events) = recording(|| Put::Taken, Limits::default(), true);
    let mut watch = Watch {
        recording: recording.clone(),
        pipe: None,
        gone: false,
        tell: Box::new(|_| {}),
    };
    let writing = recording.state_now().unwrap();
    assert!(watch.run(true));
    drop(writing);
    assert!(watch.deadline().is_some_and(|at| at <= Instant::now()));
    assert!(watch.run(false));
    assert!(recording.is_done());
    assert!(matches!(recording.end().1, Err(Failure::NobodyReads)));
}

#[test]
fn a_reader_of_a_pipe_that_has_all_may_go() {
    let limits = Limits {
        packets: Some(10),
        ..Limits::default()
    };
    let (recording, events) = recording(|| Put::Taken, limits, false);
    let mut watch = Watch {
        recording: recording.clone(),
        pipe: None,
        gone: false,
        tell: Box::new(|_| {}),
    };
    let mut feed = Feed::new(&recording);
    bring(&mut feed, 20);
    feed.idle();
    while !recording.is_past_its_end() {
        feed.wait_for_room(&events);
        std::thread::yield_now();
    }
    while recording.state_now().is_none_or(|state| !state.ended) {
        std::thread::yield_now();
    }
    bring(&mut feed, 7);
    assert!(watch.run(true));
    let (seen, result) = recording.end();
    result.unwrap();
    assert_eq!((seen.done, seen.lost, seen.discarded), (10, 0, 17));
}

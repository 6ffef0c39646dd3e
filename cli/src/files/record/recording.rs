//! What all commands that record have in common: limits, the clock, failures, numbers, the end.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, TryLockError};
use std::thread::JoinHandle;
use std::time::Instant;

use memif::Timestamp;
use memif::pcap::InterfaceInfo;

use super::buffer::Buffer;
use super::output::Rings;
use super::state::State;
use super::summary::{Load, Summary};
use crate::events::{Events, Request};
use crate::failure::Failure;
use crate::lock::lock;
use crate::report::notice_later;

/// Takes packets from any thread, by feeds. Clones are the same.
#[derive(Clone)]
pub(crate) struct Recording(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    /// Without one, who brings packets writes them.
    buffer: Option<Arc<Buffer>>,
    /// The thread that empties the buffer.
    writer: Mutex<Option<JoinHandle<()>>>,
    /// Packets that are still wanted, `u64::MAX` for all that come.
    left: AtomicU64,
    filters: bool,
    done: AtomicBool,
    /// With a buffer: when the time ends, and the nanoseconds at which it has; 0: not yet.
    stop_at: Option<Instant>,
    over: AtomicU64,
    /// Packets, and their bytes, that came after the end of a recording that ends nothing else.
    passed: [AtomicU64; 2],
    asked: Mutex<Vec<(Request, Instant)>>,
    /// With a buffer: what is told while whoever writes is blocked.
    passed_on: Mutex<Summary>,
    events: Events,
    ends_command: bool,
}

impl Recording {
    pub(super) fn new(
        state: State,
        buffer: Option<Buffer>,
        events: &Events,
        ends_command: bool,
    ) -> Self {
        let mut state = state;
        Self(Arc::new(Shared {
            // Not the state's, which who writes may hold for as long as a pipe is not read.
            stop_at: buffer.as_ref().and_then(|_| state.stop_at.take()),
            over: AtomicU64::new(0),
            passed: Default::default(),
            buffer: buffer.map(Arc::new),
            writer: Mutex::default(),
            left: AtomicU64::new(state.left.unwrap_or(u64::MAX)),
            filters: !state.intake.filter.is_open(),
            state: Mutex::new(state),
            done: AtomicBool::new(false),
            asked: Mutex::default(),
            passed_on: Mutex::default(),
            events: events.clone(),
            ends_command,
        }))
    }

    pub(super) fn set_writer(&self, thread: JoinHandle<()>) {
        *lock(&self.0.writer) = Some(thread);
    }

    pub(super) fn buffer(&self) -> Option<&Buffer> {
        self.0.buffer.as_deref()
    }

    pub(crate) fn is_done(&self) -> bool {
        self.0.done.load(Ordering::Acquire)
    }

    pub(super) fn ends_command(&self) -> bool {
        self.0.ends_command
    }

    /// Done, while packets still come that go elsewhere too.
    pub(super) fn is_past_its_end(&self) -> bool {
        !self.0.ends_command && self.is_done()
    }

    /// Counts packets that are not recorded any more.
    pub(super) fn pass(&self, lengths: impl Iterator<Item = u64>) {
        let (packets, bytes) = lengths.fold((0, 0), |(n, sum), length| (n + 1, sum + length));
        for (count, more) in self.0.passed.iter().zip([packets, bytes]) {
            count.fetch_add(more, Ordering::Relaxed);
        }
    }

    /// When the time ends, unless it has.
    pub(super) fn stop_at(&self) -> Option<Instant> {
        self.0.stop_at.filter(|_| !self.is_done())
    }

    /// Ends the recording if its time is over: what came before is still written. Does not wait for
    /// whoever writes.
    pub(super) fn end_in_time(&self) {
        if self.stop_at().is_none_or(|at| Instant::now() < at) {
            return;
        }
        let now = Timestamp::now().as_nanos().max(1);
        self.0.over.store(now, Ordering::Release);
        let first = !self.0.done.swap(true, Ordering::AcqRel);
        self.buffer().into_iter().for_each(Buffer::ask_flush);
        if first && self.0.ends_command {
            self.0.events.stop();
        }
    }

    /// Packets that are still wanted, without those in the buffer; `None`: all that come.
    pub(super) fn left(&self) -> Option<u64> {
        if self.0.left.load(Ordering::Relaxed) == u64::MAX {
            return None;
        }
        // In this order: what is written in between is not wanted twice.
        let buffered = self.buffer().map_or(0, Buffer::packets);
        let left = self.0.left.load(Ordering::Acquire);
        Some(left.saturating_sub(buffered))
    }

    /// Whether whole packets are looked at before they are cut.
    pub(crate) fn filters(&self) -> bool {
        self.0.filters
    }

    /// Tells of packets of an interface that went nowhere, beside those that the filter rejected.
    pub(crate) fn on_dropped(&self, tell: impl Fn(u32, u64) + Send + 'static) {
        self.state().on_dropped = Some(Box::new(tell));
    }

    /// How often the rings of the interfaces were found full so far.
    pub(crate) fn watch_rings(&self, rings: impl Fn() -> Vec<u64> + Send + Sync + 'static) {
        let buffer = self.0.buffer.clone();
        let rings: Rings = Arc::new(move || (rings(), buffer.as_deref().map(Buffer::load)));
        let mut state = self.state();
        state.output.watch_rings(&rings);
        state.rings = Some(rings);
    }

    /// Slots that the peer has overwritten before they were read: at least as many as packets.
    pub(crate) fn overrun(&self, interface: u32, slots: u64) {
        self.with(|state| {
            state.seen.overrun += slots;
            if let Some(counts) = state.output.counts(interface) {
                counts.dropped += slots;
            }
        });
    }

    /// What packets come from, before there are any; a feed tells it later.
    pub(crate) fn describe(&self, interfaces: Vec<InterfaceInfo>) {
        self.with(|state| state.describe(interfaces));
    }

    /// Ends the output, once all that was brought has been written; what there was, and why it
    /// ended early.
    pub(crate) fn end(&self) -> (Summary, Result<(), Failure>) {
        if let Some(buffer) = self.buffer() {
            buffer.close();
        }
        let writer = lock(&self.0.writer).take();
        // That it panicked is known.
        let _ = writer.map(JoinHandle::join);
        let mut state = self.state();
        let left = self.buffer().map_or(0, Buffer::packets);
        state.seen.received += left;
        state.seen.lost += left;
        state.end();
        state.output.wait();
        let summary = self.summary(&state, true);
        let failure = state.failure.take().or_else(|| state.unread.take());
        (summary, failure.map_or(Ok(()), Err))
    }

    /// How full the buffer was, where there is one.
    pub(crate) fn load(&self) -> Option<Load> {
        self.buffer().map(Buffer::load)
    }

    /// What there was before whoever writes was blocked, and what has come since.
    pub(super) fn summary_meanwhile(&self) -> Summary {
        let mut summary = lock(&self.0.passed_on).clone();
        summary.received += self.buffer().map_or(0, Buffer::packets);
        summary.load = self.load();
        summary.what = "passed to the output so far".into();
        summary
    }

    pub(super) fn summary(&self, state: &State, at_end: bool) -> Summary {
        let [packets, bytes] = self.0.passed.each_ref().map(|n| n.load(Ordering::Relaxed));
        let mut summary = state.summary(at_end);
        summary.load = self.load();
        summary.received += packets;
        summary.bytes += bytes;
        match state.failure {
            Some(_) => summary.lost += packets,
            None => summary.discarded += packets,
        }
        summary
    }

    pub(super) fn ask(&self, request: Request) {
        self.asked().push((request, Instant::now()));
    }

    /// What signals have asked for, and when.
    pub(super) fn asked(&self) -> MutexGuard<'_, Vec<(Request, Instant)>> {
        lock(&self.0.asked)
    }

    /// `None` while somebody writes, who may be blocked.
    pub(super) fn state_now(&self) -> Option<MutexGuard<'_, State>> {
        match self.0.state.try_lock() {
            Ok(state) => Some(state),
            Err(TryLockError::Poisoned(state)) => Some(state.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.0.state)
    }

    /// When its time ended, if it has.
    pub(super) fn over(&self) -> Option<Timestamp> {
        match self.0.over.load(Ordering::Acquire) {
            0 => None,
            over => Some(Timestamp::from_nanos(over)),
        }
    }

    /// Does it, and what follows from the end of the recording if that was it.
    pub(super) fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.state();
        state.over = state.over.or_else(|| self.over());
        let result = act(&mut state);
        self.after(state);
        result
    }

    pub(super) fn after(&self, mut state: MutexGuard<'_, State>) {
        let left = state.left.unwrap_or(u64::MAX);
        self.0.left.store(left, Ordering::Release);
        if self.0.buffer.is_some() {
            *lock(&self.0.passed_on) = state.passed_on();
        }
        if !state.is_done() {
            return;
        }
        let first = !self.0.done.swap(true, Ordering::AcqRel);
        if self.0.ends_command {
            drop(state);
            if first {
                self.0.events.stop();
            }
        } else if state.is_finished() && !state.ended {
            state.end();
            let why = match &state.failure {
                Some(Failure::Failed(text) | Failure::Usage(text)) => text,
                Some(Failure::NobodyReads) => "nobody reads the output any more",
                None => "a limit was reached",
            };
            notice_later(format_args!(
                "Recording has ended: {why}. Packets are still forwarded."
            ));
        }
    }
}

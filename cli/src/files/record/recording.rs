//! What all commands that record have in common: limits, the clock, failures, numbers, the end.

use std::borrow::Borrow;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use memif::Direction;
use memif::Packet;
use memif::pcap::InterfaceInfo;
use nix::poll::{PollFd, PollFlags};

use super::options::Limits;
use super::output::{Output, Put};
use crate::events::{Events, Request, Task};
use crate::failure::Failure;
use crate::files::filter::PacketFilter;
use crate::report::{count, notice_later};

pub(crate) struct Setup {
    pub(crate) filter: PacketFilter,
    pub(crate) snaplen: u32,
    pub(crate) limits: Limits,
    /// Whether the command ends with it. Otherwise the user is told, and the command goes on.
    pub(crate) ends_command: bool,
}

/// Takes packets from any thread. Clones are the same.
#[derive(Clone)]
pub(crate) struct Recording(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    done: AtomicBool,
    asked: Mutex<Vec<Request>>,
    events: Events,
    ends_command: bool,
}

struct State {
    output: Box<dyn Output>,
    filter: PacketFilter,
    snaplen: u32,
    left: Option<u64>,
    stop_at: Option<Instant>,
    seen: Summary,
    first: Option<Instant>,
    failure: Option<Failure>,
    /// A limit has been reached.
    full: bool,
    ended: bool,
    /// Whoever writes to the pipe is to flush it.
    flush: bool,
}

/// What has been so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Summary {
    pub(crate) received: u64,
    pub(crate) bytes: u64,
    /// Since the first packet.
    pub(crate) time: Duration,
    /// By the filter, where there is one.
    pub(crate) rejected: Option<u64>,
    pub(crate) snaplen: u32,
    /// By the snap length.
    pub(crate) cut: u64,
    /// In the file that they come from.
    pub(crate) cut_before: u64,
    /// After a limit was reached.
    pub(crate) discarded: u64,
    /// As the output failed.
    pub(crate) lost: u64,
    /// By an observer; perhaps there were more.
    pub(crate) missed: Option<(u64, bool)>,
    /// Slots, by the peer before they were read.
    pub(crate) overrun: u64,
    /// Packets that are where they belong.
    pub(crate) done: u64,
    /// As in `5 packets written to x.pcap`.
    pub(crate) what: String,
}

impl Recording {
    /// SIGUSR1 tells the numbers, by `tell`; SIGUSR2 flushes.
    pub(crate) fn start(
        output: Box<dyn Output>,
        setup: Setup,
        events: &Events,
        tell: impl Fn(&Summary) + Send + 'static,
    ) -> Result<Self, Failure> {
        let pipe = output.pipe();
        let duration = setup.limits.duration;
        let this = Self(Arc::new(Shared {
            state: Mutex::new(State {
                output,
                left: setup.limits.packets,
                stop_at: duration.and_then(|time| Instant::now().checked_add(time)),
                seen: Summary {
                    rejected: (!setup.filter.is_open()).then_some(0),
                    snaplen: setup.snaplen,
                    ..Summary::default()
                },
                filter: setup.filter,
                snaplen: setup.snaplen,
                first: None,
                failure: None,
                full: false,
                ended: false,
                flush: false,
            }),
            done: AtomicBool::new(false),
            asked: Mutex::default(),
            events: events.clone(),
            ends_command: setup.ends_command,
        }));
        let asked = this.clone();
        events.on_request(move |request| asked.asked().push(request))?;
        events.add(Watch {
            recording: this.clone(),
            pipe,
            tell: Box::new(tell),
        });
        Ok(this)
    }

    pub(crate) fn is_done(&self) -> bool {
        self.0.done.load(Ordering::Acquire)
    }

    /// How many packets are still wanted; `None`: all that come.
    pub(crate) fn left(&self) -> Option<u64> {
        self.state().left
    }

    /// Whether whole packets are looked at before they are cut.
    pub(crate) fn filters(&self) -> bool {
        !self.state().filter.is_open()
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

    pub(crate) fn describe(&self, interfaces: Vec<InterfaceInfo>) {
        self.with(|state| {
            if !state.is_done()
                && let Err(failure) = state.output.describe(interfaces)
            {
                state.fail(failure);
            }
        });
    }

    /// Returns how many of them went nowhere, beside those that the filter rejected.
    pub(crate) fn take<'p, P: Borrow<Packet<'p>>>(
        &self,
        interface: u32,
        packets: impl IntoIterator<Item = P>,
    ) -> u64 {
        self.take_as(interface, Direction::Inbound, packets)
    }

    /// As `take`, of packets that went this way.
    pub(crate) fn take_as<'p, P: Borrow<Packet<'p>>>(
        &self,
        interface: u32,
        way: Direction,
        packets: impl IntoIterator<Item = P>,
    ) -> u64 {
        self.with(|state| state.take(interface, way, packets))
    }

    /// Packets of an interface that passed and could not be read; perhaps there were more.
    pub(crate) fn missed(&self, interface: u32, packets: u64, at_least: bool) {
        let mut state = self.state();
        let (before, uncertain) = state.seen.missed.unwrap_or_default();
        state.seen.missed = Some((before + packets, uncertain || at_least));
        if let Some(counts) = state.output.counts(interface) {
            counts.received += packets;
            counts.dropped += packets;
        }
    }

    /// Nothing is waiting: what is held back goes out.
    pub(crate) fn idle(&self) {
        self.with(|state| state.let_out(|output| output.idle()));
    }

    pub(crate) fn fail(&self, failure: Failure) {
        self.with(|state| state.fail(failure));
    }

    /// Ends the output; what there was, and why it ended early.
    pub(crate) fn end(&self) -> (Summary, Result<(), Failure>) {
        let mut state = self.state();
        state.end();
        state.output.wait();
        let summary = state.summary(true);
        (summary, state.failure.take().map_or(Ok(()), Err))
    }

    fn asked(&self) -> MutexGuard<'_, Vec<Request>> {
        self.0.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `None` while somebody writes, who may be blocked.
    fn state_now(&self) -> Option<MutexGuard<'_, State>> {
        match self.0.state.try_lock() {
            Ok(state) => Some(state),
            Err(TryLockError::Poisoned(state)) => Some(state.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does it, and what follows from the end of the recording if that was it.
    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.state();
        let result = act(&mut state);
        self.after(state);
        result
    }

    fn after(&self, mut state: MutexGuard<'_, State>) {
        if state.is_done() && !self.0.done.swap(true, Ordering::AcqRel) {
            if self.0.ends_command {
                drop(state);
                self.0.events.stop();
            } else {
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
}

impl State {
    fn is_done(&self) -> bool {
        self.left == Some(0) || self.failure.is_some() || self.full
    }

    fn fail(&mut self, failure: Failure) {
        self.failure.get_or_insert(failure);
    }

    fn take<'p, P: Borrow<Packet<'p>>>(
        &mut self,
        interface: u32,
        way: Direction,
        packets: impl IntoIterator<Item = P>,
    ) -> u64 {
        self.first.get_or_insert_with(Instant::now);
        let before = (self.seen.received, self.seen.rejected, self.missing());
        for packet in packets {
            self.put(interface, way, packet.borrow());
        }
        let received = self.seen.received - before.0;
        let rejected = self.seen.rejected.unwrap_or(0) - before.1.unwrap_or(0);
        let missing = self.missing() - before.2;
        if let Some(counts) = self.output.counts(interface) {
            counts.received += received;
            counts.accepted += received - rejected;
            counts.dropped += missing;
        }
        if self.output.is_read_along() || std::mem::take(&mut self.flush) {
            self.let_out(|output| output.idle());
        }
        missing
    }

    fn missing(&self) -> u64 {
        self.seen.discarded + self.seen.lost
    }

    #[inline]
    fn put(&mut self, interface: u32, way: Direction, packet: &Packet<'_>) {
        let info = packet.info();
        self.seen.received += 1;
        self.seen.bytes += info.length as u64;
        if !self.filter.matches(packet) {
            self.seen.rejected = self.seen.rejected.map(|n| n + 1);
            return;
        }
        if self.failure.is_some() {
            self.seen.lost += 1;
            return;
        }
        if self.is_done() {
            self.seen.discarded += 1;
            return;
        }
        let most = self.snaplen as usize;
        let data = &packet.data()[..packet.data().len().min(most)];
        if data.len() < info.length {
            match data.len() == most {
                true => self.seen.cut += 1,
                false => self.seen.cut_before += 1,
            }
        }
        let packet = Packet::new(data, info);
        match self.output.put(&packet, interface, way) {
            Ok(Put::Taken) => self.left = self.left.map(|n| n - 1),
            Ok(Put::Full) => {
                self.full = true;
                self.seen.discarded += 1;
            }
            Err(failure) => {
                self.seen.lost += 1;
                self.fail(failure);
            }
        }
    }

    fn let_out(&mut self, out: impl FnOnce(&mut dyn Output) -> Result<(), Failure>) {
        if self.failure.is_none()
            && !self.ended
            && let Err(failure) = out(self.output.as_mut())
        {
            self.fail(failure);
        }
    }

    /// The first moment at which the clock decides something.
    fn deadline(&self) -> Option<Instant> {
        let times = [self.stop_at, self.output.deadline()];
        times
            .into_iter()
            .flatten()
            .min()
            .filter(|_| !self.is_done())
    }

    fn tick(&mut self) {
        if self.is_done() || self.ended {
            return;
        }
        match self.output.tick() {
            Ok(Put::Taken) => self.full |= self.stop_at.is_some_and(|at| at <= Instant::now()),
            Ok(Put::Full) => self.full = true,
            Err(failure) => self.fail(failure),
        }
    }

    fn end(&mut self) {
        if !self.ended {
            self.let_out(|output| output.idle());
            self.ended = true;
            if let Err(failure) = self.output.end(self.failure.is_some()) {
                self.fail(failure);
            }
        }
    }

    /// At the end only what has reached the output counts as done.
    fn summary(&self, at_end: bool) -> Summary {
        let (taken, whole) = self.output.packets();
        let done = if at_end { whole } else { taken };
        Summary {
            time: self.first.map_or(Duration::ZERO, |first| first.elapsed()),
            lost: self.seen.lost + (taken - done),
            done,
            what: self.output.what_was_done(),
            ..self.seen.clone()
        }
    }
}

/// Tells the numbers, a line for each.
impl Summary {
    pub(crate) fn tell(&self) {
        let packets = |n| count(n, "packet");
        notice_later(format_args!(
            "{} received, {}, in {:.3} s",
            packets(self.received),
            count(self.bytes, "byte"),
            self.time.as_secs_f64(),
        ));
        if let Some(rejected) = self.rejected {
            notice_later(format_args!("{} rejected by the filter", packets(rejected)));
        }
        notice_later(format_args!("{} {}", packets(self.done), self.what));
        let snaplen = self.snaplen;
        notice_later(format_args!(
            "{} cut to the snap length of {snaplen}",
            packets(self.cut)
        ));
        if self.cut_before > 0 {
            notice_later(format_args!(
                "{} were already cut in the file",
                packets(self.cut_before)
            ));
        }
        let why = if self.lost > 0 {
            " because the output failed"
        } else {
            " by this side"
        };
        notice_later(format_args!("{} dropped{why}", packets(self.lost)));
        if let Some((missed, at_least)) = self.missed {
            let at_least = if at_least { "at least " } else { "" };
            notice_later(format_args!("{at_least}{} missed", packets(missed)));
        }
        if self.overrun > 0 {
            notice_later(format_args!(
                "{} overwritten by the peer before they were read; their packets are lost",
                count(self.overrun, "slot")
            ));
        }
        if self.discarded > 0 {
            notice_later(format_args!(
                "{} discarded after the limit was reached",
                packets(self.discarded)
            ));
        }
    }
}

/// The clock, the reader of the pipe, and requests.
struct Watch {
    recording: Recording,
    pipe: Option<OwnedFd>,
    tell: Box<dyn Fn(&Summary) + Send>,
}

impl Task for Watch {
    fn polled<'a>(&'a self, fds: &mut Vec<PollFd<'a>>) {
        // Without an event: only errors are, as when the reader has gone.
        let pipe = self.pipe.iter();
        fds.extend(pipe.map(|pipe| PollFd::new(pipe.as_fd(), PollFlags::empty())));
    }

    fn deadline(&self) -> Option<Instant> {
        const AGAIN: Duration = Duration::from_millis(20);
        match self.recording.state_now() {
            None => Some(Instant::now() + AGAIN),
            Some(_) if !self.recording.asked().is_empty() => Some(Instant::now()),
            Some(state) => state.deadline(),
        }
    }

    fn run(&mut self, gone: bool) -> bool {
        let Some(mut state) = self.recording.state_now() else {
            if gone {
                // Whoever writes learns it by itself.
                self.pipe = None;
            }
            return true;
        };
        match gone {
            true => state.fail(Failure::NobodyReads),
            false => state.tick(),
        }
        for request in self.recording.asked().drain(..) {
            match request {
                Request::Statistics => (self.tell)(&state.summary(false)),
                Request::Flush if self.pipe.is_some() => state.flush = true,
                Request::Flush => state.let_out(|output| output.flush()),
            }
        }
        self.recording.after(state);
        !self.recording.is_done()
    }
}

#[cfg(test)]
mod tests;

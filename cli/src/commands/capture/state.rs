//! What a capture has seen, and where it puts it.

use std::borrow::Borrow;
use std::os::fd::OwnedFd;
use std::time::Instant;

use memif::pcap::{Direction, InterfaceInfo};
use memif::{CaptureInfo, LinkType, Packet};

use super::options::Args;
use crate::failure::Failure;
use crate::files::filter::PacketFilter;
use crate::files::record::{Put, Recorder};
use crate::print::Lines;
use crate::report::{count, notice};

#[derive(Debug, Default)]
struct Counts {
    received: u64,
    bytes: u64,
    rejected: u64,
    cut: u64,
    beyond_limit: u64,
    not_written: u64,
}

pub(super) struct State {
    output: Output,
    filter: PacketFilter,
    left: Option<u64>,
    snaplen: u32,
    seen: Counts,
    first: Option<Instant>,
    failure: Option<Failure>,
    /// A limit of the files has been reached.
    full: bool,
}

/// Where the packets go.
enum Output {
    Lines(Box<Lines>),
    Files(Box<Recorder>),
}

impl State {
    pub(super) fn open(
        args: &Args,
        link_type: LinkType,
        filter: PacketFilter,
        verbose: u8,
    ) -> Result<Self, Failure> {
        let output = match args.record.plan()? {
            Some(plan) => Output::Files(Box::new(Recorder::create(plan, link_type, args.snaplen)?)),
            None => Output::Lines(Box::new(Lines::new(
                link_type,
                &args.print,
                verbose,
                args.quiet,
            ))),
        };
        let stop = args.record.stop();
        let left = [args.count, stop.packets].into_iter().flatten().min();
        Ok(Self {
            output,
            filter,
            left,
            snaplen: args.snaplen,
            seen: Counts::default(),
            first: None,
            failure: None,
            full: false,
        })
    }

    /// The pipe that the packets go to, if they do.
    pub(super) fn pipe(&self) -> Option<OwnedFd> {
        match &self.output {
            Output::Lines(lines) => lines.pipe(),
            Output::Files(recorder) => recorder.pipe(),
        }
    }

    pub(super) fn filtered(&self) -> bool {
        !self.filter.is_open()
    }

    /// How many packets are still wanted; `None`: all that come.
    pub(super) fn left(&self) -> Option<u64> {
        self.left
    }

    pub(super) fn describe(&mut self, interfaces: Vec<InterfaceInfo>) {
        if let Output::Files(recorder) = &mut self.output
            && let Err(failure) = recorder.describe(interfaces)
        {
            self.fail(failure);
        }
    }

    /// Returns how many of them went nowhere.
    pub(super) fn take<'p, P: Borrow<Packet<'p>>>(
        &mut self,
        queue: u32,
        packets: impl IntoIterator<Item = P>,
    ) -> u64 {
        if self.first.is_none() {
            self.first = Some(Instant::now());
        }
        let before = (self.seen.received, self.seen.rejected, self.lost());
        for packet in packets {
            self.put(queue, packet.borrow());
        }
        let lost = self.lost();
        if let Output::Files(recorder) = &mut self.output {
            if let Some(counts) = recorder.counts.get_mut(queue as usize) {
                let received = self.seen.received - before.0;
                counts.received += received;
                counts.accepted += received - (self.seen.rejected - before.1);
                counts.dropped += lost - before.2;
            }
            if recorder.is_pipe() {
                self.idle();
            }
        } else if let Output::Lines(lines) = &self.output
            && lines.is_read_along()
        {
            self.idle();
        }
        lost - before.2
    }

    fn lost(&self) -> u64 {
        self.seen.beyond_limit + self.seen.not_written
    }

    #[inline]
    fn put(&mut self, queue: u32, packet: &Packet<'_>) {
        let info = packet.info();
        self.seen.received += 1;
        self.seen.bytes += info.length as u64;
        if !self.filter.matches(packet) {
            self.seen.rejected += 1;
            return;
        }
        if self.left == Some(0) || self.full {
            self.seen.beyond_limit += 1;
            return;
        }
        if self.failure.is_some() {
            self.seen.not_written += 1;
            return;
        }
        let data = &packet.data()[..packet.data().len().min(self.snaplen as usize)];
        self.seen.cut += u64::from(data.len() < info.length);
        let packet = Packet::new(
            data,
            CaptureInfo {
                capture_length: data.len(),
                ..info
            },
        );
        let put = match &mut self.output {
            Output::Lines(lines) => lines.put(&packet).map(|()| Put::Taken),
            Output::Files(recorder) => recorder.put(&packet, queue, Direction::Inbound),
        };
        match put {
            Ok(Put::Taken) => self.left = self.left.map(|n| n - 1),
            Ok(Put::Full) => {
                self.full = true;
                self.seen.beyond_limit += 1;
            }
            Err(failure) => {
                self.seen.not_written += 1;
                self.fail(failure);
            }
        }
    }

    pub(super) fn fail(&mut self, failure: Failure) {
        self.failure.get_or_insert(failure);
    }

    pub(super) fn done(&self) -> bool {
        self.left == Some(0) || self.failure.is_some() || self.full
    }

    /// Nothing is waiting: what is held back goes out.
    pub(super) fn idle(&mut self) {
        self.let_out(Recorder::idle);
    }

    /// Everything goes out, as SIGUSR2 asks.
    pub(super) fn flush(&mut self) {
        self.let_out(Recorder::flush);
    }

    fn let_out(&mut self, files: impl FnOnce(&mut Recorder) -> Result<(), Failure>) {
        if self.failure.is_some() {
            return;
        }
        let flushed = match &mut self.output {
            Output::Lines(lines) => lines.flush(),
            Output::Files(recorder) => files(recorder),
        };
        flushed.unwrap_or_else(|failure| self.fail(failure));
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        match &self.output {
            Output::Files(recorder) if !self.done() => recorder.deadline(),
            _ => None,
        }
    }

    pub(super) fn tick(&mut self) {
        if let Output::Files(recorder) = &mut self.output
            && self.failure.is_none()
        {
            match recorder.tick() {
                Ok(Put::Taken) => {}
                Ok(Put::Full) => self.full = true,
                Err(failure) => self.fail(failure),
            }
        }
    }

    /// Ends the output and tells what has been.
    pub(super) fn end(mut self, args: &Args) -> Result<(), Failure> {
        self.idle();
        let failed = self.failure.is_some();
        let ended = match &mut self.output {
            Output::Lines(_) if failed => Ok(()),
            Output::Lines(lines) => lines.end(),
            Output::Files(recorder) => recorder.end(failed),
        };
        ended.unwrap_or_else(|failure| self.fail(failure));
        let (done, kept_back, what) = match &self.output {
            Output::Lines(lines) => (lines.packets(), 0, lines.what_was_done().to_owned()),
            Output::Files(recorder) => {
                let (number, name) = recorder.files();
                let what = match number {
                    1 => format!("written to {name}"),
                    files => format!("written to {files} files, {name}"),
                };
                let written = recorder.packets_written();
                (written, recorder.packets() - written, what)
            }
        };
        if !args.silent {
            self.tell(done, kept_back, &what);
        }
        self.failure.map_or(Ok(()), Err)
    }

    /// What has been so far, while it goes on.
    pub(super) fn summary(&self, args: &Args) {
        if args.silent {
            return;
        }
        match &self.output {
            Output::Lines(lines) => self.tell(lines.packets(), 0, lines.what_was_done()),
            Output::Files(recorder) => {
                let name = recorder.files().1;
                self.tell(recorder.packets(), 0, &format!("written to {name}"));
            }
        }
    }

    fn tell(&self, done: u64, kept_back: u64, what: &str) {
        let seen = &self.seen;
        let seconds = self.first.map_or(0.0, |t| t.elapsed().as_secs_f64());
        notice(format_args!(
            "{} received, {}, in {seconds:.3} s",
            count(seen.received, "packet"),
            count(seen.bytes, "byte"),
        ));
        if self.filtered() {
            let rejected = count(seen.rejected, "packet");
            notice(format_args!("{rejected} rejected by the filter"));
        }
        notice(format_args!("{} {what}", count(done, "packet")));
        notice(format_args!(
            "{} cut by the snap length of {}",
            count(seen.cut, "packet"),
            self.snaplen
        ));
        // Of those accepted some may not have reached the file.
        notice(format_args!(
            "{} dropped{}{}",
            count(self.lost() + kept_back, "packet"),
            reason(seen.not_written + kept_back, "the output failed"),
            reason(seen.beyond_limit, "the count was reached"),
        ));
    }
}

fn reason(n: u64, why: &str) -> String {
    if n > 0 {
        format!("; {n} as {why}")
    } else {
        String::new()
    }
}

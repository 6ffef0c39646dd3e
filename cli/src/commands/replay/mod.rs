//! `memif replay`: what tcpreplay does.

use std::ffi::OsString;
use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use memif::{Error, LinkType, Packet};

use crate::events::Events;
use crate::failure::Failure;
use crate::files::filter::PacketFilter;
use crate::files::input::{BATCH, is_stream};
use crate::link::endpoint::Endpoint;
use crate::link::session::{Linked, Session};
use crate::metrics::MetricsArgs;
use crate::pace::{Pacer, Rate};
use crate::report::{count, has_bar, notice, notice_later};
use crate::values::some_time;

mod batch;
mod counts;
mod resume;
mod rewrite;
mod source;

use batch::{Ended, Lane};
use counts::Counts;
use rewrite::{Macs, Rewrite};
use source::{Group, Opener, Reader};

/// Send the packets of capture files to a peer, with their original timing
///
/// Waits while the ring is full, so that none is lost, and ends when the peer has read the last
/// packet.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    endpoint: Endpoint,
    #[command(flatten)]
    metrics: MetricsArgs,
    /// pcap or pcapng files, sent one after the other; '-' is standard input, tcp:HOST:PORT a server
    /// of packets. Words after the files are a filter in libpcap's language: x.pcap udp port 9
    #[arg(required = true, value_name = "FILE")]
    files: Vec<OsString>,
    #[command(flatten)]
    rate: RateArgs,
    /// Send all files N times; 0 repeats until stopped
    #[arg(short = 'l', long, default_value_t = 1, value_name = "N")]
    r#loop: u64,
    /// Stop after N packets
    #[arg(short = 'L', long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
    /// Stop after N seconds
    #[arg(long, value_name = "SECONDS", value_parser = crate::values::some_seconds)]
    duration: Option<Duration>,
    /// Print how many packets have been sent, every N seconds
    #[arg(long, value_name = "SECONDS", value_parser = crate::values::some_seconds)]
    stats: Option<Duration>,
    /// Merge several files by time instead of sending one after the other
    #[arg(long)]
    merge: bool,
    /// Read all files into memory first
    #[arg(short = 'K', long)]
    preload: bool,
    /// Change IP addresses on each loop (source + 1, destination - 1); checksums are updated
    #[arg(long)]
    unique_ip: bool,
    /// Replace hardware addresses: src=MAC, dst=MAC, or src=MAC,dst=MAC
    #[arg(long, value_name = "ADDRESSES")]
    rewrite_mac: Option<Macs>,
    /// Fail if there is no link within N seconds; 0 waits for ever
    #[arg(long, default_value = "10", value_name = "SECONDS", value_parser = crate::values::seconds)]
    timeout: Duration,
    /// Wait for a peer that leaves, and go on with the first packet that it has not read
    #[arg(long)]
    resume: bool,
    /// Wait up to N seconds for the peer to read the last packets
    #[arg(long, default_value = "10", value_name = "SECONDS", value_parser = crate::values::seconds)]
    linger: Duration,
    /// No progress bar, no messages when the peer connects or leaves
    #[arg(short, long)]
    quiet: bool,
}

#[derive(Debug, clap::Args)]
#[group(multiple = false)]
struct RateArgs {
    /// Packets per second
    #[arg(short = 'p', long, value_name = "N")]
    pps: Option<f64>,
    /// Megabits per second, counted from the link header on
    #[arg(short = 'M', long, value_name = "N")]
    mbps: Option<f64>,
    /// Original timing, X times as fast
    #[arg(short = 'x', long, visible_alias = "multiplier", value_name = "X")]
    speed: Option<f64>,
    /// As fast as the peer reads
    #[arg(short = 't', long)]
    topspeed: bool,
}

impl RateArgs {
    fn rate(&self) -> Rate {
        match (self.pps, self.mbps, self.speed, self.topspeed) {
            (Some(pps), ..) => Rate::Pps(pps),
            (_, Some(mbps), ..) => Rate::Mbps(mbps),
            (_, _, Some(speed), _) => Rate::Original { speed },
            (.., true) => Rate::Top,
            _ => Rate::Original { speed: 1.0 },
        }
    }
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let pacer = Pacer::new(args.rate.rate())?;
    let (paths, words) = source::split(&args.files);
    let mode = args.endpoint.mode;
    let link_type = mode.link_type();
    let filter = PacketFilter::new(words, link_type)?;
    let streams = || paths.iter().filter(|path| is_stream(path));
    if args.r#loop != 1 && !args.preload && streams().count() > 0 {
        return Err(Failure::Usage(
            "a pipe or standard input can be read once only: --loop needs --preload".into(),
        ));
    }
    let events = Events::start()?;
    let opener = Opener {
        events: &events,
        mode,
    };
    let size = opener.check(&paths)?;
    let mut groups = group(paths, args.merge);
    let mut counts = Counts::default();
    if args.preload {
        for group in &mut groups {
            match group.preload(opener, &filter) {
                Err(_) if events.is_stopped() => return Ok(()),
                loaded => counts.rejected += loaded?,
            }
        }
    }
    let session = args.endpoint.open(&events, args.quiet)?;
    let _serving = args.metrics.serve("replay", &[&session], None, &events)?;
    let limit = some_time(Some(args.timeout));
    let lost = session.lost_links();
    if session.wait_link(limit)? == Linked::Stopped {
        return Ok(());
    }
    // All that the link has; of one that has gone already, the first, which tells so.
    let lanes = (0..session.memif.tx_queues().max(1))
        .map(|queue| Lane::new(&session, queue, lost, args.resume))
        .collect::<Result<Vec<_>, Error>>()?;
    if args.resume {
        session.reads_on();
    }

    let sent = Arc::<AtomicU64>::default();
    let mut replay = Replay {
        session: &session,
        opener,
        link_type,
        filter,
        macs: args.rewrite_mac,
        lanes,
        pacer,
        counts,
        left: args.limit.unwrap_or(u64::MAX),
        progress: progress(args, size, &sent),
        endless: args.r#loop == 0,
        sent,
        quiet: args.quiet,
        base: 0,
        lost: (!args.resume).then_some(lost),
        resumed: 0,
    };
    replay.pacer.start();
    let start = Instant::now();
    if let Some(end) = args.duration.and_then(|time| start.checked_add(time)) {
        events.stop_at(end);
    }
    if let Some(every) = args.stats {
        let sent = Arc::clone(&replay.sent);
        events.every(every, move || {
            let packets = count(sent.load(Ordering::Relaxed), "packet");
            notice_later(format_args!(
                "sent {packets} in {:.0} s",
                start.elapsed().as_secs_f64()
            ));
        });
    }
    let mut result = replay.all(args, &groups);
    if result.is_ok() {
        result = replay.send();
    }
    let time = start.elapsed();
    // Closing waits a moment too; here the user has said for how long.
    let leave = match result {
        Ok(()) => replay.leave(args.linger),
        Err(_) => {
            drop(events.closing());
            Ok(())
        }
    };
    replay.progress.finish_and_clear();
    has_bar(false);
    replay.counts.summary(time, !args.rate.topspeed);
    session.memif.close();
    // Stopping is a way to end well; what was sent counts.
    match result {
        Err(Ended::Stopped) => Ok(()),
        Err(Ended::Failed(failure)) => Err(failure),
        Ok(()) => leave,
    }
}

/// Files that are sent together.
fn group(paths: Vec<PathBuf>, together: bool) -> Vec<Group> {
    if together {
        return vec![Group::Files(paths)];
    }
    let groups = paths.into_iter().map(|path| Group::Files(vec![path]));
    groups.collect()
}

fn progress(args: &Args, size: u64, sent: &Arc<AtomicU64>) -> ProgressBar {
    if args.quiet || !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let end = match args.r#loop {
        0 => args.limit,
        loops => Some(size.saturating_mul(loops)),
    };
    let (bar, template) = match end {
        None => (ProgressBar::new_spinner(), "{spinner} {rate}, {elapsed}"),
        Some(end) => (
            ProgressBar::new(end),
            match terminal_size::terminal_size_of(io::stderr()) {
                Some((width, _)) if width.0 < 80 => "{percent}% {rate}, {eta} left",
                _ => "{bar:30} {percent}% {rate}, {eta} left",
            },
        ),
    };
    bar.set_draw_target(ProgressDrawTarget::stderr_with_hz(5));
    if let Ok(style) = ProgressStyle::with_template(template) {
        let sent = Arc::clone(sent);
        let rate = move |state: &ProgressState, out: &mut dyn std::fmt::Write| {
            let seconds = state.elapsed().as_secs_f64().max(0.001);
            let rate = sent.load(Ordering::Relaxed) as f64 / seconds;
            // What can't be drawn is not drawn.
            let _ = write!(out, "{rate:.0} packets/s");
        };
        bar.set_style(style.with_key("rate", rate));
    }
    has_bar(true);
    bar
}

struct Replay<'a> {
    session: &'a Session,
    opener: Opener<'a>,
    link_type: LinkType,
    filter: PacketFilter,
    macs: Option<Macs>,
    /// One for each queue.
    lanes: Vec<Lane>,
    pacer: Pacer,
    counts: Counts,
    /// How many packets may still be taken from the files.
    left: u64,
    progress: ProgressBar,
    endless: bool,
    /// For the progress bar.
    sent: Arc<AtomicU64>,
    quiet: bool,
    /// Bytes of the files that are done.
    base: u64,
    /// Links that had gone down before, where another ends the replay.
    lost: Option<u64>,
    /// How often the pace began anew with another link.
    resumed: u64,
}

impl Replay<'_> {
    fn all(&mut self, args: &Args, groups: &[Group]) -> Result<(), Ended> {
        let mut round = 0;
        while args.r#loop == 0 || round < args.r#loop {
            let before = self.counts.seen() + self.waiting();
            let rewrite = Rewrite {
                link_type: self.link_type,
                macs: self.macs,
                step: if args.unique_ip { round as u32 } else { 0 },
            };
            for group in groups {
                self.group(group, &rewrite)?;
                if self.left == 0 {
                    return Ok(());
                }
            }
            if before == self.counts.seen() + self.waiting() {
                return Ok(()); // no packet in any file: looping would not end
            }
            round += 1;
        }
        Ok(())
    }

    /// Packets in the batches.
    fn waiting(&self) -> u64 {
        self.lanes.iter().map(|lane| lane.batch.len() as u64).sum()
    }

    fn group(&mut self, group: &Group, rewrite: &Rewrite) -> Result<(), Ended> {
        let mut reader = match group.read(self.opener) {
            Ok(reader) => reader,
            Err(failure) => return Err(self.why(Ended::Failed(failure))),
        };
        let filtered = !self.filter.is_open() && matches!(group, Group::Files(_));
        let rewrites = rewrite.macs.is_some() || rewrite.step > 0;
        let shown = !self.progress.is_hidden();
        self.pacer.next_file();
        if self.lanes.len() == 1
            && self.pacer.is_unpaced()
            && !filtered
            && !rewrites
            && reader.is_plain(self.link_type)
        {
            return self.straight(&mut reader);
        }
        loop {
            if self.session.events.is_stopped() {
                return Err(Ended::Stopped);
            }
            let position = if shown { reader.position() } else { 0 };
            let packet = match reader.next() {
                Ok(packet) => packet,
                Err(Error::Eof(_)) => break,
                Err(e) => {
                    // What came before the damage is sent all the same.
                    self.send()?;
                    return Err(self.why(e.into()));
                }
            };
            if packet.is_empty() {
                self.counts.empty += 1;
                continue;
            }
            if filtered && !self.filter.matches(&packet) {
                self.counts.rejected += 1;
                continue;
            }
            self.counts.cut += u64::from(packet.info().is_truncated());
            if let Some(due) = self.pacer.deadline(packet.info().timestamp, packet.len())
                && due > self.pacer.reached()
                && due > self.pacer.now()
            {
                self.send()?;
                self.show(position);
                self.wait_until(due)?;
            }
            let lane = match self.lanes.len() {
                1 => 0,
                lanes => rewrite::flow(&packet, self.link_type) as usize % lanes,
            };
            let lane = &mut self.lanes[lane];
            lane.batch.push(&packet);
            if rewrites {
                rewrite.apply(lane.batch.last());
            }
            let full = lane.batch.is_full();
            if full {
                lane.send(self.session, &mut self.counts)?;
                self.pace_anew();
            }
            self.left -= 1;
            if self.left == 0 {
                return Ok(());
            }
            if full {
                self.show(position);
            }
        }
        self.base += reader.position();
        self.show(0);
        Ok(())
    }

    /// Nothing is to be done to these packets, nor waited for: they go to the ring from where they
    /// lie.
    fn straight(&mut self, reader: &mut Reader<'_>) -> Result<(), Ended> {
        let shown = !self.progress.is_hidden();
        while self.left > 0 {
            if self.session.events.is_stopped() {
                return Err(Ended::Stopped);
            }
            let position = if shown { reader.position() } else { 0 };
            let mut packets = [Packet::default(); BATCH];
            let most = packets
                .len()
                .min(usize::try_from(self.left).unwrap_or(usize::MAX));
            let count = match reader.next_few(&mut packets[..most]) {
                Ok(count) => count,
                Err(Error::Eof(_)) => break,
                Err(e) => {
                    // What came before the damage is sent all the same.
                    self.send()?;
                    return Err(self.why(e.into()));
                }
            };
            let (mut full, mut cut) = (count, 0);
            for packet in &packets[..count] {
                full -= usize::from(packet.is_empty());
                cut += u64::from(!packet.is_empty() && packet.info().is_truncated());
            }
            if full < count {
                packets[..count].sort_by_key(|packet| packet.is_empty()); // keeps the order of others
            }
            self.counts.empty += (count - full) as u64;
            self.counts.cut += cut;
            self.left -= full as u64;
            if full > 0 {
                self.lanes[0].send_these(&packets[..full], self.session, &mut self.counts)?;
            }
            self.show(position);
        }
        self.base += reader.position();
        self.show(0);
        Ok(())
    }

    /// On the progress bar, how far this group has been read.
    fn show(&self, position: u64) {
        self.sent.store(self.counts.packets, Ordering::Relaxed);
        // A loop without an end has one in packets.
        self.progress.set_position(match self.endless {
            true => self.counts.packets,
            false => self.base + position,
        });
    }

    fn wait_until(&mut self, due: u64) -> Result<(), Ended> {
        let (session, lost) = (self.session, self.lost);
        let left = || lost.is_some_and(|lost| session.lost_links() != lost);
        let ended = || session.events.is_stopped() || left();
        if self.pacer.wait_until(due, ended) {
            return Ok(());
        }
        Err(self.why(Ended::Stopped))
    }

    /// What has ended a read or a wait: a signal or the peer, if it was one of them.
    fn why(&self, otherwise: Ended) -> Ended {
        if self.session.events.is_stopped() {
            return Ended::Stopped;
        }
        if self
            .lost
            .is_some_and(|lost| self.session.lost_links() != lost)
        {
            return batch::peer_left(self.session, self.counts.packets);
        }
        otherwise
    }

    fn send(&mut self) -> Result<(), Ended> {
        for lane in &mut self.lanes {
            lane.send(self.session, &mut self.counts)?;
        }
        self.pace_anew();
        Ok(())
    }

    /// What was due while the peer was away is not made up for.
    fn pace_anew(&mut self) {
        if self.resumed != self.counts.resumed {
            self.resumed = self.counts.resumed;
            self.pacer.start();
        }
    }

    /// Ends only when the peer has taken the last packet, or has had its time.
    fn leave(&mut self, linger: Duration) -> Result<(), Failure> {
        let end = Instant::now() + linger;
        let mut unconfirmed = 0;
        for lane in &mut self.lanes {
            let flush = |lane: &mut Lane| {
                let left = end.saturating_duration_since(Instant::now());
                lane.writer.flush(left)
            };
            let mut flushed = flush(lane);
            while self.lost.is_none() && flushed.as_ref().is_err_and(Error::is_eof) {
                match lane.send(self.session, &mut self.counts) {
                    Ok(()) if lane.is_left(self.session) => flushed = Ok(()),
                    Ok(()) => flushed = flush(lane),
                    Err(Ended::Stopped) => return Ok(()),
                    Err(Ended::Failed(failure)) => return Err(failure),
                }
            }
            match flushed {
                // Of less than a lot nobody can know.
                Ok(()) => unconfirmed += lane.writer.pending_slots().unwrap_or(0) as u64,
                Err(Error::TimedOut) => {
                    return Err(Failure::Failed(format!(
                        "{}: the peer did not read the last packets within {} s; they may be lost",
                        self.session.memif,
                        linger.as_secs_f64()
                    )));
                }
                Err(e) if e.is_eof() => {
                    return Err(Failure::Failed(format!(
                        "{}: the peer left before it had read the last packets",
                        self.session.memif
                    )));
                }
                Err(e) => return Err(e.into()),
            }
        }
        if unconfirmed > 0 && !self.quiet {
            notice(format_args!(
                "{}: whether the peer took the last {} can't be seen: it gives back its buffers in lots",
                self.session.memif,
                count(unconfirmed, "slot")
            ));
        }
        Ok(())
    }
}

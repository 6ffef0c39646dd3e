//! `memif replay`: what tcpreplay does.

use std::fs::File;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use memif::pcap::CaptureReader;
use memif::{Eof, Error, PacketSource, PacketWriter, Wait};

use crate::Failure;
use crate::endpoint::{Endpoint, Linked, Session};
use crate::pace::{Pacer, Rate};
use crate::report::{count, notice, rate};

/// Send the packets of capture files to a peer, with their original timing
///
/// Waits for room when the peer does not keep up, so that none is lost, and ends when the peer has
/// taken the last one.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    endpoint: Endpoint,
    /// pcap or pcapng files, sent one after the other
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    rate: RateArgs,
    /// Send all files this many times; 0: until stopped
    #[arg(long, default_value_t = 1, value_name = "N")]
    r#loop: u64,
    /// Fail when there is no link within so many seconds; 0: wait for ever
    #[arg(long, default_value = "10", value_name = "SECONDS", value_parser = crate::endpoint::seconds)]
    timeout: Duration,
    /// At the end, how many seconds the peer has to take the last packets
    #[arg(long, default_value = "10", value_name = "SECONDS", value_parser = crate::endpoint::seconds)]
    linger: Duration,
    /// No progress bar, and nothing of the peer
    #[arg(short, long)]
    quiet: bool,
}

#[derive(Debug, clap::Args)]
#[group(multiple = false)]
struct RateArgs {
    /// Packets a second
    #[arg(long, value_name = "N")]
    pps: Option<f64>,
    /// Megabits a second, counted from the link header on
    #[arg(long, value_name = "N")]
    mbps: Option<f64>,
    /// Original timing, this many times as fast
    #[arg(long, value_name = "X")]
    speed: Option<f64>,
    /// As fast as the peer takes them
    #[arg(long)]
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
    let total = check_files(args)?;
    let session = args.endpoint.open(args.quiet)?;
    let handle = session.memif.packet_handle(0, 1)?;
    let (_reader, writer) = handle.split();
    let limit = (!args.timeout.is_zero()).then_some(args.timeout);
    if session.wait_link(limit)? == Linked::Stopped {
        return Ok(());
    }

    let mut replay = Replay {
        session: &session,
        writer,
        pacer,
        batch: Batch::default(),
        counts: Counts::default(),
        progress: progress(args, total),
        base: 0,
    };
    replay.pacer.start();
    let start = Instant::now();
    let mut result = replay.all_files(args);
    if result.is_ok() {
        result = replay.send();
    }
    let time = start.elapsed();
    let leave = replay.leave(args.linger, result.is_ok());
    replay.progress.finish_and_clear();
    replay.counts.summary(time);
    session.memif.close();
    // Stopping is a way to end well; what was sent counts.
    match result {
        Err(Ended::Stopped) => Ok(()),
        Err(Ended::Failed(failure)) => Err(failure),
        Ok(()) => leave,
    }
}

/// Opens every file once, so that a wrong one is known before anything is sent. Returns all bytes.
fn check_files(args: &Args) -> Result<u64, Failure> {
    let mode = args.endpoint.mode;
    let mut total = 0;
    for path in &args.files {
        let reader = CaptureReader::open(path)?;
        if reader.link_type() != mode.link_type() {
            return Err(Failure::Failed(format!(
                "{} holds {}, but in {mode} mode packets are {}: see --mode",
                path.display(),
                reader.link_type(),
                mode.link_type()
            )));
        }
        total += path.metadata().map_or(0, |m| m.len());
    }
    Ok(total)
}

fn progress(args: &Args, total: u64) -> ProgressBar {
    if args.quiet || !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let template = "{bar:30} {percent}% {bytes_per_sec}, {eta} left";
    let bar = if args.r#loop == 0 {
        ProgressBar::new_spinner()
    } else {
        ProgressBar::new(total.saturating_mul(args.r#loop))
    };
    bar.set_draw_target(ProgressDrawTarget::stderr_with_hz(5));
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar
}

/// Why a replay ends before its files do.
enum Ended {
    Stopped,
    Failed(Failure),
}

impl From<Error> for Ended {
    fn from(error: Error) -> Self {
        Self::Failed(error.into())
    }
}

#[derive(Debug, Default)]
struct Counts {
    packets: u64,
    bytes: u64,
    cut: u64,
    empty: u64,
    waits: u64,
}

impl Counts {
    fn summary(&self, time: Duration) {
        notice(format_args!(
            "sent {}",
            rate(self.packets, self.bytes, time)
        ));
        if self.waits > 0 {
            let times = count(self.waits, "time");
            notice(format_args!("the ring was full {times}, and waited for"));
        }
        if self.cut > 0 {
            let cut = count(self.cut, "packet");
            notice(format_args!(
                "{cut} sent short, as the capture had cut them"
            ));
        }
        if self.empty > 0 {
            let empty = count(self.empty, "empty packet");
            notice(format_args!("{empty} not sent"));
        }
    }
}

struct Replay<'a> {
    session: &'a Session,
    writer: PacketWriter,
    pacer: Pacer,
    batch: Batch,
    counts: Counts,
    progress: ProgressBar,
    /// Bytes of the files that are done.
    base: u64,
}

impl Replay<'_> {
    fn all_files(&mut self, args: &Args) -> Result<(), Ended> {
        let mut round = 0;
        while args.r#loop == 0 || round < args.r#loop {
            let before = self.counts.packets + self.counts.empty + self.batch.len() as u64;
            for path in &args.files {
                self.file(path)?;
            }
            if before == self.counts.packets + self.counts.empty + self.batch.len() as u64 {
                return Ok(()); // no packet in any file: looping would not end
            }
            round += 1;
        }
        Ok(())
    }

    fn file(&mut self, path: &Path) -> Result<(), Ended> {
        let mut reader = CaptureReader::<File>::open(path)?;
        self.pacer.next_file();
        loop {
            if self.session.stop.is_set() {
                return Err(Ended::Stopped);
            }
            let position = reader.position();
            let packet = match reader.read_packet() {
                Ok(packet) => packet,
                Err(Error::Eof(_)) => break,
                Err(e) => {
                    // What came before the damage is sent all the same.
                    self.send()?;
                    return Err(e.into());
                }
            };
            if packet.is_empty() {
                self.counts.empty += 1;
                continue;
            }
            self.counts.cut += u64::from(packet.info().is_truncated());
            if let Some(due) = self.pacer.deadline(packet.info().timestamp, packet.len())
                && due > self.pacer.reached()
                && due > self.pacer.now()
            {
                self.batch
                    .send(&mut self.writer, self.session, &mut self.counts)?;
                self.progress.set_position(self.base + position);
                if !self.pacer.wait_until(due, self.session.stop.flag()) {
                    return Err(Ended::Stopped);
                }
            }
            self.batch.push(&packet);
            if self.batch.is_full() {
                self.batch
                    .send(&mut self.writer, self.session, &mut self.counts)?;
                self.progress.set_position(self.base + position);
            }
        }
        self.base += path.metadata().map_or(0, |m| m.len());
        self.progress.set_position(self.base);
        Ok(())
    }

    fn send(&mut self) -> Result<(), Ended> {
        self.batch
            .send(&mut self.writer, self.session, &mut self.counts)
    }

    /// Ends only when the peer has taken the last packet, or has had its time.
    fn leave(&mut self, linger: Duration, all_sent: bool) -> Result<(), Failure> {
        let limit = if all_sent {
            linger
        } else {
            Duration::from_secs(1)
        };
        match self.writer.flush(limit) {
            Ok(true) => Ok(()),
            Ok(false) => Err(Failure::Failed(format!(
                "{}: the peer did not take the last packets within {} s, they may be lost",
                self.session.memif,
                limit.as_secs_f64()
            ))),
            Err(e) if e.is_eof() => Err(Failure::Failed(format!(
                "{}: the peer left before it had taken the last packets",
                self.session.memif
            ))),
            Err(e) => Err(e.into()),
        }
    }
}

/// Packets that are due together, in memory of our own.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Batch {
    const PACKETS: usize = 64;

    fn len(&self) -> usize {
        self.ends.len()
    }

    pub(crate) fn push(&mut self, packet: &[u8]) {
        self.bytes.extend_from_slice(packet);
        self.ends.push(self.bytes.len());
    }

    pub(crate) fn is_full(&self) -> bool {
        self.ends.len() >= Self::PACKETS
    }

    fn packets(&self) -> [&[u8]; Self::PACKETS] {
        let mut packets: [&[u8]; Self::PACKETS] = [&[]; Self::PACKETS];
        let mut start = 0;
        for (packet, end) in packets.iter_mut().zip(&self.ends) {
            *packet = &self.bytes[start..*end];
            start = *end;
        }
        packets
    }

    /// Sends all where there is room for all; how many that were.
    pub(crate) fn send_now(&mut self, handle: &mut memif::PacketHandle) -> Result<usize, Error> {
        let packets = self.packets();
        let sent = handle.write_packets(&packets[..self.ends.len()])?;
        if sent < self.ends.len() {
            return Err(Eof::Full.into());
        }
        self.bytes.clear();
        self.ends.clear();
        Ok(sent)
    }

    /// Sends all, waiting for room as long as the link is up.
    fn send(
        &mut self,
        writer: &mut PacketWriter,
        session: &Session,
        counts: &mut Counts,
    ) -> Result<(), Ended> {
        let packets = self.packets();
        let mut left = &packets[..self.ends.len()];
        let result = loop {
            if left.is_empty() {
                break Ok(());
            }
            match writer.write_packets(left) {
                Ok(sent) => {
                    counts.packets += sent as u64;
                    counts.bytes += left[..sent].iter().map(|p| p.len() as u64).sum::<u64>();
                    left = &left[sent..];
                }
                Err(Error::Eof(Eof::Full)) => {
                    counts.waits += 1;
                    let waited = writer.wait_writable(Some(Duration::from_millis(100)));
                    if session.stop.is_set() {
                        break Err(Ended::Stopped);
                    }
                    if let Ok(Wait::Ready | Wait::TimedOut) = waited {
                        continue;
                    }
                }
                Err(Error::Eof(Eof::Closed)) => break Err(Ended::Stopped),
                Err(Error::Eof(_)) => {
                    break Err(Ended::Failed(Failure::Failed(format!(
                        "{}: the peer left after {}",
                        session.memif,
                        count(counts.packets, "packet")
                    ))));
                }
                Err(e @ Error::Config { .. }) => {
                    break Err(Ended::Failed(Failure::Failed(format!(
                        "{}: packet {}: {e}; give the slave a larger --ring-size or --buffer-size",
                        session.memif,
                        counts.packets + 1
                    ))));
                }
                Err(e) => break Err(e.into()),
            }
        };
        self.bytes.clear();
        self.ends.clear();
        result
    }
}

//! One way between two processes, with a thread for each queue.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use memif::{Eof, Error, PacketHandle, Role, RxMode, Timestamp, Wait};
use nix::time::{ClockId, clock_gettime};

use super::measure::{Load, Numbered, Report, histogram, number, recycle, side_by_side, time_of};
use crate::events::Events;
use crate::failure::Failure;
use crate::link::endpoint::Endpoint;
use crate::link::session::{Linked, Session};
use crate::pace::{Pacer, Rate};
use crate::values::rx_mode;

#[derive(Debug, clap::Args)]
pub(crate) struct SendArgs {
    #[command(flatten)]
    endpoint: Endpoint,
    #[command(flatten)]
    load: Load,
    /// Packets a second over all queues, instead of as many as the peer takes
    #[arg(long, value_name = "N")]
    pps: Option<f64>,
    /// Put the time into each packet, for `bench recv --latency`; packets have at least 16 bytes
    #[arg(long)]
    latency: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct RecvArgs {
    #[command(flatten)]
    endpoint: Endpoint,
    #[command(flatten)]
    load: Load,
    /// Receive mode: polling spins, interrupt sleeps, adaptive does both
    #[arg(long, default_value = "polling", value_parser = rx_mode)]
    rx_mode: RxMode,
    /// Measure how long the packets of `bench send --latency` took, on the same machine: from
    /// before they were written to after they were read
    #[arg(long)]
    latency: bool,
}

/// Nanoseconds of the clock that all processes of a machine share.
fn now() -> u64 {
    let time = clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(Duration::ZERO, Duration::from);
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// The peer must be there before anything is measured.
pub(super) fn connect(endpoint: &Endpoint, role: Role) -> Result<Session, Failure> {
    let session = endpoint.open_as(role, &Events::start()?, false)?;
    match session.wait_link(None)? {
        Linked::Up => Ok(session),
        Linked::Stopped => Err(Failure::Failed("stopped before there was a link".into())),
    }
}

/// The handles of all queues that the link has in this direction.
fn handles(session: &Session, count: usize, burst: u16) -> Result<Vec<PacketHandle>, Failure> {
    let count = u8::try_from(count).unwrap_or(u8::MAX);
    let handle = |queue| Ok(session.memif.packet_handle(queue)?.with_burst(burst));
    (0..count).map(handle).collect()
}

/// Says how many packets are due.
enum Due {
    /// As many as there can be.
    All,
    Paced {
        pacer: Pacer,
        next: u64,
    },
}

impl Due {
    fn new(pps: Option<f64>) -> Result<Self, Failure> {
        let Some(pps) = pps else {
            return Ok(Self::All);
        };
        let pacer = Pacer::new(Rate::Pps(pps))?;
        Ok(Self::Paced { pacer, next: 0 })
    }

    /// Waits for at least one; at most `most`.
    fn wait(&mut self, most: usize, stop: impl Fn() -> bool) -> usize {
        let Self::Paced { pacer, next } = self else {
            return most;
        };
        if !pacer.wait_until(*next, stop) {
            return 0;
        }
        let mut count = 0;
        while count < most && *next <= pacer.reached() {
            // Its time and length do not matter to a rate.
            *next = pacer.deadline(Timestamp::default(), 0).unwrap_or(*next);
            count += 1;
        }
        count
    }
}

#[derive(Default)]
struct Sent {
    packets: u64,
    full: u64,
    time: Duration,
}

pub(super) fn send(args: &SendArgs) -> Result<Report, Failure> {
    let least = if args.latency { 16 } else { 8 };
    if args.load.len < least {
        return Err(Failure::Usage(format!(
            "--len: {} bytes have no room for a number and a time, which take {least}",
            args.load.len
        )));
    }
    let session = connect(&args.endpoint.of_one_queue(), Role::Slave)?;
    let queues = session.memif.details()?.tx_queues.len();
    let all = handles(&session, queues, args.load.burst)?;
    let all = side_by_side(all, |handle| send_on(args, &session, handle, queues))?;
    session.memif.close();
    let packets = all.iter().map(|sent| sent.packets).sum();
    let time = all.iter().map(|sent| sent.time).max().unwrap_or_default();
    let full: u64 = all.iter().map(|sent| sent.full).sum();
    let report = Report::new("send")
        .load(&args.load)
        .with("queues", queues as f64);
    let report = rates(report, packets, args.load.len.into(), time);
    Ok(report.with("ring_full", full as f64))
}

fn send_on(
    args: &SendArgs,
    session: &Session,
    mut handle: PacketHandle,
    queues: usize,
) -> Result<Sent, Failure> {
    const CLOCK_EVERY: u32 = 64;
    const STEP: Duration = Duration::from_millis(100);
    let burst = usize::from(args.load.burst);
    let is_stopped = || session.events.is_stopped();
    let mut numbered = Numbered::new(&args.load);
    let mut due = Due::new(args.pps.map(|pps| pps / queues as f64))?;
    let clock_every = if args.pps.is_some() { 1 } else { CLOCK_EVERY };
    let mut slices: Vec<&[u8]> = Vec::with_capacity(burst);
    let mut sent = Sent::default();
    let start = Instant::now();
    while sent.time < args.load.secs && !is_stopped() {
        for _ in 0..clock_every {
            let count = due.wait(burst, is_stopped);
            let mut list = recycle(slices);
            if args.latency {
                numbered.timed(&mut list, count, now());
            } else {
                numbered.burst(&mut list, count);
            }
            let mut left = &list[..];
            while !left.is_empty() {
                match handle.write_packets(left) {
                    Ok(taken) => left = &left[taken..],
                    Err(Error::Full) => {
                        sent.full += 1;
                        let room = handle.wait_writable(left[0].len(), Some(STEP));
                        if let Err(e) = room
                            && e != Error::TimedOut
                        {
                            return Err(e.into());
                        }
                        if is_stopped() {
                            break;
                        }
                    }
                    Err(Error::Eof(Eof::Closed)) => break, // by Ctrl-C
                    Err(e) => return Err(left_alone(session, e)),
                }
            }
            sent.packets += (count - left.len()) as u64;
            slices = recycle(list);
        }
        sent.time = start.elapsed();
    }
    match handle.flush(Duration::from_secs(10)) {
        Ok(()) | Err(Error::Eof(Eof::Closed)) => Ok(sent),
        Err(Error::TimedOut) => Err(Failure::Failed(format!(
            "{}: the peer did not take the last packets within 10 s",
            session.memif
        ))),
        Err(e) => Err(left_alone(session, e)),
    }
}

/// What a peer that left, or is silent, means to a measurement.
pub(super) fn left_alone(session: &Session, error: Error) -> Failure {
    let memif = &session.memif;
    match error {
        Error::Eof(Eof::LinkDown) => Failure::Failed(format!("{memif}: the peer left")),
        Error::TimedOut => Failure::Failed(format!(
            "{memif}: no reply; the peer must run 'memif bench pong'"
        )),
        other => other.into(),
    }
}

fn rates(report: Report, packets: u64, len: u64, time: Duration) -> Report {
    let seconds = time.as_secs_f64().max(1e-9);
    report
        .with("packets", packets as f64)
        .with("seconds", seconds)
        .with("mpps", packets as f64 / seconds / 1e6)
        .with("gbps", (packets * len) as f64 * 8.0 / seconds / 1e9)
}

struct Received {
    packets: u64,
    bytes: u64,
    lost: u64,
    out_of_order: u64,
    time: Duration,
    /// Nanoseconds under way.
    times: Option<Histogram<u64>>,
}

pub(super) fn receive(args: &RecvArgs) -> Result<Report, Failure> {
    let session = connect(&args.endpoint, Role::Master)?;
    let queues = session.memif.details()?.rx_queues.len();
    let mut all = handles(&session, queues, args.load.burst)?;
    for handle in &mut all {
        handle.set_rx_mode(args.rx_mode)?;
    }
    let mut all = side_by_side(all, |handle| receive_on(args, handle))?;
    session.memif.close();
    let sum = |of: fn(&Received) -> u64| all.iter().map(of).sum::<u64>();
    let (packets, bytes) = (sum(|r| r.packets), sum(|r| r.bytes));
    let time = all.iter().map(|r| r.time).max().unwrap_or_default();
    let report = Report::new("recv")
        .load(&args.load)
        .with("queues", queues as f64);
    let report = rates(report, packets, bytes / packets.max(1), time)
        .with("lost", sum(|r| r.lost) as f64)
        .with("out_of_order", sum(|r| r.out_of_order) as f64);
    let times = all.iter_mut().filter_map(|r| r.times.take());
    Ok(match times.reduce(|all, one| all + one) {
        Some(times) => report.times(&times),
        None => report,
    })
}

fn receive_on(args: &RecvArgs, mut handle: PacketHandle) -> Result<Received, Failure> {
    let (mut packets, mut bytes, mut expected) = (0u64, 0u64, 0u64);
    let (mut lost, mut out_of_order) = (0u64, 0u64);
    let mut times = args.latency.then(histogram).transpose()?;
    let mut first = None;
    let mut last = Instant::now();
    loop {
        match handle.read_packet() {
            Ok(packet) => {
                let n = number(&packet).unwrap_or(u64::MAX);
                bytes += packet.len() as u64;
                packets += 1;
                if n != expected {
                    if n > expected {
                        // Packets of others have any number.
                        lost = lost.saturating_add(n - expected);
                    } else {
                        out_of_order += 1;
                        lost = lost.saturating_sub(1);
                    }
                }
                expected = expected.max(n.wrapping_add(1));
                if let Some(times) = &mut times {
                    let sent = time_of(&packet).unwrap_or_default();
                    times.saturating_record(now().saturating_sub(sent));
                }
                if packets % 4096 == 1 {
                    last = Instant::now();
                    first.get_or_insert(last);
                }
            }
            Err(Error::Eof(Eof::Empty)) => {
                if first.is_some() {
                    last = Instant::now();
                }
                if handle.wait(None)? == Wait::Closed {
                    break;
                }
            }
            Err(Error::Eof(_)) => break,
            Err(e) => return Err(e.into()),
        }
    }
    Ok(Received {
        packets,
        bytes,
        lost,
        out_of_order,
        time: first.map_or(Duration::ZERO, |first| last - first),
        times,
    })
}

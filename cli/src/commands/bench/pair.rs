//! One way between two processes.

use std::time::{Duration, Instant};

use memif::{Eof, Error, PacketHandle, Role, RxMode, Wait};

use super::measure::{Load, Numbered, Report, number, recycle};
use crate::events::Events;
use crate::failure::Failure;
use crate::link::endpoint::Endpoint;
use crate::link::session::{Linked, Session};
use crate::values::rx_mode;

#[derive(Debug, clap::Args)]
pub(crate) struct SendArgs {
    #[command(flatten)]
    endpoint: Endpoint,
    #[command(flatten)]
    load: Load,
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
}

/// The peer must be there before anything is measured.
pub(super) fn connect(
    endpoint: &Endpoint,
    role: Role,
    burst: u16,
) -> Result<(Session, PacketHandle), Failure> {
    let endpoint = endpoint.of_one_queue();
    let session = endpoint.open_as(role, &Events::start()?, false)?;
    let handle = session.memif.packet_handle(0)?.with_burst(burst);
    match session.wait_link(None)? {
        Linked::Up => Ok((session, handle)),
        Linked::Stopped => Err(Failure::Failed("stopped before there was a link".into())),
    }
}

pub(super) fn send(args: &SendArgs) -> Result<Report, Failure> {
    const CLOCK_EVERY: u32 = 64;
    const STEP: Duration = Duration::from_millis(100);
    let burst = usize::from(args.load.burst);
    let (session, mut handle) = connect(&args.endpoint, Role::Slave, args.load.burst)?;
    let mut numbered = Numbered::new(&args.load);
    let mut slices: Vec<&[u8]> = Vec::with_capacity(burst);
    let (mut packets, mut full) = (0u64, 0u64);
    let start = Instant::now();
    let mut time = Duration::ZERO;
    while time < args.load.secs && !session.events.is_stopped() {
        for _ in 0..CLOCK_EVERY {
            let mut list = recycle(slices);
            numbered.burst(&mut list, burst);
            let mut left = &list[..];
            while !left.is_empty() {
                match handle.write_packets(left) {
                    Ok(sent) => left = &left[sent..],
                    Err(Error::Full) => {
                        full += 1;
                        let room = handle.wait_writable(left[0].len(), Some(STEP));
                        if let Err(e) = room
                            && e != Error::TimedOut
                        {
                            return Err(e.into());
                        }
                        if session.events.is_stopped() {
                            break;
                        }
                    }
                    Err(Error::Eof(Eof::Closed)) => break, // by Ctrl-C
                    Err(e) => return Err(left_alone(&session, e)),
                }
            }
            packets += (burst - left.len()) as u64;
            slices = recycle(list);
        }
        time = start.elapsed();
    }
    match handle.flush(Duration::from_secs(10)) {
        Ok(()) | Err(Error::Eof(Eof::Closed)) => {}
        Err(Error::TimedOut) => {
            return Err(Failure::Failed(format!(
                "{}: the peer did not take the last packets within 10 s",
                session.memif
            )));
        }
        Err(e) => return Err(left_alone(&session, e)),
    }
    session.memif.close();
    Ok(rates(
        Report::new("send").load(&args.load),
        packets,
        args.load.len.into(),
        time,
    )
    .with("ring_full", full as f64))
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

pub(super) fn receive(args: &RecvArgs) -> Result<Report, Failure> {
    let (session, mut handle) = connect(&args.endpoint, Role::Master, args.load.burst)?;
    handle.set_rx_mode(args.rx_mode)?;
    let (mut packets, mut bytes, mut expected) = (0u64, 0u64, 0u64);
    let (mut lost, mut out_of_order) = (0u64, 0u64);
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
    session.memif.close();
    let time = first.map_or(Duration::ZERO, |first| last - first);
    let report = rates(
        Report::new("recv").load(&args.load),
        packets,
        bytes / packets.max(1),
        time,
    );
    Ok(report
        .with("lost", lost as f64)
        .with("out_of_order", out_of_order as f64))
}

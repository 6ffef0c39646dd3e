//! Round trips between two processes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use memif::{Closer, Eof, Error, PacketHandle, Role, RxMode, Wait};

use super::measure::{Report, histogram};
use super::pair::{connect, left_alone};
use crate::failure::Failure;
use crate::link::endpoint::Endpoint;
use crate::values::rx_mode;

#[derive(Debug, clap::Args)]
pub(crate) struct PingArgs {
    #[command(flatten)]
    endpoint: Endpoint,
    /// Packet size in bytes
    #[arg(long, default_value_t = 64, value_name = "BYTES",
          value_parser = clap::value_parser!(u16).range(8..))]
    len: u16,
    /// Duration in seconds
    #[arg(long, default_value = "1", value_name = "SECONDS", value_parser = crate::values::some_seconds)]
    secs: Duration,
    /// Receive mode: polling spins, interrupt sleeps, adaptive does both
    #[arg(long, default_value = "polling", value_parser = rx_mode)]
    rx_mode: RxMode,
}

#[derive(Debug, clap::Args)]
pub(crate) struct PongArgs {
    #[command(flatten)]
    endpoint: Endpoint,
    /// Receive mode: polling spins, interrupt sleeps, adaptive does both
    #[arg(long, default_value = "polling", value_parser = rx_mode)]
    rx_mode: RxMode,
}

/// How long a packet may be under way; twice as long at most.
const PATIENCE: Duration = Duration::from_secs(10);

/// Ends a measurement whose peer is silent. The waits themselves have no limit, of which the
/// kernel would make a timer each time.
struct Watch {
    count: Arc<AtomicU64>,
    silent: Arc<AtomicBool>,
    _ended: mpsc::Sender<()>,
}

impl Watch {
    fn start(closer: Closer) -> Self {
        let (count, silent) = (Arc::<AtomicU64>::default(), Arc::<AtomicBool>::default());
        let (ended, end) = mpsc::channel::<()>();
        let watched = (Arc::clone(&count), Arc::clone(&silent));
        thread::spawn(move || {
            let (count, silent) = watched;
            let mut before = u64::MAX;
            while end.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
                let now = count.load(Ordering::Relaxed);
                if now == before {
                    silent.store(true, Ordering::Relaxed);
                    closer.close();
                    return;
                }
                before = now;
            }
        });
        Self {
            count,
            silent,
            _ended: ended,
        }
    }
}

/// The first round trips warm caches and page tables.
const WARM_UP: u64 = 1000;

pub(super) fn ping(args: &PingArgs) -> Result<Report, Failure> {
    let session = connect(&args.endpoint.of_one_queue(), Role::Slave)?;
    let mut handle = session.memif.packet_handle(0)?.with_burst(1);
    handle.set_rx_mode(args.rx_mode)?;
    let mut packet = vec![0; args.len.into()];
    let mut times = histogram()?;
    let mut n = 0u64;
    let watch = Watch::start(handle.closer());
    let start = Instant::now();
    while start.elapsed() < args.secs && !session.events.is_stopped() {
        packet[..8].copy_from_slice(&n.to_ne_bytes());
        let sent = Instant::now();
        let back = handle
            .write_packet(&packet)
            .and_then(|()| wait_packet(&mut handle));
        let back = match back {
            Ok(back) => back,
            Err(Error::Eof(Eof::Closed)) if watch.silent.load(Ordering::Relaxed) => {
                return Err(left_alone(&session, Error::TimedOut));
            }
            Err(Error::Eof(Eof::Closed)) => break, // by Ctrl-C
            Err(e) => return Err(left_alone(&session, e)),
        };
        let took = sent.elapsed();
        if back.as_slice() != n.to_ne_bytes() {
            return Err(Failure::Failed(format!("packet {n} came back as another")));
        }
        if n == WARM_UP {
            times.reset();
        }
        times.saturating_record(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
        n += 1;
        watch.count.store(n, Ordering::Relaxed);
    }
    session.memif.close();
    Ok(Report::new("ping")
        .with("len", args.len)
        .with("packets", n as f64)
        .times(&times))
}

/// The first bytes of the next packet.
fn wait_packet(handle: &mut PacketHandle) -> Result<[u8; 8], Error> {
    let packet = handle.read_packet_timeout(None)?;
    Ok(packet.first_chunk().copied().unwrap_or_default())
}

pub(super) fn pong(args: &PongArgs) -> Result<Report, Failure> {
    let session = connect(&args.endpoint.of_one_queue(), Role::Master)?;
    let handle = session.memif.packet_handle(0)?.with_burst(64);
    let (mut reader, mut writer) = handle.split();
    reader.set_rx_mode(args.rx_mode)?;
    let mut packets = 0u64;
    loop {
        match reader.read_packet() {
            Ok(packet) => {
                writer.write_packet_timeout(&packet, Some(PATIENCE))?;
                packets += 1;
            }
            Err(Error::Eof(Eof::Empty)) => {
                if reader.wait(None)? == Wait::Closed {
                    break;
                }
            }
            Err(Error::Eof(_)) => break,
            Err(e) => return Err(e.into()),
        }
    }
    session.memif.close();
    Ok(Report::new("pong").with("packets", packets as f64))
}

//! Between the ring and a file. Only this half is timed, not the filling or emptying of the ring.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use memif::pcap::{CaptureReader, PcapWriter};
use memif::{CaptureInfo, Eof, Error, LinkType, Packet, PacketSink, Timestamp};

use super::measure::{Both, Load, Numbered, Report, number};
use crate::failure::Failure;
use crate::files::input::BATCH;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    load: Load,
    /// Temporary file, deleted at the end; best on a tmpfs [default: in /dev/shm or the temporary
    /// folder]
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
}

impl Args {
    fn path(&self) -> PathBuf {
        self.file.clone().unwrap_or_else(|| {
            let shm = PathBuf::from("/dev/shm");
            let folder = if shm.is_dir() {
                shm
            } else {
                std::env::temp_dir()
            };
            folder.join(format!("memif-bench-{}.pcap", std::process::id()))
        })
    }
}

/// A file begins anew after so many packets, so that memory does not fill up.
fn packets_a_file(load: &Load) -> u64 {
    (256 << 20) / (u64::from(load.len) + 64)
}

/// Half a ring: filled, then emptied.
const IN_RING: usize = 512;

/// Runs it with a file that is not there afterwards.
pub(super) fn with_file(
    args: &Args,
    run: fn(&Args, &Path) -> Result<Report, Failure>,
) -> Result<Report, Failure> {
    let path = args.path();
    let result = run(args, &path);
    if let Err(e) = fs::remove_file(&path) {
        log::warn!("{}: {e}", path.display());
    }
    result
}

pub(super) fn capture(args: &Args, path: &Path) -> Result<Report, Failure> {
    let both = Both::new(&args.load, 1)?;
    let mut ends = both.ends(&args.load, 0)?;
    let load = Load {
        burst: IN_RING as u16,
        ..args.load
    };
    let mut numbered = Numbered::new(&load);
    let (mut packets, mut busy) = (0u64, Duration::ZERO);
    while busy < args.load.secs {
        let mut file = PcapWriter::create(path, LinkType::ETHERNET, None)?;
        let end = packets + packets_a_file(&load);
        while packets < end && busy < args.load.secs {
            let mut list = Vec::with_capacity(IN_RING);
            numbered.burst(&mut list, IN_RING);
            let sent = ends.sender.write_packets(&list)? as u64;
            let start = Instant::now();
            let before = packets;
            while packets - before < sent {
                match ends.receiver.read_packet() {
                    Ok(packet) => file.write_packet(&packet)?,
                    Err(e) => return Err(e.into()),
                }
                packets += 1;
            }
            busy += start.elapsed();
        }
        let start = Instant::now();
        PacketSink::flush(&mut file)?;
        busy += start.elapsed();
    }
    Ok(per_packet("capture", args, packets, busy))
}

pub(super) fn replay(args: &Args, path: &Path) -> Result<Report, Failure> {
    let both = Both::new(&args.load, 1)?;
    let mut ends = both.ends(&args.load, 0)?;
    write_file(args, path)?;
    let (mut packets, mut busy) = (0u64, Duration::ZERO);
    let mut expected = 0u64;
    while busy < args.load.secs {
        let mut file = CaptureReader::open(path)?;
        let mut ended = false;
        while !ended {
            let start = Instant::now();
            let mut in_ring = 0;
            while in_ring < IN_RING && !ended {
                let mut list = [Packet::default(); BATCH];
                match file.read_packets(&mut list) {
                    Ok(count) => in_ring += ends.sender.write_packets(&list[..count])?,
                    Err(Error::Eof(Eof::EndOfFile)) => ended = true,
                    Err(e) => return Err(e.into()),
                }
            }
            busy += start.elapsed();
            for _ in 0..in_ring {
                let n = number(&ends.receiver.read_packet()?);
                if n != Some(expected % packets_a_file(&args.load)) {
                    return Err(Failure::Failed(format!("packet {expected} came as {n:?}")));
                }
                expected += 1;
            }
            packets += in_ring as u64;
        }
    }
    Ok(per_packet("replay", args, packets, busy))
}

fn write_file(args: &Args, path: &Path) -> Result<(), Failure> {
    let mut file = PcapWriter::create(path, LinkType::ETHERNET, None)?;
    let mut data = vec![0; args.load.len.into()];
    for n in 0..packets_a_file(&args.load) {
        data[..8].copy_from_slice(&n.to_ne_bytes());
        let info = CaptureInfo::whole(data.len(), Timestamp::from_nanos(n));
        file.write_packet(&Packet::new(&data, info))?;
    }
    file.close()?;
    Ok(())
}

fn per_packet(bench: &'static str, args: &Args, packets: u64, busy: Duration) -> Report {
    Report::new(bench)
        .load(&args.load)
        .with("packets", packets as f64)
        .with("ns_per_packet", busy.as_nanos() as f64 / packets as f64)
        .with("mpps", packets as f64 / busy.as_secs_f64() / 1e6)
}

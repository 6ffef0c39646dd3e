//! The options of `memif capture`.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use memif::{LinkType, RxMode};

use super::target::Target;
use crate::failure::Failure;
use crate::files::filter::PacketFilter;
use crate::files::record::{Limits, RecordArgs};
use crate::link::endpoint::Endpoint;
use crate::metrics::MetricsArgs;
use crate::print::PrintArgs;
use crate::values::{rx_mode, seconds};

/// Capture packets that a peer sends: print them, or write them to files
///
/// Waits for the peer, and continues when it reconnects. Ctrl-C ends the capture with a summary;
/// SIGUSR1 prints one, SIGUSR2 flushes buffered packets. Packets wait in a buffer while files
/// change; none are lost.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(super) endpoint: Endpoint,
    #[command(flatten)]
    pub(super) metrics: MetricsArgs,
    /// Read packets from a capture file instead; '-' is standard input, tcp:HOST:PORT a server of
    /// packets. Several are merged by time
    #[arg(short, long, value_name = "FILE", conflicts_with_all = ["socket", "once", "timeout"])]
    pub(super) read: Vec<PathBuf>,
    /// Observe links between other processes, which do not notice: those of a process, those on a
    /// socket, or any. Packets that can't be read in time are counted as missed; `memif list` shows
    /// what there is
    #[arg(long, value_name = "PID|SOCKET|any", conflicts_with_all = ["socket", "read", "file_list", "metrics"])]
    pub(super) observe: Option<Target>,
    /// The first N rings lead to the master, where that can't be told from their counters
    #[arg(long, value_name = "N", requires = "observe", hide_short_help = true)]
    pub(super) to_master: Option<usize>,
    /// The inode of the memory of buffers, where there are several that it could be; once per
    /// region
    #[arg(
        long = "region",
        value_name = "INODE",
        requires = "observe",
        hide_short_help = true
    )]
    pub(super) regions: Vec<u64>,
    /// Read the capture files that are named in a file, one per line
    #[arg(short = 'V', value_name = "FILE", conflicts_with_all = ["read", "socket", "once", "timeout"])]
    pub(super) file_list: Option<PathBuf>,
    /// Read the filter from a file
    #[arg(short = 'F', value_name = "FILE", conflicts_with = "filter")]
    pub(super) filter_file: Option<PathBuf>,
    /// Stop after N packets
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) count: Option<u64>,
    /// Bytes captured of each packet, 1 to 262144
    #[arg(long, default_value_t = memif::DEFAULT_SNAPLEN, value_name = "BYTES",
          value_parser = clap::value_parser!(u32).range(1..=262_144))]
    pub(super) snaplen: u32,
    /// Stop when the peer disconnects
    #[arg(long)]
    pub(super) once: bool,
    /// Fail if there is no link within N seconds; 0 waits for ever [default: 0]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub(super) timeout: Option<Duration>,
    /// Receive mode: interrupt sleeps, polling spins, adaptive does both
    #[arg(long, default_value = "interrupt", value_parser = rx_mode)]
    pub(super) rx_mode: RxMode,
    /// Shorter lines; no messages when peers connect or leave
    #[arg(short, long)]
    pub(super) quiet: bool,
    /// No output on standard error except failures, for Wireshark
    #[arg(long, hide = true)]
    pub(super) silent: bool,
    #[command(flatten)]
    pub(super) record: RecordArgs,
    #[command(flatten)]
    pub(super) print: PrintArgs,
    /// Capture only these packets, in libpcap's filter language: udp port 9
    #[arg(value_name = "EXPRESSION")]
    pub(super) filter: Vec<String>,
}

impl Args {
    /// The files to read instead of a memif.
    pub(super) fn files(&self) -> Result<Vec<PathBuf>, Failure> {
        let Some(list) = &self.file_list else {
            return Ok(self.read.clone());
        };
        let list = match list.as_os_str() == "-" {
            true => Path::new("/dev/stdin"),
            false => list,
        };
        let lines =
            fs::read(list).map_err(|e| Failure::Failed(format!("{}: {e}", list.display())))?;
        let lines = lines
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty());
        Ok(lines.map(|line| OsStr::from_bytes(line).into()).collect())
    }

    pub(super) fn filter(&self, link_type: LinkType) -> Result<PacketFilter, Failure> {
        let Some(path) = &self.filter_file else {
            let first = self.filter.first().filter(|word| Path::new(word).is_file());
            return PacketFilter::new(&self.filter, link_type).map_err(|failure| match first {
                Some(file) => Failure::Usage(format!("to read a file, use -r {file}")),
                None => failure,
            });
        };
        let text = fs::read_to_string(path);
        let text = text.map_err(|e| Failure::Failed(format!("{}: {e}", path.display())))?;
        PacketFilter::new(&[text.replace('\n', " ")], link_type)
    }

    /// `-c N` is another way to write `-a packets:N`.
    pub(super) fn limits(&self) -> Limits {
        let limits = self.record.limits();
        let packets = [self.count, limits.packets].into_iter().flatten().min();
        Limits { packets, ..limits }
    }

    /// A count of all queues is nobody's who writes the file of one.
    pub(super) fn check_split(&self) -> Result<(), Failure> {
        if !self.read.is_empty() || self.file_list.is_some() || self.observe.is_some() {
            return Err(Failure::Usage(
                "--split queue needs a link to capture from".into(),
            ));
        }
        if self.limits().packets.is_some() {
            return Err(Failure::Usage(
                "-c and -a packets: count the packets of all queues; not with --split".into(),
            ));
        }
        Ok(())
    }

    /// Whether it is for reading, not for a file.
    pub(crate) fn prints(&self) -> bool {
        self.record.write.is_none()
    }
}

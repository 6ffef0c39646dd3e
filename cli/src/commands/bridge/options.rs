//! The options of `memif bridge`.

use memif::RxMode;

use super::spec::Spec;
use crate::files::record::RecordArgs;
use crate::metrics::MetricsArgs;
use crate::values::rx_mode;

/// Forward packets between two endpoints, and record them
///
/// An endpoint is memif:SOCKET[,id=N][,role=master|slave][,secret=S][,secret-file=FILE]
/// [,mode=ethernet|ip][,queues=N][,ring-size=LOG2][,buffer-size=BYTES]
/// [,rx-mode=interrupt|polling|adaptive][,gso=true|false][,name=NAME], or
/// tap:NAME[,mtu=N][,queues=N][,offload=true|false], a TAP device that is created if it is missing
/// (needs CAP_NET_ADMIN). With gso, TCP segments from a TAP cross in one piece, up to 64 KiB: only
/// for bridges with a TAP at both ends. Both ends may be masters on one socket, with different ids.
/// Forwarding starts when both ends are up. A full ring holds the other side back: nothing is
/// dropped while both links are up. The recording may end, by a limit or a full disk; the bridge
/// forwards on, and exits 1 if the recording failed. Give secrets in files, or in the environment
/// as MEMIF_SECRET_A and MEMIF_SECRET_B, where others can't see them. Ctrl-C ends the bridge with a
/// summary.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// One end
    #[arg(value_name = "A")]
    pub(super) a: Spec,
    /// The other end
    #[arg(value_name = "B")]
    pub(super) b: Spec,
    /// Record only these packets, in libpcap's filter language; all are forwarded
    #[arg(value_name = "EXPRESSION")]
    pub(super) filter: Vec<String>,
    /// Bytes recorded of each packet, 1 to 262144
    #[arg(long, default_value_t = memif::DEFAULT_SNAPLEN, value_name = "BYTES",
          value_parser = clap::value_parser!(u32).range(1..=262_144))]
    pub(super) snaplen: u32,
    #[command(flatten)]
    pub(super) metrics: MetricsArgs,
    #[command(flatten)]
    pub(super) record: RecordArgs,
    /// End the bridge when its recording ends: at a limit of -a, or because it can't be written
    #[arg(long, requires = "write")]
    pub(super) stop_with_recording: bool,
    /// Receive mode: interrupt sleeps, polling spins, adaptive does both
    #[arg(long, default_value = "interrupt", value_parser = rx_mode)]
    pub(super) rx_mode: RxMode,
    /// No messages when peers connect or leave
    #[arg(short, long)]
    pub(super) quiet: bool,
}

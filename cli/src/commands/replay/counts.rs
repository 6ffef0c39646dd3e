//! What a replay has sent, and its summary.

use std::time::Duration;

use crate::report::{count, notice, notice_some, rate};

#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) packets: u64,
    pub(super) bytes: u64,
    pub(super) cut: u64,
    pub(super) empty: u64,
    pub(super) rejected: u64,
    pub(super) waits: u64,
    /// How often a queue went on with another link.
    pub(super) resumed: u64,
}

impl Counts {
    /// Of all packets of the files.
    pub(super) fn seen(&self) -> u64 {
        self.packets + self.empty + self.rejected
    }

    pub(super) fn summary(&self, time: Duration, paced: bool) {
        notice(format_args!(
            "sent {}",
            rate(self.packets, self.bytes, time)
        ));
        let seconds = time.as_secs_f64();
        let a_second = |n: f64| if seconds > 0.0 { n / seconds } else { 0.0 };
        let bytes = a_second(self.bytes as f64);
        notice(format_args!(
            "rated: {bytes:.1} Bps, {:.2} Mbps, {:.2} pps",
            bytes * 8e-6,
            a_second(self.packets as f64),
        ));
        notice(format_args!(
            "successful packets: {}, truncated: {}, retried (ring full): {}",
            self.packets, self.cut, self.waits,
        ));
        if self.waits > 0 {
            let times = count(self.waits, "time");
            let hint = match paced {
                true => "; a larger --ring-size on the slave's side bridges a peer's pauses",
                false => "",
            };
            notice(format_args!("Waited {times} for a full ring{hint}"));
        }
        notice_some(
            self.cut,
            "packet",
            "sent short because the capture had cut them",
        );
        let no_payload = "not sent (without a payload of this mode)";
        notice_some(self.empty, "empty packet", no_payload);
        notice_some(self.rejected, "packet", "rejected by the filter");
    }
}

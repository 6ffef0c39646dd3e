//! What a recording has done, for the user.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::report::{count, notice_later};

/// What the buffer and its readers have been through.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Load {
    /// Bytes that the buffer held at most.
    pub(crate) highest: usize,
    /// Bytes that it may hold.
    pub(crate) limit: usize,
    /// Seconds that a ring was not looked at while it was read.
    pub(crate) longest_pause: f64,
}

impl Load {
    /// The worse of both.
    pub(super) fn max(self, other: Self) -> Self {
        Self {
            highest: self.highest.max(other.highest),
            limit: self.limit,
            longest_pause: self.longest_pause.max(other.longest_pause),
        }
    }
}

impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "buffer filled to {} of {} KiB; longest time between two reads of a ring {:.3} ms",
            self.highest.div_ceil(1024),
            self.limit / 1024,
            self.longest_pause * 1e3,
        )
    }
}

/// What has been so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Summary {
    pub(crate) received: u64,
    pub(crate) bytes: u64,
    /// Since the first packet.
    pub(crate) time: Duration,
    /// By the filter, where there is one.
    pub(crate) rejected: Option<u64>,
    pub(crate) snaplen: u32,
    /// By the snap length.
    pub(crate) cut: u64,
    /// In the file that they come from.
    pub(crate) cut_before: u64,
    /// After a limit was reached.
    pub(crate) discarded: u64,
    /// As the output failed.
    pub(crate) lost: u64,
    /// By an observer; perhaps there were more.
    pub(crate) missed: Option<(u64, bool)>,
    /// Slots, by the peer before they were read.
    pub(crate) overrun: u64,
    /// How often a ring was found full.
    pub(crate) found_full: u64,
    /// Where there is a buffer.
    pub(crate) load: Option<Load>,
    /// Packets that are where they belong.
    pub(crate) done: u64,
    /// As in `5 packets written to x.pcap`.
    pub(crate) what: String,
}

/// Tells the numbers, a line for each.
impl Summary {
    pub(crate) fn tell(&self) {
        let packets = |n| count(n, "packet");
        notice_later(format_args!(
            "{} received, {}, in {:.3} s",
            packets(self.received),
            count(self.bytes, "byte"),
            self.time.as_secs_f64(),
        ));
        if let Some(rejected) = self.rejected {
            notice_later(format_args!("{} rejected by the filter", packets(rejected)));
        }
        notice_later(format_args!("{} {}", packets(self.done), self.what));
        let snaplen = self.snaplen;
        notice_later(format_args!(
            "{} cut to the snap length of {snaplen}",
            packets(self.cut)
        ));
        if self.cut_before > 0 {
            notice_later(format_args!(
                "{} were already cut in the file",
                packets(self.cut_before)
            ));
        }
        let why = if self.lost > 0 {
            " because the output failed"
        } else {
            " by this side"
        };
        notice_later(format_args!("{} dropped{why}", packets(self.lost)));
        if let Some((missed, at_least)) = self.missed {
            let at_least = if at_least { "at least " } else { "" };
            notice_later(format_args!("{at_least}{} missed", packets(missed)));
        }
        if self.overrun > 0 {
            notice_later(format_args!(
                "{} overwritten by the peer before they were read; their packets are lost",
                count(self.overrun, "slot")
            ));
        }
        self.tell_load();
        if self.discarded > 0 {
            notice_later(format_args!(
                "{} discarded after the limit was reached",
                packets(self.discarded)
            ));
        }
    }

    /// Whether it kept up with the peers.
    pub(crate) fn tell_load(&self) {
        let Some(load) = &self.load else {
            return;
        };
        if self.found_full > 0 {
            notice_later(format_args!(
                "ring found full {}: the peer may have dropped packets",
                count(self.found_full, "time")
            ));
        }
        notice_later(load);
    }
}

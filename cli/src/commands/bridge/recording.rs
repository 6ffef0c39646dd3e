//! What a bridge records: every packet once, where it arrives.

use std::sync::atomic::{AtomicU64, Ordering};

use memif::pcap::InterfaceInfo;
use memif::{LinkType, Packet};

use super::ends::Port;
use super::options::Args;
use crate::events::Events;
use crate::failure::Failure;
use crate::files::filter::PacketFilter;
use crate::files::record::{Recorder, Recording, Setup, Summary};
use crate::report::{count, notice_later};

/// `None` where nothing is to be recorded.
pub(super) fn start(
    args: &Args,
    link_type: LinkType,
    events: &Events,
) -> Result<Option<Recording>, Failure> {
    let filter = PacketFilter::new(&args.filter, link_type)?;
    let Some(plan) = args.record.plan()? else {
        if !filter.is_open() {
            return Err(Failure::Usage(
                "a filter selects the packets that are recorded: -w FILE is missing".into(),
            ));
        }
        return Ok(None);
    };
    let setup = Setup {
        filter,
        snaplen: args.snaplen,
        limits: args.record.limits(),
        ends_command: args.stop_with_recording,
    };
    let recorder = Box::new(Recorder::create(plan, link_type, args.snaplen)?);
    Recording::start(recorder, setup, events, tell).map(Some)
}

pub(super) fn tell(summary: &Summary) {
    let done = count(summary.done, "packet");
    notice_later(format_args!("{done} recorded, {}", summary.what));
    if summary.lost > 0 {
        let lost = count(summary.lost, "packet");
        notice_later(format_args!(
            "{lost} not recorded because the output failed"
        ));
    }
    if summary.discarded > 0 {
        let discarded = count(summary.discarded, "packet");
        notice_later(format_args!(
            "{discarded} not recorded after the limit was reached"
        ));
    }
}

/// A recording that is told who the peers are.
pub(super) struct Described<'a> {
    recording: &'a Recording,
    args: &'a Args,
    ports: &'a [Port; 2],
    /// Links of both ends, when they were last described, and one more.
    links: AtomicU64,
}

impl<'a> Described<'a> {
    pub(super) fn new(args: &'a Args, ports: &'a [Port; 2], recording: &'a Recording) -> Self {
        let this = Self {
            recording,
            args,
            ports,
            links: AtomicU64::new(u64::MAX),
        };
        this.describe();
        this
    }

    pub(super) fn take(&self, from: u32, packets: &[Packet<'_>]) {
        self.describe();
        self.recording.take(from, packets);
    }

    pub(super) fn idle(&self) {
        self.recording.idle();
    }

    fn describe(&self) {
        let links = self.ports.iter().map(Port::links).sum();
        if self.links.swap(links, Ordering::AcqRel) == links {
            return;
        }
        let (args, link_type) = (self.args, self.args.a.mode().link_type());
        let interfaces = [(&args.a, &self.ports[0]), (&args.b, &self.ports[1])];
        let interfaces = interfaces.map(|(spec, port)| {
            let mut info = InterfaceInfo::new(spec.name(), link_type);
            info.snaplen = Some(args.snaplen);
            info.description = port.about(args.snaplen);
            info
        });
        self.recording.describe(interfaces.into());
    }
}

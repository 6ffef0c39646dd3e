//! What a bridge records: every packet once, where it arrives.

use std::sync::atomic::{AtomicU64, Ordering};

use memif::pcap::InterfaceInfo;
use memif::{LinkType, Memif, Packet};

use super::ends::Port;
use super::options::Args;
use crate::events::Events;
use crate::failure::Failure;
use crate::files::filter::PacketFilter;
use crate::files::record::{self, Feed, Recorder, Recording, Setup, Summary};
use crate::report::{count, notice_later, notice_some};

/// `None` where nothing is to be recorded.
pub(super) fn start(
    args: &Args,
    link_type: LinkType,
    events: &Events,
) -> Result<Option<Recording>, Failure> {
    if args.record.split.is_some() {
        return Err(Failure::Usage("--split is for 'memif capture'".into()));
    }
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
        buffer: args.record.buffer(),
        ends_command: args.stop_with_recording,
    };
    let recorder = Box::new(Recorder::create(plan, link_type, args.snaplen)?);
    record::start(recorder, setup, events, tell).map(Some)
}

pub(super) fn tell(summary: &Summary) {
    let done = count(summary.done, "packet");
    notice_later(format_args!("{done} recorded, {}", summary.what));
    summary.tell_load();
    let lost = "not recorded because the output failed";
    notice_some(summary.lost, "packet", lost);
    let discarded = "not recorded after the limit was reached";
    notice_some(summary.discarded, "packet", discarded);
}

/// A recording that is told who the peers are.
pub(super) struct Described<'a> {
    pub(super) recording: &'a Recording,
    args: &'a Args,
    ports: &'a [Port; 2],
    /// Links of both ends, when they were last described.
    links: AtomicU64,
}

impl<'a> Described<'a> {
    pub(super) fn new(args: &'a Args, ports: &'a [Port; 2], recording: &'a Recording) -> Self {
        let this = Self {
            recording,
            args,
            ports,
            links: AtomicU64::new(ports.iter().map(Port::links).sum()),
        };
        recording.describe(this.interfaces());
        let memifs: Vec<_> = ports
            .iter()
            .map(|port| port.session().map(|session| session.memif.clone()))
            .collect();
        recording.watch_rings(move || {
            let full = |memif: &Memif| memif.stats().rx_queues.iter().map(|q| q.ring_full).sum();
            memifs
                .iter()
                .map(|memif| memif.as_ref().map_or(0, full))
                .collect()
        });
        this
    }

    pub(super) fn take(&self, feed: &mut Feed, from: u32, packets: &[Packet<'_>]) {
        let links = self.ports.iter().map(Port::links).sum();
        if self.links.swap(links, Ordering::AcqRel) != links {
            feed.describe(self.interfaces());
        }
        feed.take(from, packets);
    }

    fn interfaces(&self) -> Vec<InterfaceInfo> {
        let (args, link_type) = (self.args, self.args.a.mode().link_type());
        let interfaces = [(&args.a, &self.ports[0]), (&args.b, &self.ports[1])];
        let interfaces = interfaces.map(|(spec, port)| {
            let mut info = InterfaceInfo::new(spec.name(), link_type);
            info.snaplen = Some(args.snaplen);
            info.description = port.about(args.snaplen);
            info
        });
        interfaces.into()
    }
}

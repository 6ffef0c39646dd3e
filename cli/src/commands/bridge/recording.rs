//! What a bridge records: every packet once, where it arrives.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use memif::pcap::{Direction, InterfaceInfo};
use memif::{LinkType, Packet};

use super::ends::Port;
use super::options::Args;
use crate::failure::Failure;
use crate::files::filter::PacketFilter;
use crate::files::record::{Next, Put, Recorder};
use crate::report::{count, notice};

pub(super) struct Recording {
    inner: Mutex<Inner>,
    names: [String; 2],
    snaplen: u32,
    link_type: LinkType,
    stop_at: Option<Instant>,
}

struct Inner {
    recorder: Recorder,
    filter: PacketFilter,
    left: Option<u64>,
    full: bool,
    /// Links of both ends that the file tells of.
    described: Option<u64>,
}

impl Recording {
    /// `None` where nothing is to be recorded.
    pub(super) fn new(args: &Args, link_type: LinkType) -> Result<Option<Self>, Failure> {
        let filter = PacketFilter::new(&args.filter, link_type)?;
        let Some(plan) = args.record.plan()? else {
            if !filter.is_open() {
                return Err(Failure::Usage(
                    "a filter says which packets are recorded: -w FILE is missing".into(),
                ));
            }
            return Ok(None);
        };
        let stop = args.record.stop();
        let recorder = Recorder::create(plan, link_type, args.snaplen)?;
        Ok(Some(Self {
            inner: Mutex::new(Inner {
                recorder,
                filter,
                left: stop.packets,
                full: false,
                described: None,
            }),
            names: [args.a.name(), args.b.name()],
            snaplen: args.snaplen,
            link_type,
            stop_at: stop.duration.map(|time| Instant::now() + time),
        }))
    }

    /// Packets that arrived at an end; false when the last file is full.
    pub(super) fn take(
        &self,
        from: u32,
        packets: &[Packet<'_>],
        ports: &[Port; 2],
    ) -> Result<bool, Failure> {
        let inner = &mut *self.lock();
        // By one way, while the other waits: no packet may come before its interface.
        self.describe(inner, ports)?;
        let (mut accepted, mut full) = (0, false);
        for packet in packets.iter().filter(|packet| inner.filter.matches(packet)) {
            full |= inner.left == Some(0) || inner.full;
            if full {
                break;
            }
            match inner.recorder.put(packet, from, Direction::Inbound)? {
                Put::Full => full = true,
                Put::Taken => {
                    accepted += 1;
                    inner.left = inner.left.map(|left| left - 1);
                }
            }
        }
        inner.full |= full || inner.left == Some(0);
        if let Some(counts) = inner.recorder.counts.get_mut(from as usize) {
            counts.received += packets.len() as u64;
            counts.accepted += accepted;
        }
        if inner.recorder.is_pipe() {
            inner.recorder.flush()?;
        }
        Ok(!inner.full)
    }

    /// Nothing is waiting: what is held back goes out.
    pub(super) fn idle(&self) -> Result<(), Failure> {
        self.lock().recorder.idle()
    }

    /// Does what is due by the clock; `None` when the bridge is to end.
    pub(super) fn look(&self) -> Option<Next> {
        let mut inner = self.lock();
        let now = Instant::now();
        match inner.recorder.tick() {
            Ok(Put::Taken) => {}
            Ok(Put::Full) => inner.full = true,
            Err(Failure::Failed(text) | Failure::Usage(text)) => {
                notice(text);
                inner.full = true;
            }
            Err(Failure::NobodyReads) => inner.full = true,
        }
        if inner.full || self.stop_at.is_some_and(|at| at <= now) {
            return None;
        }
        Some(Next::first([self.stop_at, inner.recorder.deadline()]))
    }

    pub(super) fn end(self, ports: &[Port; 2]) -> Result<(), Failure> {
        let inner = &mut *self.lock();
        self.describe(inner, ports)?;
        inner.recorder.end(false)?;
        let (files, name) = inner.recorder.files();
        let packets = count(inner.recorder.packets_written(), "packet");
        match files {
            1 => notice(format_args!("{packets} recorded in {name}")),
            files => notice(format_args!("{packets} recorded in {files} files, {name}")),
        }
        Ok(())
    }

    /// Tells the file who the peers are, when there are others.
    fn describe(&self, inner: &mut Inner, ports: &[Port; 2]) -> Result<(), Failure> {
        let links = Some(ports.iter().map(Port::links).sum());
        if inner.described == links {
            return Ok(());
        }
        let interfaces = [0, 1].map(|end| {
            let mut info = InterfaceInfo::new(self.names[end].clone(), self.link_type);
            info.snaplen = self.snaplen;
            info.description = ports[end].about(self.snaplen);
            info
        });
        inner.recorder.describe(interfaces.into())?;
        inner.described = links;
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

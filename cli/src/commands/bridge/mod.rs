//! `memif bridge`: joins two endpoints, and looks at what passes between them.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use memif::{Packet, RxMode};

use crate::events::Events;
use crate::failure::Failure;
use crate::files::record::{Feed, Recording};
use crate::lock::lock;
use crate::report::{count, notice};

mod ends;
mod options;
mod recording;
mod spec;

use ends::{Port, Sink};
pub(crate) use options::Args;
use recording::Described;

/// What went one way.
#[derive(Default)]
struct Passed {
    packets: AtomicU64,
    bytes: AtomicU64,
    lost: AtomicU64,
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let (a, b) = (&args.a, &args.b);
    if a.name() == b.name() {
        let name = a.name();
        return Err(Failure::Usage(format!("{name} is given for both ends")));
    }
    if a.mode() != b.mode() {
        return Err(Failure::Usage(format!(
            "{} is in {} mode, {} in {} mode; both ends need the same mode",
            a.name(),
            a.mode(),
            b.name(),
            b.mode()
        )));
    }
    for (end, other) in [(a, b), (b, a)] {
        if end.wants_whole() && !other.is_tap() {
            return Err(Failure::Usage(format!(
                "{} has gso, which is for bridges to a TAP device",
                end.name()
            )));
        }
    }
    let names = [a.name(), b.name()];
    let context = a.context_with(b)?;
    let events = Events::start()?;
    // Opened first: what can't be written must not cost packets.
    let recorded = recording::start(args, a.mode().link_type(), &events)?;
    let ports = [(a, "MEMIF_SECRET_A"), (b, "MEMIF_SECRET_B")].map(|(spec, variable)| {
        let spec = spec.with_secret_of(variable);
        spec.open(context.clone(), &events, args.quiet)
    });
    let ports = match ports {
        [Ok(a), Ok(b)] => [a, b],
        [Err(failure), _] | [_, Err(failure)] => {
            recorded.inspect(|recording| drop(recording.end()));
            return Err(failure);
        }
    };
    let passed = [Passed::default(), Passed::default()];
    let result = join(args, &events, &ports, recorded.as_ref(), &passed);
    events.stop();
    for (from, passed) in passed.iter().enumerate() {
        notice(format_args!(
            "{} to {}: {}, {}; {} dropped",
            names[from],
            names[1 - from],
            count(passed.packets.load(Ordering::Relaxed), "packet"),
            count(passed.bytes.load(Ordering::Relaxed), "byte"),
            passed.lost.load(Ordering::Relaxed),
        ));
    }
    let ended = recorded.map_or(Ok(()), |recording| {
        let (summary, ended) = recording.end();
        recording::tell(&summary);
        ended
    });
    result.and(ended)
}

/// Passes packets until the bridge is stopped.
fn join(
    args: &Args,
    events: &Events,
    ports: &[Port; 2],
    recording: Option<&Recording>,
    passed: &[Passed; 2],
) -> Result<(), Failure> {
    let sessions: Vec<_> = ports.iter().filter_map(Port::session).collect();
    let load = recording
        .cloned()
        .map(|recording| -> Box<dyn Fn() -> _ + Send + Sync> {
            Box::new(move || recording.load())
        });
    let _serving = args.metrics.serve("bridge", &sessions, load, events)?;

    // Whoever is there first waits, its packets on its ring, until somebody can take them.
    let [a, b] = thread::scope(|scope| {
        // A refusal of either ends the wait of the other.
        let wait = |port: &Port| port.wait_link().inspect_err(|_| events.stop());
        let waits = ports.each_ref().map(|port| scope.spawn(move || wait(port)));
        waits.map(|wait| wait.join().unwrap_or_else(|_| Err(panicked())))
    });
    let (a, b) = (a?, b?);
    if !(a && b) {
        return Ok(());
    }
    let described = recording.map(|recording| Described::new(args, ports, recording));
    let sinks = [ports[0].sinks(events)?, ports[1].sinks(events)?];
    let way = |(from, queue)| Way {
        from,
        queue,
        ports,
        sinks: &sinks[1 - from],
        passed: &passed[from],
        recording: described.as_ref(),
        events,
    };
    let queues = |from: usize| (0..ports[from].queues()).map(move |queue| (from, queue));
    thread::scope(|scope| {
        let ways = queues(0).chain(queues(1)).map(way);
        let ways: Vec<_> = ways
            .map(|way| scope.spawn(move || way.run(args.rx_mode)))
            .collect();
        let ends = ways
            .into_iter()
            .map(|way| way.join().unwrap_or_else(|_| Err(panicked())));
        // All are waited for; the first failure counts.
        ends.fold(Ok(()), Result::and)
    })
}

fn panicked() -> Failure {
    Failure::Failed("a thread panicked".into())
}

/// One direction of a bridge, from one queue.
struct Way<'a> {
    from: usize,
    queue: u8,
    ports: &'a [Port; 2],
    sinks: &'a [Mutex<Sink<'a>>],
    passed: &'a Passed,
    recording: Option<&'a Described<'a>>,
    events: &'a Events,
}

impl Way<'_> {
    /// When it ends, so does the other way.
    fn run(&self, rx_mode: RxMode) -> Result<(), Failure> {
        let result = self.pass(rx_mode);
        self.events.stop();
        result
    }

    fn pass(&self, rx_mode: RxMode) -> Result<(), Failure> {
        let (from, to) = (&self.ports[self.from], &self.ports[1 - self.from]);
        let mut source = from.source(self.queue, rx_mode)?;
        let mut recording = self.recording.map(|to| (to, Feed::new(to.recording)));
        let mut longest = to.longest_whole();
        loop {
            if let Some((_, feed)) = &mut recording {
                feed.wait_for_room(self.events);
            }
            // The kernel may always have more, and nobody takes it any more.
            if self.events.is_stopped() && from.session().is_none() {
                return Ok(());
            }
            let filled = source.fill(longest.get())?;
            let dropped = source.dropped() as u64;
            self.passed.lost.fetch_add(dropped, Ordering::Relaxed);
            match filled {
                None => return Ok(()),
                Some(0) => {
                    if let Some((_, feed)) = &mut recording {
                        feed.idle();
                    }
                    if !source.wait()? {
                        return Ok(());
                    }
                }
                Some(_) => {
                    let packets = source.packets();
                    // Before it is recorded, which may end the bridge: it has left the ring.
                    let mut sent = (0, 0);
                    let sink = &self.sinks[to.sink_for(self.queue)];
                    let is_whole = |p: &&Packet<'_>| !p.info().is_truncated();
                    let result = if packets.iter().all(|p| is_whole(&p)) {
                        lock(sink).send(&packets, &mut sent)
                    } else {
                        // Some are longer than any frame is, and were not read to the end.
                        let packets: Vec<_> = packets.iter().filter(is_whole).copied().collect();
                        lock(sink).send(&packets, &mut sent)
                    };
                    let lost = (packets.len() - sent.0) as u64;
                    self.passed
                        .packets
                        .fetch_add(sent.0 as u64, Ordering::Relaxed);
                    self.passed
                        .bytes
                        .fetch_add(sent.1 as u64, Ordering::Relaxed);
                    self.passed.lost.fetch_add(lost, Ordering::Relaxed);
                    if let Some(session) = from.session() {
                        session.dropped.add(self.queue, lost);
                    }
                    if let Some((to, feed)) = &mut recording {
                        to.take(feed, self.from as u32, &packets);
                    }
                    result?;
                }
            }
        }
    }
}

//! `memif bridge`: joins two endpoints, and looks at what passes between them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use memif::RxMode;

use crate::failure::Failure;
use crate::files::record::{Next, Timer};
use crate::link::kernel_tap::Tap;
use crate::report::{count, notice};
use crate::stop::Stop;

mod ends;
mod options;
mod recording;

use ends::Port;
pub(crate) use options::Args;
use recording::Recording;

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
        return Err(Failure::Usage(format!("{name} can't be both ends")));
    }
    if a.mode() != b.mode() {
        return Err(Failure::Usage(format!(
            "{} begins packets with {}, {} with {}: they can't be joined",
            a.name(),
            a.mode(),
            b.name(),
            b.mode()
        )));
    }
    let names = [a.name(), b.name()];
    // Opened first: what can't be written must not cost packets.
    let recording = Recording::new(args, a.mode().link_type())?;
    let ports = [
        a.with_secret_of("MEMIF_SECRET_A").open(args.quiet)?,
        b.with_secret_of("MEMIF_SECRET_B").open(args.quiet)?,
    ];
    let timer = Timer::default();
    let taps: Vec<Tap> = ports
        .iter()
        .filter_map(|port| match port {
            Port::Tap(tap) => Some(tap.clone()),
            Port::Memif(_) => None,
        })
        .collect();
    // Each memif's session has its own handler, which closes it.
    let _stop = Stop::on_signals(move || taps.iter().for_each(Tap::close))?;

    let sessions: Vec<_> = ports.iter().filter_map(Port::session).collect();
    let _serving = args.metrics.serve("bridge", &sessions)?;

    // Whoever is there first waits, its packets on its ring, until somebody can take them.
    for port in &ports {
        if !port.wait_link()? {
            return Ok(());
        }
    }
    let passed = [Passed::default(), Passed::default()];
    let results = thread::scope(|scope| {
        if let Some(recording) = &recording {
            let (timer, ports) = (&timer, &ports);
            scope.spawn(move || {
                timer.run(|| {
                    recording.look().unwrap_or_else(|| {
                        ports.iter().for_each(Port::close);
                        Next::Never
                    })
                });
            });
        }
        let ways = [0, 1].map(|from| {
            let (ports, passed, recording) = (&ports, &passed[from], &recording);
            scope.spawn(move || {
                let way = Way {
                    from,
                    ports,
                    passed,
                    recording: recording.as_ref(),
                };
                let result = way.run(args.rx_mode);
                ports.iter().for_each(Port::close);
                result
            })
        });
        let results = ways.map(|way| {
            way.join()
                .unwrap_or_else(|_| Err(Failure::Failed("a direction panicked".into())))
        });
        timer.end();
        results
    });
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
    let recorded = recording.map_or(Ok(()), |recording| recording.end(&ports));
    results.into_iter().collect::<Result<(), _>>().and(recorded)
}

/// One direction of a bridge.
struct Way<'a> {
    from: usize,
    ports: &'a [Port; 2],
    passed: &'a Passed,
    recording: Option<&'a Recording>,
}

impl Way<'_> {
    fn run(&self, rx_mode: RxMode) -> Result<(), Failure> {
        let (from, to) = (&self.ports[self.from], &self.ports[1 - self.from]);
        let (mut source, mut sink) = (from.source(rx_mode)?, to.sink()?);
        loop {
            match source.fill()? {
                None => return Ok(()),
                Some(0) => {
                    if let Some(recording) = self.recording {
                        recording.idle()?;
                    }
                    if !source.wait()? {
                        return Ok(());
                    }
                }
                Some(_) => {
                    let packets = source.packets();
                    let goes_on = match self.recording {
                        Some(recording) => {
                            recording.take(self.from as u32, &packets, self.ports)?
                        }
                        None => true,
                    };
                    // Also what came with the last that is recorded: it has left the ring.
                    let (sent, bytes) = sink.send(&packets)?;
                    self.passed
                        .packets
                        .fetch_add(sent as u64, Ordering::Relaxed);
                    self.passed.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
                    let lost = packets.len() - sent;
                    self.passed.lost.fetch_add(lost as u64, Ordering::Relaxed);
                    if let Some(session) = self.ports[self.from].session() {
                        session.dropped.add(0, lost as u64);
                    }
                    if !goes_on {
                        return Ok(());
                    }
                }
            }
        }
    }
}

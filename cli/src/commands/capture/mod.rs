//! `memif capture`: what tcpdump does.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use memif::pcap::InterfaceInfo;
use memif::{Burst, Eof, Error, PacketSource};

use crate::events::Events;
use crate::failure::Failure;
use crate::files::input::{self, Input};
use crate::files::record::{self, Feed, Output, Recorder, Recording, Setup, Summary};
use crate::link::session::{Linked, Session};
use crate::print::Lines;
use crate::report::notice;
use crate::values::some_time;

mod observe;
mod options;
mod search;
mod target;

pub(crate) use options::Args;

/// Packets taken from the ring at a time.
const BURST: u16 = 256;

pub(crate) fn run(args: &Args, verbose: u8) -> Result<(), Failure> {
    let files = args.files()?;
    if let Some(to) = &args.record.write
        && files.iter().any(|from| input::is_same(from, to))
    {
        return Err(Failure::Usage(format!(
            "{} is also the file that is read; give another name with -w",
            to.display()
        )));
    }
    let events = Events::start()?;
    let mut file = match files.first() {
        None => None,
        Some(path) => {
            let end = args
                .limits()
                .duration
                .and_then(|time| Instant::now().checked_add(time));
            end.into_iter().for_each(|end| events.stop_at(end));
            match input::open(path, &events) {
                Err(_) if events.is_stopped() => {
                    notice("stopped before there was anything to read");
                    return Ok(());
                }
                file => Some(file?),
            }
        }
    };
    let link_type = match &file {
        Some(file) => file.link_type(),
        None => args.endpoint.mode.link_type(),
    };
    let setup = Setup {
        filter: args.filter(link_type)?,
        snaplen: args.snaplen,
        limits: args.limits(),
        // A file that is read waits as long as it takes.
        buffer: args.record.buffer().filter(|_| file.is_none()),
        ends_command: true,
    };
    // Opened first: what can't be written must not cost a peer's packets.
    let output: Box<dyn Output> = match args.record.plan()? {
        Some(plan) => Box::new(Recorder::create(plan, link_type, args.snaplen)?),
        None => Box::new(Lines::new(link_type, &args.print, verbose, args.quiet)?),
    };
    let silent = args.silent;
    let tell = move |summary: &Summary| {
        if !silent {
            summary.tell();
        }
    };
    // Before a peer is told of: whoever sees that may send signals.
    let recording = record::start(output, setup, &events, tell)?;
    let result = match (&mut file, &args.observe) {
        (Some(file), _) => read_files(args, &files, file, &events, &recording),
        (None, Some(target)) => observe::run(args, target, &events, &recording),
        (None, None) => {
            let session = args.endpoint.open(&events, args.quiet || args.silent);
            // Without one there is nothing to tell.
            let session = session.inspect_err(|_| drop(recording.end()))?;
            read_memif(args, &session, &recording)
        }
    };
    let (summary, ended) = recording.end();
    tell(&summary);
    result.and(ended)
}

/// One after the other, the first of which is open.
fn read_files(
    args: &Args,
    paths: &[PathBuf],
    first: &mut Input,
    events: &Events,
    recording: &Recording,
) -> Result<(), Failure> {
    let link_type = first.link_type();
    for (number, path) in paths.iter().enumerate() {
        if number == 0 {
            read_file(args, path, first, events, recording)?;
            continue;
        }
        let mut file = input::open(path, events)?;
        if file.link_type() != link_type {
            let (this, others) = (path.display(), file.link_type());
            return Err(Failure::Failed(format!(
                "{this} holds {others}, the first {link_type}"
            )));
        }
        read_file(args, path, &mut file, events, recording)?;
    }
    Ok(())
}

fn read_file(
    args: &Args,
    path: &Path,
    file: &mut Input,
    events: &Events,
    recording: &Recording,
) -> Result<(), Failure> {
    let mut info = InterfaceInfo::new("file", file.link_type());
    info.description = path.display().to_string();
    info.snaplen = Some(args.snaplen);
    let mut feed = Feed::new(recording);
    feed.describe(vec![info]);
    while !events.is_stopped() {
        match file.read_packet() {
            Ok(packet) => feed.take(0, [packet]),
            Err(Error::Eof(_)) => break,
            // By what stops the command.
            Err(_) if events.is_stopped() => break,
            Err(e) => return Err(e.into()),
        };
    }
    Ok(())
}

fn read_memif(args: &Args, session: &Session, recording: &Recording) -> Result<(), Failure> {
    let (metrics, events) = (&args.metrics, &session.events);
    let _serving = metrics.serve("capture", &[session], Some(recording), events)?;
    let linked = session.wait_link_after(0, some_time(args.timeout))?;
    let reader = Reader {
        args,
        session,
        recording,
    };
    recording.describe(session.interfaces(args.snaplen));
    let (memif, dropped) = (session.memif.clone(), session.dropped.clone());
    recording.watch_rings(move || {
        memif
            .stats()
            .rx_queues
            .iter()
            .map(|q| q.ring_full)
            .collect()
    });
    recording.on_dropped(move |queue, packets| {
        dropped.add(u8::try_from(queue).unwrap_or(u8::MAX), packets);
    });
    if linked == Linked::Stopped {
        // Wireshark shows a reason only when it has stopped, and failures only.
        return match args.silent {
            true => Err(Failure::Failed(session.waiting_for())),
            false => Ok(()),
        };
    }
    let (reader, started) = (&reader, Mutex::new(1));
    thread::scope(|scope| {
        // A thread for each queue that a link brings, but for the first.
        let follow = || {
            let mut started = started.lock().unwrap_or_else(PoisonError::into_inner);
            for queue in *started..session.rx_queues() {
                scope.spawn(move || reader.read(queue, &|| {}));
                *started = queue + 1;
            }
        };
        follow();
        reader.read(0, &follow);
    });
    for queue in session.memif.stats().rx_queues {
        recording.overrun(queue.id.into(), queue.overrun_slots);
    }
    Ok(())
}

/// Takes packets from queues.
struct Reader<'a> {
    args: &'a Args,
    session: &'a Session,
    recording: &'a Recording,
}

impl Reader<'_> {
    /// `another` is called when another link is up.
    fn read(&self, queue: u8, another: &dyn Fn()) {
        let mut feed = Feed::new(self.recording);
        if let Err(failure) = self.read_queue(queue, &mut feed, another) {
            feed.fail(failure);
        }
    }

    fn read_queue(&self, queue: u8, feed: &mut Feed, another: &dyn Fn()) -> Result<(), Failure> {
        let (session, recording) = (self.session, self.recording);
        let mut queue = session.memif.rx_queue(queue)?;
        queue.set_rx_mode(self.args.rx_mode)?;
        let number = u32::from(queue.id());
        // A filter looks at whole packets.
        let snaplen = match recording.filters() {
            true => u32::MAX,
            false => self.args.snaplen,
        };
        let new_burst = |size: u16| Burst::new(size).with_snaplen(snaplen);
        let mut burst = new_burst(BURST);
        loop {
            // Near the end no more than is wanted, so that the rest stays with the peer.
            match feed.wanted() {
                Some(0) => return Ok(()),
                Some(wanted) => {
                    let most = wanted.min(BURST.into()) as u16;
                    if usize::from(most) != burst.capacity() {
                        burst = new_burst(most);
                    }
                }
                None => {}
            }
            let links = session.links();
            match queue.rx_burst(&mut burst) {
                Ok(0) => {
                    feed.idle();
                    if !recording.is_done() {
                        let _ = queue.wait(None)?;
                    }
                }
                Ok(_) => feed.take(number, &burst),
                Err(Error::Eof(Eof::LinkDown)) => {
                    feed.idle();
                    if self.args.once || session.wait_link_after(links, None)? == Linked::Stopped {
                        return Ok(());
                    }
                    // Another peer, perhaps.
                    feed.describe(session.interfaces(self.args.snaplen));
                    another();
                }
                Err(Error::Eof(_)) => return Ok(()),
                // The link goes down; the capture goes on with the next.
                Err(e) if e.kind() == memif::ErrorKind::MalformedMessage => notice(&e),
                Err(e) => return Err(e.into()),
            }
        }
    }
}

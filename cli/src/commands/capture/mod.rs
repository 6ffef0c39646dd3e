//! `memif capture`: what tcpdump does.

use std::sync::Mutex;
use std::thread;
use std::time::Instant;

use memif::pcap::InterfaceInfo;
use memif::{Burst, Eof, Error, PacketSource};

use crate::events::Events;
use crate::failure::Failure;
use crate::files::input;
use crate::files::record::{Feed, Output, Recorder, Recording, Recordings, Setup, Summary};
use crate::link::session::{Linked, Session};
use crate::lock::lock;
use crate::print::Lines;
use crate::report::notice;
use crate::values::some_time;

mod files;
mod observe;
mod options;
mod search;
mod target;

pub(crate) use options::Args;

/// Packets taken from the ring at a time.
const BURST: u16 = 256;

pub(crate) fn run(args: &Args, verbose: u8) -> Result<(), Failure> {
    if args.record.split.is_some() {
        args.check_split()?;
    }
    let paths = args.files()?;
    if let Some(to) = &args.record.write
        && paths.iter().any(|from| input::is_same(from, to))
    {
        return Err(Failure::Usage(format!(
            "{} is also the file that is read; give another name with -w",
            to.display()
        )));
    }
    let events = Events::start()?;
    let file = match paths.first() {
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
    // A file that is read waits as long as it takes.
    let buffer = args.record.buffer().filter(|_| file.is_none());
    let make = |queue: Option<u8>| -> Result<(Box<dyn Output>, Setup), Failure> {
        let setup = Setup {
            filter: args.filter(link_type)?,
            snaplen: args.snaplen,
            limits: args.limits(),
            buffer,
            ends_command: true,
        };
        let output: Box<dyn Output> = match args.record.plan_for(queue)? {
            Some(plan) => Box::new(Recorder::create(plan, link_type, args.snaplen)?),
            None => Box::new(Lines::new(link_type, &args.print, verbose, args.quiet)?),
        };
        Ok((output, setup))
    };
    let silent = args.silent;
    let tell = move |summary: &Summary| {
        if !silent {
            summary.tell();
        }
    };
    // Opened first: what can't be written must not cost a peer's packets. And before a peer is told
    // of: whoever sees that may send signals.
    let split = args.record.split.is_some();
    let recordings = Recordings::start(split, &make, &events, tell)?;
    let recording = recordings.of(0)?;
    let result = match (file, &args.observe) {
        (Some(file), _) => files::read(args, &paths, file, &events, &recording),
        (None, Some(target)) => observe::run(args, target, &events, &recording),
        (None, None) => {
            let session = args.endpoint.open(&events, args.quiet || args.silent);
            // Without one there is nothing to tell.
            let session = session.inspect_err(|_| drop(recording.end()))?;
            read_memif(args, &session, &recordings)
        }
    };
    result.and(recordings.end())
}

fn read_memif(args: &Args, session: &Session, recordings: &Recordings<'_>) -> Result<(), Failure> {
    let load = Some(Box::new(recordings.load()) as _);
    let _serving = args
        .metrics
        .serve("capture", &[session], load, &session.events)?;
    let linked = session.wait_link_after(0, some_time(args.timeout))?;
    let reader = Reader {
        args,
        session,
        recordings,
    };
    // Before any queue brings packets.
    reader.begin(0, &recordings.of(0)?);
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
            let mut started = lock(&started);
            for queue in *started..session.rx_queues() {
                scope.spawn(move || reader.read(queue, &|| {}));
                *started = queue + 1;
            }
        };
        follow();
        reader.read(0, &follow);
    });
    for queue in session.memif.stats().rx_queues {
        let recording = recordings.of(queue.id)?;
        recording.overrun(reader.interface(queue.id), queue.overrun_slots);
    }
    Ok(())
}

/// Takes packets from queues.
struct Reader<'a> {
    args: &'a Args,
    session: &'a Session,
    recordings: &'a Recordings<'a>,
}

impl Reader<'_> {
    /// `another` is called when another link is up.
    fn read(&self, queue: u8, another: &dyn Fn()) {
        let (recording, failed) = match self.recordings.of(queue) {
            Ok(recording) => (Ok(recording), None),
            Err(failure) => (self.recordings.of(0), Some(failure)),
        };
        let Ok(recording) = recording else { return };
        let mut feed = Feed::new(&recording);
        let result = failed.map_or_else(
            || self.read_queue(queue, &recording, &mut feed, another),
            Err,
        );
        if let Err(failure) = result {
            feed.fail(failure);
        }
    }

    /// Of a queue, in the recording that it goes to.
    fn interface(&self, queue: u8) -> u32 {
        if self.recordings.is_split() {
            0
        } else {
            queue.into()
        }
    }

    fn interfaces(&self, queue: u8) -> Vec<InterfaceInfo> {
        let mut all = self.session.interfaces(self.args.snaplen);
        match self.recordings.is_split() && usize::from(queue) < all.len() {
            true => vec![all.swap_remove(queue.into())],
            false => all,
        }
    }

    /// Says where packets of the recording come from, and where it has the numbers of the rings
    /// from, and tells of what it drops.
    fn begin(&self, queue: u8, recording: &Recording) {
        recording.describe(self.interfaces(queue));
        let (memif, dropped) = (self.session.memif.clone(), self.session.dropped.clone());
        let split = self.recordings.is_split();
        recording.watch_rings(move || {
            let queues = memif.stats().rx_queues;
            let mine = queues.iter().filter(|q| !split || q.id == queue);
            mine.map(|q| q.ring_full).collect()
        });
        recording.on_dropped(move |interface, packets| {
            let queue = if split {
                queue
            } else {
                u8::try_from(interface).unwrap_or(u8::MAX)
            };
            dropped.add(queue, packets);
        });
    }

    fn read_queue(
        &self,
        queue: u8,
        recording: &Recording,
        feed: &mut Feed,
        another: &dyn Fn(),
    ) -> Result<(), Failure> {
        let session = self.session;
        let number = self.interface(queue);
        if self.recordings.is_split() {
            self.begin(queue, recording);
        } else if session.links() > 1 {
            // A later link may have brought the queue: not even its first packets come before this.
            feed.describe(self.interfaces(queue));
        }
        let id = queue;
        let mut queue = session.memif.rx_queue(queue)?;
        queue.set_rx_mode(self.args.rx_mode)?;
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
                    feed.describe(self.interfaces(id));
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

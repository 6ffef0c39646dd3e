//! `memif capture`: what tcpdump does.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

use memif::pcap::{CaptureReader, FileReader, InterfaceInfo};
use memif::{Burst, Eof, Error, Memif, PacketSource, RxQueue};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::failure::Failure;
use crate::files::filter::PacketFilter;
use crate::files::input;
use crate::files::record::{Next, Timer};
use crate::link::session::{Linked, Session};
use crate::metrics::Serving;
use crate::report::notice;
use crate::stop::{Request, Requests, Stop};
use crate::values::some_time;

mod options;
mod state;

pub(crate) use options::Args;
use state::State;

/// Packets taken from the ring at a time.
const BURST: u16 = 256;

/// What the threads of a capture share.
struct Capture<'a> {
    args: &'a Args,
    state: Mutex<State>,
    timer: Timer,
}

pub(crate) fn run(args: &Args, verbose: u8) -> Result<(), Failure> {
    if let (Some(from), Some(to)) = (&args.read, &args.record.write)
        && input::is_same(from, to)
    {
        return Err(Failure::Usage(format!(
            "{to} is the file that is read: writing would empty it; give another name with -w"
        )));
    }
    let file = args.read.as_deref().map(input::open).transpose()?;
    let link_type = match &file {
        Some(file) => file.link_type(),
        None => args.endpoint.mode.link_type(),
    };
    let filter = PacketFilter::new(&args.filter, link_type)?;
    // Opened first: what can't be written must not cost a peer's packets.
    let state = State::open(args, link_type, filter, verbose)?;
    let watched = state.pipe();
    let capture = Capture {
        args,
        state: Mutex::new(state),
        timer: Timer::default(),
    };
    // Before a peer is told of: whoever sees that may send signals.
    let mut requests = Requests::new()?;
    let (mut source, stopper) = Source::open(args, file)?;
    let result = thread::scope(|scope| {
        let handle = requests.handle();
        let (capture, stopper) = (&capture, &stopper);
        scope.spawn(move || {
            while let Some(request) = requests.wait() {
                match request {
                    Request::Statistics => capture.state().summary(args),
                    Request::Flush => capture.state().flush(),
                }
            }
        });
        scope.spawn(move || capture.keep_time(stopper));
        if let Some(pipe) = watched {
            scope.spawn(move || capture.watch_reader(&pipe, stopper));
        }
        let result = match &mut source {
            Source::Memif { session, .. } => capture.read_link(session, stopper),
            Source::File(file) => capture.read_file(file, stopper),
        };
        capture.timer.end();
        handle.close();
        result
    });
    let state = capture.state.into_inner();
    let ended = state.unwrap_or_else(PoisonError::into_inner).end(args);
    result.and(ended)
}

/// Where packets come from.
enum Source {
    Memif { session: Session, _serving: Serving },
    File(Box<CaptureReader<FileReader>>),
}

impl Source {
    fn open(
        args: &Args,
        file: Option<CaptureReader<FileReader>>,
    ) -> Result<(Self, Stopper), Failure> {
        if let Some(file) = file {
            let stop = Stop::on_signals(|| {})?;
            return Ok((Self::File(Box::new(file)), Stopper { stop, memif: None }));
        }
        let session = args.endpoint.open(args.quiet || args.silent)?;
        let serving = args.metrics.serve("capture", &[&session])?;
        let stopper = Stopper {
            stop: session.stop.clone(),
            memif: Some(session.memif.clone()),
        };
        Ok((
            Self::Memif {
                session,
                _serving: serving,
            },
            stopper,
        ))
    }
}

/// Ends the reading, from any thread.
struct Stopper {
    stop: Stop,
    memif: Option<Memif>,
}

impl Stopper {
    fn stop(&self) {
        self.stop.set();
        if let Some(memif) = &self.memif {
            memif.close();
        }
    }
}

impl Capture<'_> {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read_link(&self, session: &Session, stopper: &Stopper) -> Result<(), Failure> {
        let args = self.args;
        let queues = (0..args.endpoint.queues)
            .map(|q| session.memif.rx_queue(q))
            .collect::<Result<Vec<_>, _>>()?;
        if session.wait_link_after(0, some_time(args.timeout))? == Linked::Stopped {
            self.state().describe(self.interfaces(session));
            return Ok(());
        }
        self.state().describe(self.interfaces(session));
        thread::scope(|scope| {
            for queue in queues {
                scope.spawn(|| {
                    let result = self.read_queue(session, queue);
                    let mut state = self.state();
                    if let Err(failure) = result {
                        state.fail(failure);
                    }
                    if state.done() {
                        stopper.stop();
                    }
                });
            }
        });
        Ok(())
    }

    fn interfaces(&self, session: &Session) -> Vec<InterfaceInfo> {
        session.interfaces(self.args.endpoint.queues, self.args.snaplen)
    }

    fn read_queue(&self, session: &Session, mut queue: RxQueue) -> Result<(), Failure> {
        queue.set_rx_mode(self.args.rx_mode)?;
        let number = u32::from(queue.id());
        // A filter looks at whole packets.
        let snaplen = self.state().filtered().then_some(u32::MAX);
        let snaplen = snaplen.unwrap_or(self.args.snaplen);
        let new_burst = |size: u16| Burst::new(size).with_snaplen(snaplen);
        let mut burst = new_burst(BURST);
        let counted = self.state().left().is_some();
        loop {
            if counted {
                // Near the end no more than is wanted, so that the rest stays with the peer.
                let taken = self.state().left().unwrap_or(0);
                if taken < u64::from(BURST) && taken > 0 && burst.capacity() as u64 != taken {
                    burst = new_burst(taken as u16);
                }
            }
            let links = session.links();
            match queue.rx_burst(&mut burst) {
                Ok(0) => {
                    if !self.rest() {
                        queue.wait(None)?;
                    }
                }
                Ok(_) => {
                    let dropped = self.state().take(number, &burst);
                    session.dropped.add(queue.id(), dropped);
                }
                Err(Error::Eof(Eof::LinkDown)) => {
                    if self.rest()
                        || self.args.once
                        || session.wait_link_after(links, None)? == Linked::Stopped
                    {
                        return Ok(());
                    }
                    // Another peer, perhaps.
                    self.state().describe(self.interfaces(session));
                }
                Err(Error::Eof(_)) => return Ok(()),
                // The link goes down; the capture goes on with the next.
                Err(e) if e.kind() == memif::ErrorKind::MalformedMessage => notice(&e),
                Err(e) => return Err(e.into()),
            }
            if self.state().done() {
                return Ok(());
            }
        }
    }

    /// Nothing is waiting: lets out what is held back. True when all is done.
    fn rest(&self) -> bool {
        let mut state = self.state();
        state.idle();
        state.done()
    }

    fn read_file(
        &self,
        file: &mut CaptureReader<FileReader>,
        stopper: &Stopper,
    ) -> Result<(), Failure> {
        let path = self.args.read.as_deref().unwrap_or(Path::new("-"));
        let mut info = InterfaceInfo::new("file", file.link_type());
        info.description = path.display().to_string();
        info.snaplen = self.args.snaplen;
        self.state().describe(vec![info]);
        while !stopper.stop.is_set() {
            let packet = match file.read_packet() {
                Ok(packet) => packet,
                Err(Error::Eof(_)) => break,
                Err(e) => return Err(e.into()),
            };
            let mut state = self.state();
            state.take(0, [packet]);
            if state.done() {
                break;
            }
        }
        Ok(())
    }

    /// Looks at the clock where that decides something: files that end by time, and the capture.
    fn keep_time(&self, stopper: &Stopper) {
        let stop_at = self.args.record.stop().duration.map(|d| Instant::now() + d);
        self.timer.run(|| {
            let mut state = self.state();
            state.tick();
            if stop_at.is_some_and(|at| at <= Instant::now()) || state.done() {
                drop(state);
                stopper.stop();
                return Next::Never;
            }
            Next::first([stop_at, state.deadline()])
        });
    }

    /// Ends the capture when whoever reads the pipe has gone, also while no packet comes.
    fn watch_reader(&self, pipe: &OwnedFd, stopper: &Stopper) {
        while !self.timer.has_ended() {
            let mut polled = [PollFd::new(pipe.as_fd(), PollFlags::empty())];
            match poll(&mut polled, PollTimeout::from(200u8)) {
                Ok(0) | Err(Errno::EINTR) => {}
                _ => {
                    self.state().fail(Failure::NobodyReads);
                    stopper.stop();
                    return;
                }
            }
        }
    }
}

//! Finding the links to observe, beside their reading: a search takes some 20 ms, in which a fast
//! link goes round its ring many times.

use std::collections::HashSet;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use memif::observe::{self, Link, LinkId, Observer};
use memif::{Error, ErrorKind, LinkType};

use super::options::Args;
use super::target::Target;
use crate::metrics::observed::tell_hidden;
use crate::report::notice;

/// What a search has found.
pub(super) enum Found {
    Link(Link, Observer),
    /// A link that is there and can't be read: it was said why.
    Unreadable,
    /// Nothing, and none is read.
    Nothing,
    Failed(Error),
}

/// The thread that searches; it ends with this.
pub(super) struct Search {
    found: Receiver<Found>,
    again: Sender<()>,
}

impl Search {
    pub(super) fn start(args: &Args, target: &Target) -> Self {
        let (tell, found) = mpsc::channel();
        let (again, asked) = mpsc::channel();
        let mut searcher = Searcher {
            target: target.clone(),
            allow_unsealed: args.endpoint.allow_unsealed,
            to_master: args.to_master,
            regions: args.regions.clone(),
            link_type: args.endpoint.mode.link_type(),
            tell,
            told: false,
            reading: 0,
            known: HashSet::new(),
            sockets: HashSet::new(),
        };
        thread::spawn(move || searcher.run(&asked));
        Self { found, again }
    }

    /// What was found since; waits so long for the first.
    pub(super) fn found(&self, wait: Duration) -> Option<Found> {
        match wait.is_zero() {
            true => self.found.try_recv().ok(),
            false => self.found.recv_timeout(wait).ok(),
        }
    }

    /// A link that was found is gone: searches for the next without delay.
    pub(super) fn lost_one(&self) {
        let _ = self.again.send(());
    }
}

struct Searcher {
    target: Target,
    allow_unsealed: bool,
    to_master: Option<usize>,
    regions: Vec<u64>,
    link_type: LinkType,
    tell: Sender<Found>,
    /// It was said what can't be examined.
    told: bool,
    /// Links that were found and are not gone.
    reading: usize,
    /// Links that are read, were, or can't be.
    known: HashSet<LinkId>,
    /// The sockets of those that were read: whoever comes back comes there.
    sockets: HashSet<String>,
}

impl Searcher {
    fn run(&mut self, asked: &Receiver<()>) {
        loop {
            let start = Instant::now();
            if let Err(e) = self.search() {
                let _ = self.tell.send(Found::Failed(e));
                return;
            }
            if self.reading == 0 {
                let _ = self.tell.send(Found::Nothing);
            }
            let cost = start.elapsed();
            // Soon where none is read, as one that came back is to be seen from its start, and
            // otherwise late, as it costs.
            let pause = match self.reading {
                0 => (cost * 10).max(Duration::from_millis(20)),
                _ => (cost * 100).max(Duration::from_secs(1)),
            };
            match asked.recv_timeout(pause) {
                Ok(()) => self.reading = self.reading.saturating_sub(1),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn matches(&self, link: &Link) -> bool {
        let on = |socket: &String| link.sockets().contains(socket);
        match &self.target {
            Target::Any => true,
            Target::Inode(inode) => link.id().inode() == *inode || self.sockets.iter().any(on),
            Target::Socket(socket) => on(socket),
            Target::Pid(pid) => {
                link.processes().iter().any(|p| p.pid == *pid) || self.sockets.iter().any(on)
            }
        }
    }

    fn search(&mut self) -> Result<(), Error> {
        let found = observe::links()?;
        if !self.told && found.links.iter().all(|link| !self.matches(link)) {
            tell_hidden(&found.hidden);
        }
        self.told = true;
        let own = |link: &Link| link.processes().iter().all(|p| p.pid == std::process::id());
        for link in found.links {
            if self.known.contains(&link.id()) || own(&link) || !self.matches(&link) {
                continue;
            }
            let id = link.id();
            let found = match self.attach(&link) {
                Ok(observer) => {
                    self.reading += 1;
                    self.sockets.extend(link.socket().map(str::to_owned));
                    Found::Link(link, observer)
                }
                // Not yet.
                Err(e) if e.kind() == ErrorKind::Again => continue,
                Err(e) => {
                    if link.is_up() {
                        notice(&e);
                    }
                    Found::Unreadable
                }
            };
            self.known.insert(id);
            let _ = self.tell.send(found);
        }
        Ok(())
    }

    fn attach(&self, link: &Link) -> Result<Observer, Error> {
        Observer::of(link)
            .allow_unsealed(self.allow_unsealed)
            .rings_to_master(self.to_master)
            .regions(&self.regions)
            .link_type(self.link_type)
            .attach()
    }
}

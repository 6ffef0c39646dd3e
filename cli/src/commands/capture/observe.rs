//! `memif capture --observe`: the packets of links between other processes.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use memif::observe::{self, Counts, Direction as Way, Link, LinkId, Observer, ObserverBuilder};
use memif::pcap::InterfaceInfo;
use memif::{Burst, Direction, Eof, Error, ErrorKind, LinkType};

use super::options::Args;
use super::target::Target;
use crate::events::Events;
use crate::failure::Failure;
use crate::files::record::Recording;
use crate::metrics::observed::tell_hidden;
use crate::report::notice;
use crate::values::some_time;

/// Packets taken from a ring at a time.
const BURST: u16 = 256;

/// A link that is being read.
struct Watched {
    link: Link,
    /// The number of its first ring among the interfaces.
    base: u32,
    /// Of each ring, what the recording has been told of.
    told: Vec<Counts>,
}

struct Observing<'a> {
    args: &'a Args,
    target: &'a Target,
    recording: &'a Recording,
    link_type: LinkType,
    observers: Vec<Observer>,
    /// As many.
    watched: Vec<Watched>,
    /// Links that are read, were, or can't be.
    known: HashSet<LinkId>,
    /// The sockets of those that were read: whoever comes back comes there.
    sockets: HashSet<String>,
    next_search: Instant,
}

pub(super) fn run(
    args: &Args,
    target: &Target,
    events: &Events,
    recording: &Recording,
) -> Result<(), Failure> {
    let mut this = Observing {
        args,
        target,
        recording,
        link_type: args.endpoint.mode.link_type(),
        observers: Vec::new(),
        watched: Vec::new(),
        known: HashSet::new(),
        sockets: HashSet::new(),
        next_search: Instant::now(),
    };
    let limit = some_time(args.timeout).and_then(|time| Instant::now().checked_add(time));
    // A filter looks at whole packets.
    let snaplen = match recording.filters() {
        true => u32::MAX,
        false => args.snaplen,
    };
    let mut burst = Burst::new(BURST).with_snaplen(snaplen);
    let mut waiting = false;
    while !recording.is_done() && !events.is_stopped() {
        if Instant::now() >= this.next_search {
            this.search()?;
        }
        if this.known.is_empty() && limit.is_some_and(|at| at <= Instant::now()) {
            return Err(Failure::Failed(format!("no link of {target} was found")));
        }
        if this.observers.is_empty() {
            if args.once && !this.known.is_empty() {
                return Ok(());
            }
            if !waiting && !args.quiet && !args.silent {
                notice(format_args!("waiting for a link of {target}"));
            }
            waiting = true;
            events.sleep(this.next_search.saturating_duration_since(Instant::now()));
            continue;
        }
        waiting = false;
        if !this.read(&mut burst) {
            recording.idle();
            const LONGEST: Duration = Duration::from_millis(100);
            let left = this.next_search.saturating_duration_since(Instant::now());
            match Observer::wait_any(&mut this.observers, Some(left.min(LONGEST))) {
                // Which it is, the rings tell.
                Ok(_) | Err(Error::TimedOut) => {}
                Err(e) => return Err(e.into()),
            }
        }
    }
    for at in 0..this.watched.len() {
        this.account(at);
    }
    Ok(())
}

impl Observing<'_> {
    fn matches(&self, link: &Link) -> bool {
        let on = |socket: &String| link.sockets().contains(socket);
        match self.target {
            Target::Any => true,
            Target::Inode(inode) => link.id().inode() == *inode || self.sockets.iter().any(on),
            Target::Socket(socket) => on(socket),
            Target::Pid(pid) => {
                link.processes().iter().any(|p| p.pid == *pid) || self.sockets.iter().any(on)
            }
        }
    }

    /// Joins the links that are new. The next search is soon where none is read, as one that came
    /// back is to be seen from its start, and otherwise late, as it costs.
    fn search(&mut self) -> Result<(), Failure> {
        let start = Instant::now();
        let first = self.known.is_empty();
        let found = observe::links()?;
        if first && found.links.iter().all(|link| !self.matches(link)) {
            tell_hidden(&found.hidden);
        }
        let own = |link: &Link| link.processes().iter().all(|p| p.pid == std::process::id());
        let mut joined = false;
        for link in &found.links {
            if self.known.contains(&link.id()) || own(link) || !self.matches(link) {
                continue;
            }
            match self.join(link) {
                Ok(()) => joined = true,
                // Not yet.
                Err(e) if e.kind() == ErrorKind::Again => continue,
                Err(e) if link.is_up() => notice(&e),
                Err(_) => {}
            }
            self.known.insert(link.id());
        }
        if joined {
            self.describe();
        }
        let cost = start.elapsed();
        let pause = match self.observers.is_empty() {
            true => (cost * 10).max(Duration::from_millis(20)),
            false => (cost * 100).max(Duration::from_secs(1)),
        };
        self.next_search = Instant::now() + pause;
        Ok(())
    }

    fn join(&mut self, link: &Link) -> Result<(), Error> {
        let builder: ObserverBuilder<'_> = Observer::of(link)
            .allow_unsealed(self.args.endpoint.allow_unsealed)
            .rings_to_master(self.args.to_master)
            .regions(&self.args.regions)
            .link_type(self.link_type);
        let mut observer = builder.attach()?;
        if !self.args.quiet && !self.args.silent {
            notice(format_args!("observing {link}"));
        }
        self.sockets.extend(link.socket().map(str::to_owned));
        self.watched.push(Watched {
            told: vec![Counts::default(); observer.rings().len()],
            link: link.clone(),
            base: 0,
        });
        self.observers.push(observer);
        Ok(())
    }

    /// The rings of all links are interfaces, numbered through.
    fn describe(&mut self) {
        for at in 0..self.watched.len() {
            self.account(at);
        }
        let mut interfaces = Vec::new();
        for (observer, watched) in self.observers.iter_mut().zip(&mut self.watched) {
            watched.base = interfaces.len() as u32;
            for ring in observer.rings() {
                let way = match ring.direction() {
                    Way::ToMaster => "to-master",
                    Way::ToSlave => "to-slave",
                };
                let name = format!("{way}/{}", ring.queue());
                let mut info = InterfaceInfo::new(name, self.link_type);
                info.description = format!(
                    "{}, {}, queue {}",
                    watched.link,
                    ring.direction(),
                    ring.queue()
                );
                info.snaplen = Some(self.args.snaplen);
                interfaces.push(info);
            }
        }
        self.recording.describe(interfaces);
    }

    /// A burst of each ring. False when there was nothing.
    fn read(&mut self, burst: &mut Burst) -> bool {
        let mut any = false;
        let mut at = 0;
        while at < self.observers.len() {
            let (mut up, base) = (false, self.watched[at].base);
            for (number, ring) in (base..).zip(self.observers[at].rings()) {
                match ring.rx_burst(burst) {
                    Ok(0) => up = true,
                    Ok(_) => {
                        // As the master sees it.
                        let way = match ring.direction() {
                            Way::ToMaster => Direction::Inbound,
                            Way::ToSlave => Direction::Outbound,
                        };
                        self.recording.take_as(number, way, &*burst);
                        (up, any) = (true, true);
                    }
                    Err(Error::Eof(Eof::LinkDown)) => {}
                    // The others of the link go on.
                    Err(e) => notice(&e),
                }
            }
            if up {
                at += 1;
                continue;
            }
            self.account(at);
            let gone = self.watched.remove(at);
            self.observers.remove(at);
            if !self.args.quiet && !self.args.silent {
                notice(format_args!("{} is gone", gone.link));
            }
            self.next_search = Instant::now();
        }
        any
    }

    /// Tells the recording what was missed since it was told last.
    fn account(&mut self, at: usize) {
        let watched = &mut self.watched[at];
        let rings = self.observers[at].rings().iter();
        for ((number, ring), told) in (watched.base..).zip(rings).zip(&mut watched.told) {
            let counts = ring.counts();
            let missed = counts.missed.saturating_sub(told.missed);
            self.recording.missed(number, missed, counts.at_least);
            *told = counts;
        }
    }
}

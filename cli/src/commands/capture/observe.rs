//! `memif capture --observe`: the packets of links between other processes.

use std::time::{Duration, Instant};

use memif::observe::{Counts, Direction as Way, Link, Observer};
use memif::pcap::InterfaceInfo;
use memif::{Burst, Direction, Eof, Error};

use super::options::Args;
use super::search::{Found, Search};
use super::target::Target;
use crate::events::Events;
use crate::failure::Failure;
use crate::files::record::{Feed, Recording};
use crate::report::notice;
use crate::values::some_time;

/// Packets taken from a ring at a time.
const BURST: u16 = 256;

/// Between two looks at what was found, and at signals, while no packets come.
const PAUSE: Duration = Duration::from_millis(10);

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
    events: &'a Events,
    feed: Feed,
    search: Search,
    /// Whether there was a link, be it one that can't be read.
    any: bool,
    /// The last search found none.
    none: bool,
    observers: Vec<Observer>,
    /// As many.
    watched: Vec<Watched>,
}

pub(super) fn run(
    args: &Args,
    target: &Target,
    events: &Events,
    recording: &Recording,
) -> Result<(), Failure> {
    let mut this = Observing {
        args,
        events,
        feed: Feed::new(recording),
        search: Search::start(args, target),
        any: false,
        none: false,
        observers: Vec::new(),
        watched: Vec::new(),
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
        let idle = this.observers.is_empty();
        // Signals are looked for as often.
        this.join(if idle { PAUSE } else { Duration::ZERO })?;
        if this.none && !this.any && limit.is_some_and(|at| at <= Instant::now()) {
            return Err(Failure::Failed(format!("no link of {target} was found")));
        }
        if this.observers.is_empty() {
            if args.once && this.any {
                return Ok(());
            }
            if this.none && !waiting && !args.quiet && !args.silent {
                notice(format_args!("waiting for a link of {target}"));
            }
            waiting = this.none;
            continue;
        }
        waiting = false;
        if !this.read(&mut burst) {
            this.feed.idle();
            match Observer::wait_any(&mut this.observers, Some(PAUSE)) {
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
    /// Takes up the links that were found since.
    fn join(&mut self, wait: Duration) -> Result<(), Failure> {
        let mut joined = false;
        let mut found = self.search.found(wait);
        while let Some(one) = found {
            match one {
                Found::Link(link, mut observer) => {
                    if !self.args.quiet && !self.args.silent {
                        notice(format_args!("observing {link}"));
                    }
                    self.watched.push(Watched {
                        told: vec![Counts::default(); observer.rings().len()],
                        link,
                        base: 0,
                    });
                    self.observers.push(observer);
                    (joined, self.any) = (true, true);
                }
                Found::Unreadable => self.any = true,
                Found::Nothing => self.none = true,
                Found::Failed(e) => return Err(e.into()),
            }
            found = self.search.found(Duration::ZERO);
        }
        if joined {
            self.describe();
        }
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
                let mut info = InterfaceInfo::new(name, self.args.endpoint.mode.link_type());
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
        self.feed.describe(interfaces);
    }

    /// A burst of each ring. False when there was nothing.
    fn read(&mut self, burst: &mut Burst) -> bool {
        let mut any = false;
        let mut at = 0;
        while at < self.observers.len() {
            let (mut up, base) = (false, self.watched[at].base);
            for (number, ring) in (base..).zip(self.observers[at].rings()) {
                // What passes meanwhile is missed, and counted.
                self.feed.wait_for_room(self.events);
                match ring.rx_burst(burst) {
                    Ok(0) => up = true,
                    Ok(_) => {
                        // As the master sees it.
                        let way = match ring.direction() {
                            Way::ToMaster => Direction::Inbound,
                            Way::ToSlave => Direction::Outbound,
                        };
                        self.feed.take_as(number, Some(way), &*burst);
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
            self.search.lost_one();
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
            self.feed.missed(number, missed, counts.at_least);
            *told = counts;
        }
    }
}

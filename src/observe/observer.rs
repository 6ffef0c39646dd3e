//! Reading the packets of a link that belongs to others.

use std::fmt;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::directions::{of_rings, rings_to_master};
use super::link::{Direction, Link, refused};
use super::pace::Pace;
use super::regions;
use crate::error::{Eof, Error, ErrorKind};
use crate::ffi::view::{View, Watch};
use crate::packet::Packet;
use crate::packet::link_type::LinkType;
use crate::packet::source::PacketSource;
use crate::queue::{Burst, Wait};

/// How a link is read; [`Observer::of`] begins it.
#[derive(Clone, Debug)]
#[must_use]
pub struct ObserverBuilder<'a> {
    link: &'a Link,
    allow_unsealed: bool,
    to_master: Option<usize>,
    regions: &'a [u64],
    link_type: LinkType,
}

impl<'a> ObserverBuilder<'a> {
    /// Reads memory too that its owners could shrink, which would kill this process (SIGBUS):
    /// huge pages, as zero-copy DPDK has them.
    pub fn allow_unsealed(mut self, allow: bool) -> Self {
        self.allow_unsealed = allow;
        self
    }

    /// How many rings lead to the master, where that can't be told from outside.
    pub fn rings_to_master(mut self, rings: Option<usize>) -> Self {
        self.to_master = rings;
        self
    }

    /// The inodes of the regions from number 1 on, where those can't be told from outside.
    pub fn regions(mut self, inodes: &'a [u64]) -> Self {
        self.regions = inodes;
        self
    }

    /// What packets begin with, which is not to be seen from outside: Ethernet, unless set.
    pub fn link_type(mut self, link_type: LinkType) -> Self {
        self.link_type = link_type;
        self
    }

    /// Begins to read: with the packets that wait in the rings now.
    ///
    /// # Errors
    ///
    /// [`Error::Memif`] with the reason when the link is gone, its memory is not found, could
    /// shrink and that was not allowed, or the directions of its rings can't be told yet
    /// ([`ErrorKind::Again`]).
    pub fn attach(self) -> Result<Observer, Error> {
        let link = self.link;
        let files = regions::find(link, self.regions)?;
        let fds: Vec<_> = files.iter().map(AsFd::as_fd).collect();
        let view = View::open(&fds, self.allow_unsealed).map_err(|e| refused(link, e))?;
        let split = self.to_master.filter(|n| *n <= link.rings.len());
        let split = split.or_else(|| rings_to_master(&link.states(&view)));
        let Some(split) = split else {
            let why = "which way its rings lead can't be told before packets have passed";
            return Err(Error::memif(
                ErrorKind::Again,
                format!("observing {link}: {why}"),
            ));
        };
        let view = Arc::new(view);
        let presence = Arc::new(Presence::new(link));
        let directions = of_rings(link.rings.len(), Some(split));
        let mut readers = Vec::new();
        for (number, (ring, (direction, queue))) in link.rings.iter().zip(directions).enumerate() {
            let direction = direction.unwrap_or(Direction::ToMaster);
            let to_slave = direction == Direction::ToSlave;
            let watch = Watch::new(Arc::clone(&view), *ring, to_slave)
                .ok_or_else(|| refused(link, "a ring lies outside of its memory"))?;
            readers.push(RingReader {
                watch,
                presence: Arc::clone(&presence),
                direction,
                queue,
                number: number as u32,
                link_type: self.link_type,
                burst: Burst::new(64),
                next: 0,
                pace: Pace::new(),
                ended: false,
            });
        }
        Ok(Observer {
            readers,
            presence,
            pace: Pace::new(),
        })
    }
}

/// Reads the packets of a link between other processes, which do not notice.
///
/// Packets that can't be known to be whole, as their sender may have written to them while they
/// were read, are counted as missed and not delivered.
///
/// ```
/// use memif::observe::{self, Observer};
/// use memif::PacketSource;
/// # use memif::{Context, MemifConfig, Role};
/// # let context = Context::new("doc")?;
/// # let socket = format!("@memif-doc-observer-{}", std::process::id());
/// # let master = context.create_interface(MemifConfig::new(&socket).role(Role::Master))?;
/// # let slave = context.create_interface(MemifConfig::new(&socket))?;
/// # slave.wait_link_up(None)?;
/// # master.wait_link_up(None)?;
///
/// let links = observe::links()?.links;
/// # let pid = std::process::id();
/// let link = links.iter().find(|l| l.processes().iter().any(|p| p.pid == pid));
/// let mut observer = Observer::of(link.unwrap()).attach()?;
/// # slave.tx_queue(0)?.tx_burst(&[b"a packet"])?;
/// observer.wait(None)?;
/// for ring in observer.rings() {
///     while let Ok(packet) = ring.read_packet() {
///         println!("{} bytes", packet.len());
///     }
///     println!("{}, {} missed", ring.direction(), ring.counts().missed);
/// }
/// # Ok::<(), memif::Error>(())
/// ```
#[derive(Debug)]
pub struct Observer {
    readers: Vec<RingReader>,
    presence: Arc<Presence>,
    pace: Pace,
}

impl Observer {
    /// Prepares to read this link.
    pub fn of(link: &Link) -> ObserverBuilder<'_> {
        ObserverBuilder {
            link,
            allow_unsealed: false,
            to_master: None,
            regions: &[],
            link_type: LinkType::ETHERNET,
        }
    }

    /// The rings, in their order in memory: those to the master first.
    pub fn rings(&mut self) -> &mut [RingReader] {
        &mut self.readers
    }

    /// The rings, to be read by several threads.
    pub fn into_rings(self) -> Vec<RingReader> {
        self.readers
    }

    /// Whether the link is still there, as of the last look at its processes.
    pub fn is_up(&self) -> bool {
        self.presence.check()
    }

    /// Waits until a ring has packets, or the link ends. There is nothing that could wake an
    /// observer, so it looks again and again: without a pause where packets would be missed
    /// otherwise, each 50 µs while packets come, and some 500 times a second when none do.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`].
    pub fn wait(&mut self, timeout: Option<Duration>) -> Result<Wait, Error> {
        Self::wait_any(std::slice::from_mut(self), timeout)
    }

    /// As [`wait`](Self::wait), for packets of any of several links, or for the end of one.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`].
    pub fn wait_any(observers: &mut [Self], timeout: Option<Duration>) -> Result<Wait, Error> {
        let mut pace = observers.first().map_or_else(Pace::new, |o| o.pace);
        let presences: Vec<_> = observers.iter().map(|o| Arc::clone(&o.presence)).collect();
        let is_up = || presences.iter().all(|presence| presence.check());
        let readers = observers.iter_mut().flat_map(|o| &mut o.readers);
        let mut readers: Vec<_> = readers.filter(|r| !r.ended).collect();
        let mut ready = || {
            let waiting = readers.iter_mut().map(|r| r.waiting());
            waiting.max().unwrap_or((0, 0))
        };
        let wait = pace.wait(timeout, &is_up, &mut ready);
        if let Some(first) = observers.first_mut() {
            first.pace = pace;
        }
        wait
    }
}

/// One ring of a link between others.
pub struct RingReader {
    watch: Watch,
    presence: Arc<Presence>,
    direction: Direction,
    queue: u16,
    number: u32,
    link_type: LinkType,
    burst: Burst,
    next: usize,
    pace: Pace,
    ended: bool,
}

impl RingReader {
    /// Which way its packets go.
    pub fn direction(&self) -> Direction {
        self.direction
    }

    /// Its queue in this direction, from 0.
    pub fn queue(&self) -> u16 {
        self.queue
    }

    /// What was seen of it so far.
    pub fn counts(&self) -> Counts {
        let counts = self.watch.counts();
        Counts {
            delivered: counts.delivered,
            missed: counts.missed,
            at_least: counts.at_least != 0,
        }
    }

    /// Reads a burst of packets; 0 when there are none now. Never blocks.
    ///
    /// # Errors
    ///
    /// [`Eof::LinkDown`] after the last packet of a link that is gone.
    /// [`ErrorKind::MalformedMessage`] when the ring contradicts itself: nothing more comes from
    /// it.
    pub fn rx_burst(&mut self, burst: &mut Burst) -> Result<usize, Error> {
        if self.ended {
            return Err(Eof::LinkDown.into());
        }
        // Before the ring is looked at: what was sent before the end is seen then.
        let up = self.presence.check();
        let watch = &mut self.watch;
        let read = burst.fill(self.number, |arena, snaplen, records| {
            watch.look(arena, snaplen, records)
        });
        match read {
            Ok((0, _)) if !up => {
                self.ended = true;
                Err(Eof::LinkDown.into())
            }
            Ok((received, _)) => Ok(received),
            Err(why) => {
                self.ended = true;
                Err(Error::memif(
                    ErrorKind::MalformedMessage,
                    format!(
                        "observing the ring {} {}: {why}",
                        self.direction, self.queue
                    ),
                ))
            }
        }
    }

    /// As [`Observer::wait`], of this ring alone.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`].
    pub fn wait(&mut self, timeout: Option<Duration>) -> Result<Wait, Error> {
        if self.next < self.burst.len() {
            return Ok(Wait::Ready);
        }
        if self.ended {
            return Ok(Wait::LinkDown);
        }
        let (presence, mut pace) = (Arc::clone(&self.presence), self.pace);
        let wait = pace.wait(timeout, &|| presence.check(), &mut || self.waiting());
        self.pace = pace;
        wait
    }

    /// Slots that wait, and that stay readable.
    fn waiting(&mut self) -> (u32, u16) {
        let read = u32::from(self.next < self.burst.len());
        (u32::from(self.watch.behind()) + read, self.watch.window())
    }
}

impl PacketSource for RingReader {
    fn read_packet(&mut self) -> Result<Packet<'_>, Error> {
        if self.next >= self.burst.len() {
            let mut burst = std::mem::replace(&mut self.burst, Burst::new(1).with_snaplen(1));
            let read = self.rx_burst(&mut burst);
            self.burst = burst;
            self.next = 0;
            if read? == 0 {
                return Err(Eof::Empty.into());
            }
        }
        self.next += 1;
        self.burst
            .get(self.next - 1)
            .ok_or_else(|| Eof::Empty.into())
    }

    fn link_type(&self) -> LinkType {
        self.link_type
    }
}

impl fmt::Debug for RingReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RingReader")
            .field("direction", &self.direction)
            .field("queue", &self.queue)
            .field("counts", &self.counts())
            .finish_non_exhaustive()
    }
}

/// What was seen of a ring.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Packets that were delivered.
    pub delivered: u64,
    /// Packets that passed and could not be read, or not be known to be whole.
    pub missed: u64,
    /// There may have been more of them: the counters of a ring have 16 bits, and a packet takes
    /// an unknown number of slots, supposed to be no more than the longest that was seen.
    pub at_least: bool,
}

/// Whether a link is still there. All its readers ask, and now and then one of them looks.
#[derive(Debug)]
pub(super) struct Presence {
    link: Link,
    start: Instant,
    /// Milliseconds since the start.
    next_look: AtomicU64,
    gone: AtomicBool,
}

impl Presence {
    fn new(link: &Link) -> Self {
        Self {
            link: link.clone(),
            start: Instant::now(),
            next_look: AtomicU64::new(0),
            gone: AtomicBool::new(false),
        }
    }

    pub(super) fn check(&self) -> bool {
        /// A look reads the memory maps of two processes.
        const INTERVAL: u64 = 100;
        if self.gone.load(Ordering::Acquire) {
            return false;
        }
        let now = self.start.elapsed().as_millis() as u64;
        let due = self.next_look.load(Ordering::Relaxed);
        let (set, read) = (Ordering::Relaxed, Ordering::Relaxed);
        let next = now + INTERVAL;
        if now < due
            || self
                .next_look
                .compare_exchange(due, next, set, read)
                .is_err()
        {
            return true;
        }
        let up = self.link.is_up();
        if !up {
            self.gone.store(true, Ordering::Release);
        }
        up
    }
}

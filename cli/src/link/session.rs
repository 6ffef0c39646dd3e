//! An open link: waiting for it, and what it tells of itself.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use memif::pcap::InterfaceInfo;
use memif::{Context, Error, ErrorKind, Memif, MemifConfig, Role};

use crate::events::Events;
use crate::failure::Failure;
use crate::link::known::{Advice, too_large_for_vpp};
use crate::link::refusal::{Refusal, UNKNOWN_ID_PATIENCE, nobody_listens, refusal, refused};
use crate::report::{notice, notice_later};

/// An interface whose control thread runs, and which tells when it connects and is left.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) memif: Memif,
    pub(crate) events: Events,
    quiet: bool,
    /// How many links there have been, the one that is up included.
    links: Arc<AtomicU64>,
    /// How many of them have gone down.
    lost: Arc<AtomicU64>,
    /// Whether what is read goes to the next link, too.
    reads_on: Arc<AtomicBool>,
    pub(crate) dropped: Dropped,
    _context: Arc<Context>,
}

/// Packets of each receive queue that the command received, or was given, and did not pass on.
#[derive(Clone, Debug)]
pub(crate) struct Dropped(Arc<[AtomicU64]>);

impl Dropped {
    fn new() -> Self {
        Self((0..u8::MAX).map(|_| AtomicU64::new(0)).collect())
    }

    pub(crate) fn add(&self, queue: u8, packets: u64) {
        self.0[usize::from(queue)].fetch_add(packets, Ordering::Relaxed);
    }

    pub(crate) fn set(&self, queue: u8, packets: u64) {
        self.0[usize::from(queue)].store(packets, Ordering::Relaxed);
    }

    pub(crate) fn get(&self, queue: u8) -> u64 {
        self.0
            .get(usize::from(queue))
            .map_or(0, |n| n.load(Ordering::Relaxed))
    }
}

/// Between two looks at why there is no link.
const STEP: Duration = Duration::from_millis(200);

const PERMISSION_PATIENCE: Duration = Duration::from_secs(1);

/// What ended a wait for the link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Linked {
    Up,
    Stopped,
}

impl Session {
    /// Creates the interface, which is closed when the command is stopped. The role and queues are
    /// the config's.
    pub(crate) fn open(
        context: Arc<Context>,
        config: MemifConfig,
        role: Role,
        quiet: bool,
        events: &Events,
    ) -> Result<Self, Failure> {
        // The library's log tells the same.
        let quietly = quiet || log::log_enabled!(target: "memif::core", log::Level::Info);
        let links = Arc::<AtomicU64>::default();
        let lost = Arc::<AtomicU64>::default();
        let reads_on = Arc::<AtomicBool>::default();
        let (counted, gone) = (Arc::clone(&links), Arc::clone(&lost));
        let goes_on = Arc::clone(&reads_on);
        let interrupted = events.clone();
        let config = config
            .on_connect(move |memif| {
                counted.fetch_add(1, Ordering::Release);
                if !quietly && let Ok(details) = memif.details() {
                    notice_later(format_args!(
                        "{memif}: connected to {}, interface {}",
                        shown(&details.remote_name),
                        shown(&details.remote_interface_name)
                    ));
                    if let Some(Advice { what, to_do }) = too_large_for_vpp(&details) {
                        notice_later(format_args!("{memif}: {what}; {to_do}"));
                    }
                }
            })
            .on_disconnect(move |memif| {
                gone.fetch_add(1, Ordering::Release);
                // Whoever reads a file for this peer need not go on.
                if !goes_on.load(Ordering::Relaxed) {
                    interrupted.interrupt();
                }
                if !quietly && let Ok(details) = memif.details() {
                    notice_later(format_args!("{memif}: disconnected: {}", details.error));
                }
            });
        let memif = context.create_interface(config).map_err(|e| {
            let hint = match (role, e.kind()) {
                (Role::Slave, _) => "",
                (Role::Master, ErrorKind::Already) => {
                    "connect to it with --role slave, or use another path"
                }
                (_, _) => "a master needs an unused path in a folder it may write to",
            };
            Failure::from(e).hint(hint)
        })?;
        let closed = memif.clone();
        events.on_stop(move || closed.close());
        Ok(Self {
            memif,
            events: events.clone(),
            quiet,
            links,
            lost,
            reads_on,
            dropped: Dropped::new(),
            _context: context,
        })
    }

    /// From now on a link that goes down ends no read.
    pub(crate) fn reads_on(&self) {
        self.reads_on.store(true, Ordering::Relaxed);
    }

    /// Tells of this link, unless it is to be quiet.
    pub(crate) fn say(&self, what: impl fmt::Display) {
        if !self.quiet {
            notice(format_args!("{}: {what}", self.memif));
        }
    }

    /// How many links there have been so far.
    pub(crate) fn links(&self) -> u64 {
        self.links.load(Ordering::Acquire)
    }

    /// How many links have gone down so far. Never blocks.
    pub(crate) fn lost_links(&self) -> u64 {
        self.lost.load(Ordering::Acquire)
    }

    /// How many receive queues any link has had so far, at least 1.
    pub(crate) fn rx_queues(&self) -> u8 {
        u8::try_from(self.memif.stats().rx_queues.len()).unwrap_or(u8::MAX)
    }

    /// What a capture file says of the link's queues: with the peer's name, once there is one.
    pub(crate) fn interfaces(&self, snaplen: u32) -> Vec<InterfaceInfo> {
        let memif = &self.memif;
        let queues = self.rx_queues();
        let details = memif.details().ok();
        let peer = details.map(|d| (d.remote_name, d.remote_interface_name));
        let info = |queue: u8| {
            let several = queues > 1;
            let mut name = format!("memif{}", memif.id());
            let mut about = format!("memif id {} on {}", memif.id(), memif.socket().display());
            if several {
                name = format!("{name}/{queue}");
                about = format!("{about}, queue {queue}");
            }
            if let Some((program, interface)) = &peer
                && !(program.is_empty() && interface.is_empty())
            {
                about = format!("{about}, peer {} {}", shown(program), shown(interface));
            }
            let mut info = InterfaceInfo::new(name, memif.mode().link_type());
            info.description = about;
            info.snaplen = Some(snaplen);
            info
        };
        (0..queues).map(info).collect()
    }

    /// Waits for the link, at most `limit`, and says what for. May be called by several threads.
    pub(crate) fn wait_link(&self, limit: Option<Duration>) -> Result<Linked, Failure> {
        self.wait_link_after(u64::MAX, limit)
    }

    /// As `wait_link`, for readers: content also with a link that is down again, where it came
    /// after so many others. It may have left packets.
    pub(crate) fn wait_link_after(
        &self,
        links: u64,
        limit: Option<Duration>,
    ) -> Result<Linked, Failure> {
        let start = Instant::now();
        let mut unknown_id_since = None;
        let mut told = None;
        loop {
            if self.links() > links {
                return Ok(Linked::Up);
            }
            if self.events.is_stopped() {
                return Ok(Linked::Stopped);
            }
            let left = limit.map(|l| l.saturating_sub(start.elapsed()));
            match self
                .memif
                .wait_link_up(Some(left.map_or(STEP, |l| l.min(STEP))))
            {
                Ok(()) => return Ok(Linked::Up),
                Err(Error::TimedOut) => {}
                Err(Error::Eof(_)) => return Ok(Linked::Stopped),
                // Whoever had a link gets the next: a peer that restarts refuses for a while.
                Err(_) if self.links() > 0 => {}
                Err(e) => {
                    let passes = match refusal(e.kind(), &e.to_string()) {
                        // Another peer may come, another version of it too.
                        Refusal::Busy | Refusal::Other => true,
                        // DPDK listens some time before its interfaces are there.
                        Refusal::UnknownId => {
                            unknown_id_since.get_or_insert_with(Instant::now).elapsed()
                                < UNKNOWN_ID_PATIENCE
                        }
                        Refusal::Secret | Refusal::Mode => false,
                    };
                    if !passes {
                        return Err(refused(&e));
                    }
                }
            }
            let waiting_for = self.waiting_for();
            // A moment after the socket is there, its permissions may not be yet.
            if self.links() == 0 && self.may_not_connect() && start.elapsed() >= PERMISSION_PATIENCE
            {
                return Err(Failure::Failed(waiting_for));
            }
            if left.is_some_and(|l| l.is_zero()) {
                let seconds = limit.unwrap_or_default().as_secs_f64();
                return Err(Failure::Failed(format!(
                    "no link within {seconds} s: {waiting_for}"
                )));
            }
            if !self.quiet && told.as_ref() != Some(&waiting_for) {
                notice(format_args!("waiting: {waiting_for}"));
                told = Some(waiting_for);
            }
        }
    }

    /// From now on says why the peer does not come back, for commands that wait for packets all the
    /// time.
    pub(crate) fn tell_refusals(&self) {
        let memif = self.memif.clone();
        let mut told = None;
        if !self.quiet {
            self.events.every(STEP, move || {
                let failed = !memif.is_link_up() && memif.last_failure().is_some();
                let waiting_for = failed.then(|| waiting_for(&memif));
                if let Some(why) = waiting_for.as_ref().filter(|_| told != waiting_for) {
                    notice_later(format_args!("waiting: {why}"));
                }
                told = waiting_for;
            });
        }
    }

    fn may_not_connect(&self) -> bool {
        let failure = self.memif.last_failure();
        failure.is_some_and(|f| f.kind == ErrorKind::PermissionDenied && !f.refused)
    }

    /// Why there is no link yet.
    pub(crate) fn waiting_for(&self) -> String {
        waiting_for(&self.memif)
    }
}

fn waiting_for(memif: &Memif) -> String {
    use ErrorKind::{ConnectionRefused, NotFound};

    let failure = memif.last_failure();
    match (memif.role(), failure) {
        (Role::Slave, Some(f)) if matches!(f.kind, ConnectionRefused | NotFound) => {
            nobody_listens(&memif.socket().display().to_string())
        }
        (Role::Slave, Some(f)) if f.kind == ErrorKind::PermissionDenied => format!(
            "{memif}: {}; run as a user who may write to the socket (--socket-mode, --socket-owner, --allow-user)",
            f.reason
        ),
        (Role::Slave, Some(f)) if f.refused => {
            let hint = refusal(f.kind, &f.reason).hint();
            let hint = if hint.is_empty() {
                String::new()
            } else {
                format!("; {hint}")
            };
            format!("{memif}: {}{hint}", f.reason)
        }
        (_, Some(f)) => format!("{memif}: {}", f.reason),
        (Role::Master, None) => format!("{memif}: no slave has connected"),
        (_, None) => {
            format!("{memif}: the master accepted the connection but does not answer")
        }
    }
}

pub(crate) fn shown(name: &str) -> &str {
    if name.is_empty() { "(unnamed)" } else { name }
}

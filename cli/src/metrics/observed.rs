//! The links between any processes of this host, counted by their rings alone.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use memif::Role;
use memif::observe::{self, Hidden, Link, LinkId, Process};
use serde_json::json;

use crate::failure::Failure;
use crate::report::notice;

/// A link and what has passed through it since it was found.
#[derive(Debug)]
pub(crate) struct Observed {
    pub(crate) link: Link,
    pub(crate) up: bool,
    pub(crate) rings: Vec<Passed>,
}

/// What has passed through a ring.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Passed {
    pub(crate) slots: u64,
    /// So many in so short a time that there may have been 65536 more.
    pub(crate) at_least: bool,
    last: u16,
}

/// All links of the host, looked at often enough to count what passes.
#[derive(Debug)]
pub(crate) struct Host {
    pub(crate) links: BTreeMap<LinkId, Observed>,
    pub(crate) hidden: Vec<Hidden>,
    next_search: Instant,
    interval: Duration,
}

/// Between two looks at the counters, at most.
const SLOWEST: Duration = Duration::from_millis(20);
const FASTEST: Duration = Duration::from_millis(1);

impl Host {
    pub(crate) fn new() -> Result<Self, Failure> {
        let mut host = Self {
            links: BTreeMap::new(),
            hidden: Vec::new(),
            next_search: Instant::now(),
            interval: FASTEST,
        };
        host.search()?;
        Ok(host)
    }

    /// Looks at all rings, and now and then for other links. The time until it is to be called
    /// again.
    pub(crate) fn look(&mut self) -> Result<Duration, Failure> {
        if Instant::now() >= self.next_search {
            self.search()?;
        }
        Ok(self.count())
    }

    /// Searching costs more the more processes there are, so it is done the less often.
    fn search(&mut self) -> Result<(), Failure> {
        let start = Instant::now();
        let found = observe::links()?;
        self.hidden = found.hidden;
        for observed in self.links.values_mut() {
            observed.up = false;
        }
        for link in found.links {
            if let Some(known) = self.links.get_mut(&link.id()) {
                known.up = true;
                continue;
            }
            let passed = |ring: &observe::Ring| Passed {
                last: ring.sent(),
                ..Passed::default()
            };
            let rings = link.rings().iter().map(passed).collect();
            let up = true;
            // The same ends on the same socket: a link that came back.
            self.links.retain(|_, o| o.up || o.key() != key(&link));
            self.links.insert(link.id(), Observed { link, up, rings });
        }
        let cost = start.elapsed();
        self.next_search = Instant::now() + (cost * 100).max(Duration::from_secs(1));
        Ok(())
    }

    fn count(&mut self) -> Duration {
        let mut most = 0;
        for observed in self.links.values_mut().filter(|o| o.up) {
            for (ring, passed) in observed.link.rings().iter().zip(&mut observed.rings) {
                let new = ring.sent().wrapping_sub(passed.last);
                passed.last = ring.sent();
                passed.slots += u64::from(new);
                passed.at_least |= new > 1 << 15;
                most = most.max(new);
            }
        }
        match most {
            0x2000.. => self.interval = (self.interval / 2).max(FASTEST),
            ..0x0800 => self.interval = (self.interval * 2).min(SLOWEST),
            _ => {}
        }
        self.interval
    }

    /// What has passed so far.
    pub(crate) fn passed(&self) -> HashMap<LinkId, Vec<Passed>> {
        let links = self.links.iter();
        links.map(|(id, o)| (*id, o.rings.clone())).collect()
    }

    /// Forgets links that are gone.
    pub(crate) fn forget(&mut self) {
        self.links.retain(|_, observed| observed.up);
    }
}

impl Observed {
    /// What makes it the same link as one before, as far as that is to be seen.
    fn key(&self) -> (String, String, String) {
        key(&self.link)
    }
}

fn key(link: &Link) -> (String, String, String) {
    let (master, slave) = ends(link);
    let program = |p: Option<&Process>| p.map_or_else(String::new, |p| p.program.clone());
    (socket(link), program(master), program(slave))
}

/// The master and the slave, or whoever has it, where that is not known.
pub(crate) fn ends(link: &Link) -> (Option<&Process>, Option<&Process>) {
    let by_role = (link.process(Role::Master), link.process(Role::Slave));
    match (by_role, link.processes()) {
        ((None, None), [both]) => (Some(both), Some(both)),
        ((None, None), [one, other, ..]) => (Some(one), Some(other)),
        (known, _) => known,
    }
}

/// The socket; where it is one of several, all of them.
pub(crate) fn socket(link: &Link) -> String {
    link.sockets().join(" or ")
}

/// Says why not all is seen, in a line.
pub(crate) fn tell_hidden(hidden: &[Hidden]) {
    const NAMED: usize = 4;
    let (first, more) = hidden.split_at(hidden.len().min(NAMED));
    let names: Vec<String> = first
        .iter()
        .map(|h| format!("{} ({})", h.program, h.pid))
        .collect();
    let more = match more.len() {
        0 => String::new(),
        n => format!(" and {n} more"),
    };
    let who = format!("not permitted to examine {}{more}", names.join(", "));
    if names.is_empty() {
    } else if nix::unistd::geteuid().is_root() {
        // Those that protect themselves, or that a container does not show.
        log::info!("{who}");
    } else {
        notice(format_args!(
            "{who}: run as root or with CAP_SYS_PTRACE to see their links"
        ));
    }
}

pub(crate) fn direction_name(direction: Option<observe::Direction>) -> Option<&'static str> {
    direction.map(|d| match d {
        observe::Direction::ToMaster => "to_master",
        observe::Direction::ToSlave => "to_slave",
    })
}

impl Observed {
    /// A line of JSON, with rates where what had passed by an earlier time is given.
    pub(crate) fn record(&self, earlier: Option<(&[Passed], Duration)>) -> String {
        let link = &self.link;
        let ring = |(number, (ring, passed)): (usize, (observe::Ring, &Passed))| {
            let mut record = json!({
                "direction": direction_name(ring.direction), "queue": ring.queue,
                "slots": ring.size, "used": ring.used(),
                "packets": passed.slots, "at_least": passed.at_least,
            });
            if let Some((before, time)) = earlier
                && let Some(before) = before.get(number)
            {
                let rate = (passed.slots - before.slots) as f64 / time.as_secs_f64();
                record["packets_per_second"] = rate.into();
            }
            record
        };
        let process = |p: &Process| {
            let role = p.role.map(|role| role.to_string());
            json!({"pid": p.pid, "program": p.program, "role": role})
        };
        let rings = link.rings().into_iter().zip(&self.rings).enumerate();
        let record = json!({
            "socket": link.socket(), "sockets": link.sockets(), "inode": link.id().inode(),
            "processes": link.processes().iter().map(process).collect::<Vec<_>>(),
            "memory_bytes": link.memory(), "up": self.up, "problem": link.problem(),
            "rings": rings.map(ring).collect::<Vec<_>>(),
        });
        format!("{record}\n")
    }
}

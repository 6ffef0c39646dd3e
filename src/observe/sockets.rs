//! Which end of a link is the master, and on which socket it listens.

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;

use procfs::net::{UnixNetEntry, UnixState};

use super::processes::Holder;
use crate::config::Role;

const SEQPACKET: u16 = 5;

/// The connected sockets of a process that memif could use.
#[derive(Clone, Debug, Default)]
struct Connected {
    /// Accepted ones bear the listener's name.
    accepted: BTreeSet<PathBuf>,
    /// The other end of such.
    unnamed: usize,
}

/// What is known of the sockets of processes, each looked up once.
#[derive(Debug, Default)]
pub(super) struct Sockets {
    /// By network namespace, and inode.
    spaces: HashMap<u64, HashMap<u64, UnixNetEntry>>,
    processes: HashMap<u32, Connected>,
}

impl Sockets {
    /// The role of each end, and the sockets that can be meant.
    pub(super) fn ends(&mut self, holders: &[&Holder]) -> (Vec<Option<Role>>, Vec<String>) {
        let connected: Vec<Connected> = holders.iter().map(|h| self.connected(h)).collect();
        let named = |sockets: &BTreeSet<PathBuf>| -> Vec<String> {
            let names = sockets.iter();
            names.map(|n| n.to_string_lossy().into_owned()).collect()
        };
        match &connected[..] {
            // Both ends in one process.
            [one] => (vec![None], named(&one.accepted)),
            [a, b] => {
                let (a_is, b_is) = (could_serve(a, b), could_serve(b, a));
                let (roles, master) = match (a_is, b_is) {
                    (true, false) => ([Some(Role::Master), Some(Role::Slave)], Some(a)),
                    (false, true) => ([Some(Role::Slave), Some(Role::Master)], Some(b)),
                    _ => ([None, None], None),
                };
                let sockets = master.map(|m| named(&m.accepted));
                (roles.to_vec(), sockets.unwrap_or_default())
            }
            more => (vec![None; more.len()], Vec::new()),
        }
    }

    fn connected(&mut self, holder: &Holder) -> Connected {
        if let Some(known) = self.processes.get(&holder.pid) {
            return known.clone();
        }
        let entries = self.spaces.entry(holder.network()).or_default();
        if entries.is_empty() {
            // Also where an earlier process of the same was about to end, and had none any more.
            let read = holder.unix_sockets().into_iter();
            entries.extend(read.map(|entry| (entry.inode, entry)));
        }
        let mut connected = Connected::default();
        for inode in holder.sockets() {
            let Some(entry) = entries.get(&inode) else {
                continue;
            };
            if entry.socket_type != SEQPACKET || entry.state != UnixState::CONNECTED {
                continue;
            }
            match &entry.path {
                Some(path) => {
                    connected.accepted.insert(path.clone());
                }
                None => connected.unnamed += 1,
            }
        }
        self.processes.insert(holder.pid, connected.clone());
        connected
    }
}

fn could_serve(master: &Connected, slave: &Connected) -> bool {
    !master.accepted.is_empty() && slave.unnamed > 0
}

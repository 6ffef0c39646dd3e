//! Which files hold the buffers of a link.
//!
//! Descriptors name regions by number, and the file of rings is number 0. The others are files that
//! both ends have mapped; which number each has was said on the control socket only.

use std::collections::{BTreeMap, HashSet};
use std::os::fd::{AsFd, OwnedFd};

use super::link::{Link, LinkId, refused};
use super::processes::{self, FileId, Holder};
use crate::error::Error;
use crate::ffi::view::{View, find_rings};

/// A file that may be a region.
struct Candidate {
    file: FileId,
    size: u64,
    /// In the process that comes first.
    address: u64,
}

/// The files of all regions, the first that of the rings.
pub(super) fn find(link: &Link, chosen: &[u64]) -> Result<Vec<OwnedFd>, Error> {
    if !link.is_up() {
        return Err(refused(link, "the link is gone"));
    }
    let (mut holders, _) = processes::all()?;
    holders.retain(|h| {
        let is = |p: &super::link::Process| p.pid == h.pid && p.started == h.started;
        link.processes.iter().any(is)
    });
    let LinkId(rings) = link.id;
    let all: Vec<usize> = (0..holders.len()).collect();
    let first = processes::open(&mut holders, &all, rings)
        .ok_or_else(|| refused(link, "it is gone, or can't be opened any more"))?;
    let view = match &link.view {
        Ok(view) => view,
        Err(why) => return Err(refused(link, why)),
    };
    let needed = needed(link, view);
    let mut regions = vec![first];
    if needed.is_empty() {
        return Ok(regions);
    }
    let mut ends: Vec<&mut Holder> = holders.iter_mut().collect();
    let (mut candidates, all_rings) = candidates(&mut ends);
    for (number, end) in (1u64..).zip(&needed) {
        let rings = (rings, &all_rings[..]);
        let place = choose(&candidates, number, *end, needed.len(), rings, chosen)
            .map_err(|why| refused(link, &why))?;
        let file = candidates.remove(place).file;
        let opened = processes::open(&mut holders, &all, file)
            .ok_or_else(|| refused(link, "the memory of its buffers is gone"))?;
        regions.push(opened);
    }
    Ok(regions)
}

/// How far each region beyond the first is used, by number.
fn needed(link: &Link, view: &View) -> Vec<u64> {
    let scan = |region: u16| {
        let states = link.rings.iter().filter_map(|r| view.scan(*r, region));
        states.fold((0, 0), |(most, end), s| {
            (most.max(s.max_region), end.max(s.max_end))
        })
    };
    let (most, _) = scan(0);
    // More than there can be is nonsense in a descriptor, which the watch will tell.
    (1..=most.min(255)).map(|region| scan(region).1).collect()
}

fn choose(
    candidates: &[Candidate],
    number: u64,
    end: u64,
    needed: usize,
    (rings, all_rings): (FileId, &[FileId]),
    chosen: &[u64],
) -> Result<usize, String> {
    let by_inode = |inode: u64| candidates.iter().position(|c| c.file.inode == inode);
    let fits = |c: &Candidate| c.size >= end;
    if let Some(inode) = chosen.get(number as usize - 1) {
        return by_inode(*inode)
            .filter(|i| fits(&candidates[*i]))
            .ok_or_else(|| {
                format!("no file {inode} that both ends have mapped and that is large enough")
            });
    }
    let fitting: Vec<usize> = (0..candidates.len())
        .filter(|i| fits(&candidates[*i]))
        .collect();
    match fitting[..] {
        [] => return Err("the memory of its buffers was not found in both ends".into()),
        [only] if needed == 1 => return Ok(only),
        _ => {}
    }
    // A slave that makes memory for each link makes it at once, so the kernel numbers it so.
    let next = by_inode(rings.inode + number).filter(|i| fitting.contains(i));
    // Not always: its thread may go on another processor. Then the others may be of other links.
    let is_next = |i: &usize, rings: &FileId| candidates[*i].file.inode == rings.inode + number;
    let is_free = |i: &&usize| !all_rings.iter().any(|rings| is_next(i, rings));
    let free: Vec<usize> = fitting.iter().filter(is_free).copied().collect();
    let left = match free[..] {
        [only] if needed == 1 => Some(only),
        _ => None,
    };
    next.or(left).ok_or_else(|| {
        let files: Vec<String> = fitting
            .iter()
            .map(|i| {
                format!(
                    "{} of {} bytes",
                    candidates[*i].file.inode, candidates[*i].size
                )
            })
            .collect();
        format!(
            "its buffers may lie in one of several files, by inode: {}",
            files.join(", ")
        )
    })
}

/// What all the processes of a link share: files that may hold buffers, in the order of addresses,
/// and those of rings.
fn candidates(holders: &mut [&mut Holder]) -> (Vec<Candidate>, Vec<FileId>) {
    let mut all_rings = Vec::new();
    let Some((first, others)) = holders.split_first_mut() else {
        return (Vec::new(), all_rings);
    };
    let mut shared = first.places().clone();
    shared.retain(|file, place| match &mut *others {
        // Of one process that is both ends, whatever is mapped twice.
        [] => place.times >= 2,
        others => others.iter_mut().all(|h| h.places().contains_key(file)),
    });
    // Opened one after another: there may be more than a process may have open.
    let mut candidates: Vec<Candidate> = shared
        .into_iter()
        .filter_map(|(file, place)| {
            let opened = first.open(file).ok();
            let opened = opened.or_else(|| others.iter_mut().find_map(|h| h.open(file).ok()))?;
            if !find_rings(opened.as_fd()).is_empty() {
                all_rings.push(file);
                return None;
            }
            let size = size(&opened)?;
            Some(Candidate {
                file,
                size,
                address: place.address.0,
            })
        })
        .collect();
    candidates.sort_by_key(|c| c.address);
    (candidates, all_rings)
}

/// Bytes of a file.
pub(super) fn size(file: &OwnedFd) -> Option<u64> {
    u64::try_from(rustix::fs::fstat(file).ok()?.st_size).ok()
}

/// Adds up the memory of links. Those of the same processes share their candidates; a file counts
/// once.
pub(super) fn measure(holders: &mut [Holder], links: &mut [Link]) {
    let mut groups: BTreeMap<Vec<u32>, Vec<&mut Link>> = BTreeMap::new();
    for link in links {
        let mut pids: Vec<u32> = link.processes.iter().map(|p| p.pid).collect();
        pids.sort_unstable();
        groups.entry(pids).or_default().push(link);
    }
    for (pids, links) in groups {
        let mut of_group: Vec<&mut Holder> = holders
            .iter_mut()
            .filter(|h| pids.contains(&h.pid))
            .collect();
        let (candidates, all_rings) = candidates(&mut of_group);
        let mut counted = HashSet::new();
        for link in links {
            let LinkId(rings) = link.id;
            let needed = match &link.view {
                Ok(view) => needed(link, view),
                Err(_) => Vec::new(),
            };
            let buffers = (1u64..).zip(&needed).filter_map(|(number, end)| {
                let rings = (rings, &all_rings[..]);
                choose(&candidates, number, *end, needed.len(), rings, &[]).ok()
            });
            // A hostile process may let them be as large as it likes.
            for Candidate { file, size, .. } in buffers.map(|place| &candidates[place]) {
                if counted.insert(*file) {
                    link.memory = link.memory.saturating_add(*size);
                }
            }
        }
    }
}

//! Finding the links of this host.

use std::collections::{BTreeMap, HashSet};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use super::directions::{of_rings, rings_to_master};
use super::link::{Link, LinkId, Process};
use super::processes::{self, FileId, Hidden, Holder};
use super::regions;
use super::sockets::Sockets;
use crate::config::Role;
use crate::error::Error;
use crate::ffi::view::{View, ViewRing, find_rings};

/// What there is on this host.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Links {
    /// The links, in the order of their making.
    pub links: Vec<Link>,
    /// Processes that this user may not look at. Whatever links they have among themselves are not
    /// known; root and CAP_SYS_PTRACE see all.
    pub hidden: Vec<Hidden>,
}

/// Finds the links of this host, as far as this user may see them.
///
/// ```
/// # use memif::{Context, MemifConfig, Role};
/// # let context = Context::new("doc")?;
/// # let socket = format!("@memif-doc-links-{}", std::process::id());
/// # let master = context.create_interface(MemifConfig::new(&socket).role(Role::Master))?;
/// # let slave = context.create_interface(MemifConfig::new(&socket))?;
/// # slave.wait_link_up(None)?;
/// # master.wait_link_up(None)?;
/// for link in &memif::observe::links()?.links {
///     println!("{link}, {} rings", link.rings().len());
/// }
/// # let own = |l: &memif::observe::Link| l.processes().iter().any(|p| p.pid == std::process::id());
/// # assert!(memif::observe::links()?.links.iter().any(own));
/// # Ok::<(), memif::Error>(())
/// ```
///
/// # Errors
///
/// [`Error::Io`] when the process tables can't be read at all. Processes that end meanwhile, and
/// links that contradict themselves, are left out or say so.
pub fn links() -> Result<Links, Error> {
    let (mut holders, hidden) = processes::all()?;
    let candidates = candidates(&holders);
    let mut sockets = Sockets::default();
    let mut links = Vec::new();
    for (file, indices) in candidates {
        // While the link is up one end at least has it open; after that they may read on.
        let mut descriptors = Vec::new();
        for index in &indices {
            descriptors.push(holders[*index].descriptor(file));
        }
        let is_up = descriptors.iter().any(Option::is_some);
        let Some(opened) = processes::open(&mut holders, &indices, file).filter(|_| is_up) else {
            continue;
        };
        let rings = find_rings(opened.as_fd());
        if !rings.is_empty() {
            let ends: Vec<_> = indices
                .iter()
                .map(|i| &holders[*i])
                .zip(descriptors)
                .collect();
            links.push(describe(&ends, file, &opened, rings, &mut sockets));
        }
    }
    regions::measure(&mut holders, &mut links);
    Ok(Links { links, hidden })
}

/// Memory files that are mapped twice or more, each with those who have it.
fn candidates(holders: &[Holder]) -> BTreeMap<FileId, Vec<usize>> {
    let mut mapped: BTreeMap<FileId, Vec<usize>> = BTreeMap::new();
    for (index, holder) in holders.iter().enumerate() {
        for mapping in holder.mappings.iter().filter(|m| m.memfd) {
            mapped.entry(mapping.file).or_default().push(index);
        }
    }
    mapped.retain(|_, indices| indices.len() >= 2);
    for indices in mapped.values_mut() {
        let mut seen = HashSet::new();
        indices.retain(|index| seen.insert(*index));
    }
    mapped
}

fn describe(
    ends: &[(&Holder, Option<i32>)],
    file: FileId,
    opened: &OwnedFd,
    rings: Vec<ViewRing>,
    sockets: &mut Sockets,
) -> Link {
    let holders: Vec<&Holder> = ends.iter().map(|(holder, _)| *holder).collect();
    let (roles, possible) = sockets.ends(&holders);
    let mut processes: Vec<Process> = ends
        .iter()
        .zip(roles)
        .map(|((holder, descriptor), role)| Process {
            descriptor: *descriptor,
            pid: holder.pid,
            program: holder.program(),
            role,
            started: holder.started,
        })
        .collect();
    processes.sort_by_key(|p| p.role != Some(Role::Master));
    let view = View::open(&[opened.as_fd()], false).map(Arc::new);
    let mut link = Link {
        id: LinkId(file),
        processes,
        sockets: possible,
        memory: regions::size(opened).unwrap_or(0),
        directions: of_rings(rings.len(), None),
        rings,
        view,
    };
    if let Ok(view) = &link.view {
        let split = rings_to_master(&link.states(view));
        link.directions = of_rings(link.rings.len(), split);
    }
    link
}

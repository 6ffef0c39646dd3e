//! What the process tables say: who maps which shared memory, and which sockets they have.

use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use procfs::net::{UnixNetEntries, UnixNetEntry};
use procfs::process::{FDTarget, MMPermissions, MMapPath, Process as Proc};
use procfs::{FromRead, ProcError, ProcResult};
use rustix::fs::{AtFlags, FileType, MemfdFlags, Mode, OFlags, StatxFlags};

use crate::error::Error;

/// A file, whatever it is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct FileId {
    pub(super) device: u64,
    pub(super) inode: u64,
}

/// Shared memory that a process has mapped from its start.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mapping {
    pub(super) file: FileId,
    /// With usual pages, as a file of rings has.
    pub(super) memfd: bool,
    address: (u64, u64),
}

/// Where a process has mapped a file first, and how often it has.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) address: (u64, u64),
    pub(super) times: usize,
}

/// A process that may be looked at.
#[derive(Debug)]
pub(super) struct Holder {
    pub(super) pid: u32,
    pub(super) started: u64,
    pub(super) mappings: Vec<Mapping>,
    proc: Proc,
    /// Its mappings by file, and its open files, once somebody has asked.
    places: Option<HashMap<FileId, Place>>,
    files: Option<HashMap<FileId, i32>>,
}

/// A process that may not be looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Hidden {
    /// Its id.
    pub pid: u32,
    /// Its program.
    pub program: String,
}

/// All processes with shared memory, and those that this user may not look at.
pub(super) fn all() -> Result<(Vec<Holder>, Vec<Hidden>), Error> {
    let (mut holders, mut hidden) = (Vec::new(), Vec::new());
    let mut memory = Memory::new().map_err(|e| Error::io("making a memfd", e))?;
    let processes = procfs::process::all_processes()
        .map_err(|e| Error::io("reading the process tables in /proc", io::Error::other(e)))?;
    // Those that end meanwhile are no more.
    for proc in processes.flatten() {
        match mappings(&proc) {
            Ok(mut mappings) => {
                memory.learn(&proc, &mappings);
                mappings.retain_mut(|m| {
                    m.memfd = m.file.device == memory.plain;
                    m.memfd || memory.others.contains(&m.file.device)
                });
                if mappings.is_empty() {
                    continue;
                }
                let Ok(stat) = proc.stat() else { continue };
                holders.push(Holder {
                    pid: proc.pid.unsigned_abs(),
                    started: stat.starttime,
                    mappings,
                    proc,
                    places: None,
                    files: None,
                });
            }
            Err(ProcError::PermissionDenied(_)) => hidden.push(Hidden {
                pid: proc.pid.unsigned_abs(),
                program: program(&proc),
            }),
            Err(_) => {}
        }
    }
    Ok((holders, hidden))
}

/// Opens a file by any of the processes that have it.
pub(super) fn open(holders: &mut [Holder], indices: &[usize], file: FileId) -> Option<OwnedFd> {
    indices.iter().find_map(|i| holders[*i].open(file).ok())
}

/// How often a process maps a file from its start; 0 when it is another process by now.
pub(super) fn times_mapped(pid: u32, started: u64, file: FileId) -> usize {
    let count = || -> ProcResult<usize> {
        let proc = Proc::new(i32::try_from(pid).unwrap_or(0))?;
        if proc.stat()?.starttime != started {
            return Ok(0);
        }
        Ok(mappings(&proc)?.iter().filter(|m| m.file == file).count())
    };
    count().unwrap_or(0)
}

fn mappings(proc: &Proc) -> ProcResult<Vec<Mapping>> {
    // Observers only read.
    let of_ends = MMPermissions::SHARED | MMPermissions::WRITE;
    let shared =
        |m: &procfs::process::MemoryMap| m.perms.contains(of_ends) && m.offset == 0 && m.inode != 0;
    let maps = proc.maps()?;
    let shared = maps.into_iter().filter(shared);
    Ok(shared
        .filter_map(|m| {
            let MMapPath::Path(_) = &m.pathname else {
                return None;
            };
            let number = |n: i32| u32::try_from(n).ok();
            let device = rustix::fs::makedev(number(m.dev.0)?, number(m.dev.1)?);
            Some(Mapping {
                file: FileId {
                    device,
                    inode: m.inode,
                },
                memfd: false,
                address: m.address,
            })
        })
        .collect())
}

impl Holder {
    pub(super) fn program(&self) -> String {
        program(&self.proc)
    }

    /// Where it has mapped its files. There may be many.
    pub(super) fn places(&mut self) -> &HashMap<FileId, Place> {
        let mappings = &self.mappings;
        self.places.get_or_insert_with(|| {
            let mut places = HashMap::new();
            for Mapping { file, address, .. } in mappings {
                let first = Place {
                    address: *address,
                    times: 0,
                };
                places.entry(*file).or_insert(first).times += 1;
            }
            places
        })
    }

    /// The inodes of its sockets.
    pub(super) fn sockets(&self) -> Vec<u64> {
        let Ok(open) = self.proc.fd() else {
            return Vec::new();
        };
        let socket = |target| match target {
            FDTarget::Socket(inode) => Some(inode),
            _ => None,
        };
        open.flatten()
            .filter_map(|info| socket(info.target))
            .collect()
    }

    /// The UNIX sockets of its network namespace.
    pub(super) fn unix_sockets(&self) -> Vec<UnixNetEntry> {
        let mut table = Vec::new();
        let read = self.proc.open_relative("net/unix");
        let read = read.map(|mut file| file.read_to_end(&mut table));
        if !matches!(read, Ok(Ok(_))) {
            return Vec::new();
        }
        // Line by line, as anybody may give a socket a name that is no text, or has a line's end.
        let table = String::from_utf8_lossy(&table);
        let entry = |line: &str| {
            let with_header = format!("\n{line}\n");
            let mut entries = UnixNetEntries::from_read(with_header.as_bytes()).ok()?.0;
            entries.pop()
        };
        table.lines().skip(1).filter_map(entry).collect()
    }

    /// Its network namespace.
    pub(super) fn network(&self) -> u64 {
        let spaces = self.proc.namespaces().map(|n| n.0);
        let net = spaces
            .ok()
            .and_then(|n| Some(n.get(&OsString::from("net"))?.identifier));
        net.unwrap_or(0)
    }

    /// A descriptor of it by which it has the file open.
    pub(super) fn descriptor(&mut self, file: FileId) -> Option<i32> {
        let proc = &self.proc;
        let files = self.files.get_or_insert_with(|| open_files(proc));
        files.get(&file).copied()
    }

    /// Opens a file that it has open, or mapped, to be read.
    pub(super) fn open(&mut self, file: FileId) -> io::Result<OwnedFd> {
        let pid = self.pid;
        let by_descriptor = self.descriptor(file).map(|fd| descriptor_path(pid, fd));
        let by_mapping = self.places().get(&file).map(|place| {
            let (start, end) = place.address;
            format!("/proc/{pid}/map_files/{start:x}-{end:x}")
        });
        let mut result = Err(io::ErrorKind::NotFound.into());
        for path in [by_descriptor, by_mapping].into_iter().flatten() {
            result = open_as(&path, file);
            if result.is_ok() {
                break;
            }
        }
        result
    }
}

/// By its executable, which tells more than the name of its first thread.
fn program(proc: &Proc) -> String {
    let name = |path: std::path::PathBuf| Some(path.file_name()?.to_string_lossy().into_owned());
    let by_file = proc.exe().ok().and_then(name);
    let by_file = by_file.map(|name| name.trim_end_matches(" (deleted)").to_owned());
    by_file.unwrap_or_else(|| proc.stat().map_or_else(|_| "?".into(), |s| s.comm))
}

/// The regular files that a process has open. A descriptor that is another file's by now is found
/// out when it is opened.
fn open_files(proc: &Proc) -> HashMap<FileId, i32> {
    let Ok(open) = proc.fd() else {
        return HashMap::new();
    };
    let mut files = HashMap::new();
    for info in open.flatten() {
        if !matches!(info.target, FDTarget::MemFD(_) | FDTarget::Path(_)) {
            continue;
        }
        let path = descriptor_path(proc.pid.unsigned_abs(), info.fd);
        if let Ok((_, file)) = find(&path) {
            files.entry(file).or_insert(info.fd);
        }
    }
    files
}

/// Whether the process has the file open by this descriptor.
pub(super) fn is_open(pid: u32, descriptor: i32, file: FileId) -> bool {
    find(&descriptor_path(pid, descriptor)).is_ok_and(|(_, found)| found == file)
}

fn descriptor_path(pid: u32, descriptor: i32) -> String {
    format!("/proc/{pid}/fd/{descriptor}")
}

/// A handle that nothing happens by, and which regular file it is. Asks no file system: that of a
/// hostile process need not answer.
fn find(path: &str) -> io::Result<(OwnedFd, FileId)> {
    let handle = rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    let (kind, id) = identify(&handle)?;
    if kind != FileType::RegularFile {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    Ok((handle, id))
}

fn identify(file: impl AsFd) -> io::Result<(FileType, FileId)> {
    let flags = AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC;
    let wanted = StatxFlags::TYPE | StatxFlags::INO;
    let stat = rustix::fs::statx(file, "", flags, wanted)?;
    let id = FileId {
        device: rustix::fs::makedev(stat.stx_dev_major, stat.stx_dev_minor),
        inode: stat.stx_ino,
    };
    Ok((FileType::from_raw_mode(stat.stx_mode.into()), id))
}

/// Opening may have effects, of a pipe or a device, or never end: so only once it is known to be
/// this file, and memory.
fn open_as(path: &str, file: FileId) -> io::Result<OwnedFd> {
    let (handle, found) = find(path)?;
    if found != file {
        return Err(io::ErrorKind::NotFound.into());
    }
    let again = format!("/proc/self/fd/{}", handle.as_raw_fd());
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    Ok(rustix::fs::open(again, flags, Mode::empty())?)
}

/// The devices of file systems in memory: those of memfds, and those that a process has mounted.
#[derive(Debug)]
struct Memory {
    /// Of memfds with usual pages, which alone may hold rings.
    plain: u64,
    others: HashSet<u64>,
}

impl Memory {
    fn new() -> io::Result<Self> {
        let device = |flags| -> io::Result<u64> {
            let file = rustix::fs::memfd_create("memif", flags | MemfdFlags::CLOEXEC)?;
            Ok(identify(&file)?.1.device)
        };
        Ok(Self {
            plain: device(MemfdFlags::empty())?,
            others: device(MemfdFlags::HUGETLB).into_iter().collect(),
        })
    }

    /// With what this process has mounted, where it maps anything else at all.
    fn learn(&mut self, proc: &Proc, mappings: &[Mapping]) {
        let is_known =
            |m: &Mapping| m.file.device == self.plain || self.others.contains(&m.file.device);
        if mappings.iter().all(is_known) {
            return;
        }
        for mount in proc.mountinfo().into_iter().flatten() {
            let mut numbers = mount.majmin.split(':').filter_map(|n| n.parse().ok());
            if matches!(&mount.fs_type[..], "tmpfs" | "hugetlbfs")
                && let (Some(major), Some(minor)) = (numbers.next(), numbers.next())
            {
                self.others.insert(rustix::fs::makedev(major, minor));
            }
        }
    }
}

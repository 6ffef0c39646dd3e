//! Capture files as they are named on a command line.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use memif::pcap::{CaptureReader, FileReader};
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::events::Events;
use crate::failure::Failure;
use crate::files::tcp;

/// Packets that are read together.
pub(crate) const BATCH: usize = 64;

pub(crate) type Input = CaptureReader<FileReader>;

/// Whether the two name one file on a disk; '-' is standard input, of the second standard output.
pub(crate) fn is_same(from: &Path, to: &Path) -> bool {
    let found = |path: &Path, standard: &str| {
        fs::metadata(if path.as_os_str() == "-" {
            Path::new(standard)
        } else {
            path
        })
    };
    match (found(from, "/dev/stdin"), found(to, "/dev/stdout")) {
        (Ok(a), Ok(b)) => a.is_file() && (a.dev(), a.ino()) == (b.dev(), b.ino()),
        _ => false,
    }
}

/// Whether it can be read only once, as a pipe.
pub(crate) fn is_stream(path: &Path) -> bool {
    path.as_os_str() == "-"
        || tcp::peer(path).is_some()
        || fs::metadata(path).is_ok_and(|m| !m.is_file() && !m.is_dir())
}

/// Opens a file; '-' is standard input, and tcp:HOST:PORT who serves one. What stops the command
/// ends a read that waits.
pub(crate) fn open(path: &Path, events: &Events) -> Result<Input, Failure> {
    if !is_stream(path) {
        return Ok(CaptureReader::open(path)?);
    }
    let name = match path.as_os_str() == "-" {
        true => "standard input".into(),
        false => path.display().to_string(),
    };
    let failed = |what: &dyn std::fmt::Display| Failure::Failed(format!("reading {name}: {what}"));
    let file = match (path.as_os_str() == "-", tcp::peer(path)) {
        (true, _) => io::stdin().as_fd().try_clone_to_owned().map(File::from),
        (_, Some(peer)) => tcp::connect(peer).and_then(|stream| {
            stream.set_nonblocking(true)?;
            Ok(OwnedFd::from(stream).into())
        }),
        // Without waiting for somebody to write to it; reading does.
        _ => OpenOptions::new()
            .read(true)
            .custom_flags(OFlag::O_NONBLOCK.bits())
            .open(path),
    };
    let stream = Stream {
        file: file.map_err(|e| failed(&e))?,
        events: events.clone(),
    };
    let reader = FileReader::new(stream).map_err(|e| failed(&e))?;
    CaptureReader::new(reader).map_err(|e| match e {
        memif::Error::Capture { .. } => failed(&e),
        other => other.into(),
    })
}

/// A pipe, which is waited for only as long as nothing stops the command.
struct Stream {
    file: File,
    events: Events,
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let mut fds = [
                PollFd::new(self.events.interrupted(), PollFlags::POLLIN),
                PollFd::new(self.file.as_fd(), PollFlags::POLLIN),
            ];
            if poll(&mut fds, PollTimeout::NONE) == Err(Errno::EINTR) {
                continue;
            }
            if fds[0].any().unwrap_or(true) {
                return Err(io::Error::other("interrupted"));
            }
            match self.file.read(buffer) {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                read => return read,
            }
        }
    }
}

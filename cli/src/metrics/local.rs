//! How `memif stats` finds the commands of its user: a socket for each in a folder that only this
//! user may enter. Whoever connects gets a snapshot, as a JSON object.

use std::fs::{self, DirBuilder};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::server::Server;
use super::snapshot::{Snapshot, Source};
use crate::events::Events;

/// How long the other side may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// `memif` in the user's runtime folder, or else one of its own in /tmp.
fn folder() -> PathBuf {
    match std::env::var_os("XDG_RUNTIME_DIR").filter(|dir| !dir.is_empty()) {
        Some(dir) => Path::new(&dir).join("memif"),
        None => std::env::temp_dir().join(format!("memif-{}", user())),
    }
}

/// The files in /proc of a process belong to its effective user.
fn user() -> u32 {
    fs::metadata("/proc/self").map_or(0, |m| m.uid())
}

/// The socket of this process, gone when it is dropped.
#[derive(Debug)]
pub(crate) struct Listening(PathBuf);

impl Drop for Listening {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0); // a later search removes what is left
    }
}

pub(super) fn listen(source: Arc<Source>, events: &Events) -> io::Result<Listening> {
    let folder = folder();
    match DirBuilder::new().mode(0o700).create(&folder) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(e),
        _ => check(&folder)?,
    }
    let path = folder.join(format!("{}.sock", std::process::id()));
    let listener = bind(&path)?;
    let answer = move |_: &[u8]| serde_json::to_vec(&source.snapshot()).ok();
    events.add(Server::new(listener, Box::new(answer))?);
    Ok(Listening(path))
}

/// Takes its name only once it listens: one that does not answer is removed by others.
fn bind(path: &Path) -> io::Result<UnixListener> {
    let early = path.with_extension(EARLY);
    // An earlier process of the same id was killed.
    let _ = fs::remove_file(&early);
    let listener = UnixListener::bind(&early)?;
    fs::rename(&early, path)?;
    Ok(listener)
}

/// The extension of a socket that may not listen yet.
const EARLY: &str = "new";

/// In a folder that others may write to, the socket could be anybody's.
fn check(folder: &Path) -> io::Result<()> {
    let m = fs::symlink_metadata(folder)?;
    if m.is_dir() && m.uid() == user() && m.mode() & 0o077 == 0 {
        return Ok(());
    }
    Err(io::Error::other(format!(
        "{} is not a folder of this user alone",
        folder.display()
    )))
}

/// The sockets of this user's commands. What killed ones have left is removed.
pub(crate) fn find() -> Vec<PathBuf> {
    let folder = folder();
    let Ok(entries) = check(&folder).and_then(|()| fs::read_dir(&folder)) else {
        return Vec::new();
    };
    let mut paths: Vec<_> = entries.flatten().map(|e| e.path()).collect();
    paths.retain(|path| path.extension().is_none_or(|end| end != EARLY));
    paths.retain(|path| match UnixStream::connect(path) {
        Err(e) if e.kind() == io::ErrorKind::ConnectionRefused => {
            let _ = fs::remove_file(path);
            false
        }
        connected => connected.is_ok(),
    });
    paths.sort();
    paths
}

pub(crate) fn query(path: &Path) -> io::Result<Snapshot> {
    /// Longer than any that we make.
    const MOST: u64 = 16 << 20;
    let stream = UnixStream::connect(path)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut text = Vec::new();
    stream.take(MOST).read_to_end(&mut text)?;
    Ok(serde_json::from_slice(&text)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whoever looks in between removes what does not listen yet.
    #[test]
    fn a_socket_listens_before_it_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("1.sock");
        std::thread::scope(|scope| {
            let binder = scope.spawn(|| {
                let next = |_| {
                    let listener = bind(&path).unwrap();
                    fs::remove_file(&path).unwrap();
                    listener
                };
                // All listen on: a name may have been looked up just before it was removed.
                (0..500).map(next).collect::<Vec<_>>()
            });
            while !binder.is_finished() {
                let error = UnixStream::connect(&path).err();
                assert!(error.is_none_or(|e| e.kind() == io::ErrorKind::NotFound));
            }
        });
    }
}

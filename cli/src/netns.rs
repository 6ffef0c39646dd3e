//! Network namespaces: abstract sockets, TAP devices and TCP belong to one.

use std::fs::File;
use std::path::PathBuf;

use nix::errno::Errno;
use nix::sched::{CloneFlags, setns};

use crate::failure::Failure;

/// Enters a namespace that is given as `ip netns` names it, by a process, or by a file. Threads that
/// are started later are in it too.
pub(crate) fn enter(name: &str) -> Result<(), Failure> {
    let path = path(name);
    let failed =
        |why: &str| Failure::Failed(format!("network namespace {}: {why}", path.display()));
    let file = File::open(&path).map_err(|e| failed(&e.to_string()))?;
    setns(file, CloneFlags::CLONE_NEWNET).map_err(|e| match e {
        Errno::EPERM => failed("entering it needs CAP_SYS_ADMIN; run as root"),
        Errno::EINVAL => failed("it is not a network namespace"),
        e => failed(e.desc()),
    })
}

fn path(name: &str) -> PathBuf {
    if name.contains('/') {
        name.into()
    } else if name.bytes().all(|byte| byte.is_ascii_digit()) {
        format!("/proc/{name}/ns/net").into()
    } else {
        format!("/run/netns/{name}").into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_processes_and_files() {
        for (name, is) in [
            ("blue", "/run/netns/blue"),
            ("1234", "/proc/1234/ns/net"),
            ("/var/run/netns/x", "/var/run/netns/x"),
            ("./1", "./1"),
        ] {
            assert_eq!(path(name), PathBuf::from(is));
        }
    }
}

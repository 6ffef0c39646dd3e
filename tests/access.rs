//! Who may be a peer: the socket's file, users and groups, and what is known of the peer.
//!
//! Peers of another user are threads that have taken another one's ids; that takes root.

mod common;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::thread;

use common::*;
use memif::{Context, ContextBuilder, ErrorKind, MemifConfig, Role};
use memif_hostile::peer::*;
use nix::errno::Errno;
use nix::sys::stat::{Mode, umask};
use nix::unistd::{getegid, geteuid};

/// Somebody who is neither root nor owns anything here.
const NOBODY: u32 = 65_534;

fn builder() -> ContextBuilder {
    Context::builder("test").reconnect_interval(std::time::Duration::from_millis(5))
}

/// Does it as somebody else; `None`, and a printed reason, where that can't be.
fn as_nobody<T: Send>(work: impl FnOnce() -> T + Send) -> Option<T> {
    if !geteuid().is_root() {
        eprintln!("skipped: only root can be somebody else");
        return None;
    }
    let set = |call| {
        // SAFETY: takes no pointers. The raw call changes the ids of the calling thread alone.
        let result = unsafe { nix::libc::syscall(call, NOBODY, NOBODY, NOBODY) };
        assert_eq!(result, 0, "{}", Errno::last());
    };
    thread::scope(|scope| {
        let thread = scope.spawn(move || {
            set(nix::libc::SYS_setresgid);
            set(nix::libc::SYS_setresuid);
            work()
        });
        Some(thread.join().unwrap())
    })
}

/// A folder that others may search.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

fn path_in(folder: &tempfile::TempDir, name: &str) -> String {
    folder.path().join(name).display().to_string()
}

#[test]
fn the_file_has_its_mode_whatever_the_umask() {
    let folder = folder();
    for (i, mask) in [0o000, 0o022, 0o077].into_iter().enumerate() {
        let before = umask(Mode::from_bits(mask).unwrap());
        for mode in [
            None,
            Some(0),
            Some(0o600),
            Some(0o660),
            Some(0o666),
            Some(0o777),
        ] {
            let context = match mode {
                Some(mode) => builder().socket_mode(mode).build().unwrap(),
                None => builder().build().unwrap(),
            };
            let path = path_in(&folder, &format!("{i}-{mode:?}"));
            let master = MemifConfig::new(&path).role(Role::Master);
            let master = context.create_interface(master).unwrap();
            let file = fs::metadata(&path).unwrap();
            assert_eq!(file.permissions().mode() & 0o7777, mode.unwrap_or(0o600));
            assert_eq!(file.uid(), geteuid().as_raw());
            drop((master, context));
            assert!(!fs::exists(&path).unwrap());
        }
        umask(before);
    }
}

#[test]
fn the_file_has_the_owner_that_is_asked_for_or_there_is_none() {
    let folder = folder();
    let path = path_in(&folder, "memif.sock");
    let context = builder().socket_owner(Some(NOBODY - 1), Some(NOBODY));
    let context = context.build().unwrap();
    let master = context.create_interface(MemifConfig::new(&path).role(Role::Master));
    if geteuid().is_root() {
        let _master = master.unwrap();
        let file = fs::metadata(&path).unwrap();
        assert_eq!((file.uid(), file.gid()), (NOBODY - 1, NOBODY));
        assert_eq!(file.permissions().mode() & 0o7777, 0o600);
    } else {
        let error = master.unwrap_err().to_string();
        assert!(error.contains("owner") && error.contains(&path), "{error}");
        assert!(!fs::exists(&path).unwrap(), "nothing is left");
    }
}

#[test]
fn settings_that_can_t_be_are_refused() {
    let error = builder().socket_mode(0o1777).build().unwrap_err();
    assert!(error.to_string().contains("01777"), "{error}");
    let error = builder().allow_gids(0..70_000).build().unwrap_err();
    assert!(error.to_string().contains("70000"), "{error}");
}

#[test]
fn another_user_connects_only_where_the_file_lets_it() {
    let folder = folder();
    for (mode, wanted) in [
        (0o600, Err(Errno::EACCES)),
        (0o666, Ok(())),
        (0o660, Err(Errno::EACCES)),
    ] {
        let path = path_in(&folder, &format!("{mode:o}"));
        let context = builder().socket_mode(mode).build().unwrap();
        let master = MemifConfig::new(&path).role(Role::Master);
        let _master = context.create_interface(master).unwrap();
        if let Some(got) = as_nobody(|| Wire::try_connect(&path).map(drop)) {
            assert_eq!(got, wanted, "{mode:o}");
        }
    }
}

#[test]
fn a_master_refuses_users_that_are_not_on_its_list() {
    // None of them is anybody who runs this.
    let context = builder().allow_uids([4_000_000_001, 4_000_000_002]);
    let context = context.allow_gids([4_000_000_003]).build().unwrap();
    let name = socket();
    let master = MemifConfig::new(&name).role(Role::Master).secret("hush");
    let master = context.create_interface(master).unwrap();
    let refusal = Wire::connect(&name).expect_refusal();
    refusal.says(&format!("user {}", geteuid()));
    assert_eq!(refusal.code, ErrorKind::PermissionDenied.code() as u32);
    // Ours says so to whom waits.
    let other = builder().build().unwrap();
    let slave = other.create_interface(MemifConfig::new(&name)).unwrap();
    let error = slave.wait_link_up(Some(LONG)).unwrap_err();
    assert!(error.to_string().contains("may not be a peer"), "{error}");
    assert!(!master.is_link_up());
    assert_eq!(master.details().unwrap().remote_process, None);
}

#[test]
fn a_user_or_a_group_on_the_list_is_enough() {
    let (uid, gid) = (geteuid().as_raw(), getegid().as_raw());
    for (uids, gids) in [
        (vec![4_000_000_001, uid], vec![]),
        (vec![], vec![gid]),
        (vec![4_000_000_001], vec![4_000_000_003, gid]),
    ] {
        // Both sides are asked.
        let context = builder().allow_uids(uids).allow_gids(gids).build().unwrap();
        let name = socket();
        let master = MemifConfig::new(&name).role(Role::Master);
        let master = context.create_interface(master).unwrap();
        let slave = context.create_interface(MemifConfig::new(&name)).unwrap();
        up(&master);
        up(&slave);
        if let Some(got) = as_nobody(|| Wire::connect(&name).expect_refusal()) {
            got.says("user 65534, group 65534 may not be a peer");
        }
    }
}

#[test]
fn a_slave_tells_its_secret_to_no_master_that_is_not_on_its_list() {
    let context = builder().allow_uids([4_000_000_001]).build().unwrap();
    let name = socket();
    // Anybody may have taken an abstract name.
    let raw = Master::listen(&name);
    let slave = MemifConfig::new(&name).secret("hush");
    let slave = context.create_interface(slave).unwrap();
    let wire = raw.accept();
    wire.expect_refusal().says("may not be a peer");
    until("the reason", || slave.last_failure().is_some());
    let failure = slave.last_failure().unwrap();
    assert_eq!(failure.kind, ErrorKind::PermissionDenied);
    assert!(failure.reason.contains("may not be a peer"), "{failure:?}");
    let process = slave.details().unwrap().remote_process.unwrap();
    assert_eq!(process.pid, std::process::id());
}

#[test]
fn the_peer_s_process_is_known() {
    let folder = folder();
    let path = path_in(&folder, "memif.sock");
    let context = builder().socket_mode(0o666).build().unwrap();
    let master = MemifConfig::new(&path).role(Role::Master);
    let master = context.create_interface(master).unwrap();
    assert_eq!(master.details().unwrap().remote_process, None);
    let link = Plan::new(0).up(&path);
    up(&master);
    let process = master.details().unwrap().remote_process.unwrap();
    assert_eq!(process.pid, std::process::id());
    assert_eq!(process.uid, geteuid().as_raw());
    assert_eq!(process.gid, getegid().as_raw());
    drop(link);
    down(&master);
    if let Some(_link) = as_nobody(|| Plan::new(0).up(&path)) {
        up(&master);
        let process = master.details().unwrap().remote_process.unwrap();
        assert_eq!((process.uid, process.gid), (NOBODY, NOBODY));
    }
}

#[test]
fn a_socket_of_another_user_is_left_alone() {
    let folder = folder();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).unwrap();
    let path = path_in(&folder, "memif.sock");
    let context = builder().build().unwrap();
    let master = MemifConfig::new(&path).role(Role::Master);
    let _master = context.create_interface(master).unwrap();
    // The control thread has the ids of the thread that made it.
    let got = as_nobody(|| {
        let context = builder().build().unwrap();
        let config = MemifConfig::new(&path).role(Role::Master);
        context.create_interface(config).unwrap_err()
    });
    if let Some(error) = got {
        assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error}");
        assert!(error.to_string().contains("another user's"), "{error}");
        assert!(fs::exists(&path).unwrap());
    }
}

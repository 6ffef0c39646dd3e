//! Socket files.

use std::fs;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixListener;
use std::path::Path;

use memif::{Context, Error, ErrorKind, MemifConfig, Role};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, bind, socket as new_socket};

use crate::common::*;
use crate::support::*;

fn refused_at(context: &Context, path: &Path) -> Error {
    let config = MemifConfig::new(path.to_str().unwrap()).role(Role::Master);
    let error = context.create_interface(config).unwrap_err();
    assert!(
        error.to_string().contains(path.to_str().unwrap()),
        "{error}"
    );
    error
}

#[test]
fn a_stale_socket_file_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("memif.sock");
    // As a killed master leaves it.
    let flags = SockFlag::empty();
    let stale = new_socket(AddressFamily::Unix, SockType::SeqPacket, flags, None).unwrap();
    bind(stale.as_raw_fd(), &UnixAddr::new(&path).unwrap()).unwrap();
    drop(stale);
    assert!(path.exists());
    let context = context();
    let master = master_on(&context, path.to_str().unwrap());
    works(&master, &slave_on(&context, path.to_str().unwrap()));
}

#[test]
fn a_socket_that_somebody_listens_on_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("memif.sock");
    let (first, second) = (context(), context());
    let master = master_on(&first, path.to_str().unwrap());
    let error = refused_at(&second, &path);
    assert_eq!(error.kind(), ErrorKind::Already);
    assert!(
        error.to_string().contains("in use by another program"),
        "{error}"
    );
    works(&master, &slave_on(&second, path.to_str().unwrap()));

    let name = socket();
    let master = master_on(&first, &name);
    let config = MemifConfig::new(&name).role(Role::Master);
    let error = second.create_interface(config).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Already, "{error}");
    works(&master, &slave_on(&second, &name));

    let path = folder.path().join("stream.sock");
    let _other = UnixListener::bind(&path).unwrap();
    let error = refused_at(&second, &path);
    assert!(error.to_string().contains("in use"), "{error}");
    assert!(path.exists());
}

#[test]
fn files_and_folders_are_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let context = context();
    let file = folder.path().join("notes.txt");
    fs::write(&file, "precious").unwrap();
    let error = refused_at(&context, &file);
    assert_eq!(error.kind(), ErrorKind::NotSocket, "{error}");
    assert!(error.to_string().contains("file"), "{error}");
    assert_eq!(fs::read_to_string(&file).unwrap(), "precious");

    let inside = folder.path().join("folder");
    fs::create_dir(&inside).unwrap();
    let error = refused_at(&context, &inside);
    assert_eq!(error.kind(), ErrorKind::NotSocket, "{error}");
    assert!(error.to_string().contains("folder"), "{error}");
    assert!(inside.is_dir());

    let link = folder.path().join("link");
    std::os::unix::fs::symlink(&file, &link).unwrap();
    assert_eq!(refused_at(&context, &link).kind(), ErrorKind::NotSocket);
    assert_eq!(fs::read_to_string(&link).unwrap(), "precious");

    let missing = folder.path().join("missing").join("memif.sock");
    assert_eq!(refused_at(&context, &missing).kind(), ErrorKind::NotFound);
    // What failed does not stand in the way of what follows.
    fs::remove_file(&file).unwrap();
    let master = master_on(&context, file.to_str().unwrap());
    works(&master, &slave_on(&context, file.to_str().unwrap()));
}

#[test]
fn paths_may_have_107_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let context = context();
    let room = 107 - folder.path().to_str().unwrap().len() - 1;
    let path = |len| folder.path().join("x".repeat(len));
    let master = master_on(&context, path(room).to_str().unwrap());
    works(&master, &slave_on(&context, path(room).to_str().unwrap()));
    let error = refused_at(&context, &path(room + 1));
    assert!(matches!(error, Error::Config { .. }), "{error:?}");
    let name = format!("@{}{}", socket().trim_start_matches('@'), "x".repeat(200));
    let master = master_on(&context, &name[..107]);
    works(&master, &slave_on(&context, &name[..107]));
}

#[test]
fn a_file_that_took_the_socket_s_place_is_not_removed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("memif.sock");
    let context = context();
    let master = master_on(&context, path.to_str().unwrap());
    fs::remove_file(&path).unwrap();
    fs::write(&path, "precious").unwrap();
    master.close();
    assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
}

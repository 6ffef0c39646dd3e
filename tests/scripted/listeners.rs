//! Servers that die of a connection which is closed at once, as DPDK's 22.11.

use memif::ErrorKind;

use crate::*;

/// Whether somebody listens is found out without a connection.
#[test]
fn a_master_does_not_connect_to_a_socket_that_it_finds() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s").display().to_string();
    let raw = Master::listen(&path);
    let context = context();
    let config = MemifConfig::new(&path).role(Role::Master);
    let error = context.create_interface(config).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Already, "{error}");
    assert!(!raw.is_asked(), "it has connected");
}

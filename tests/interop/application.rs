//! A DPDK application of one's own, which is not testpmd: `application.c`.

use std::path::{Path, PathBuf};
use std::process::Command;

use memif::{Context, MemifConfig, Role};

use crate::forward::{bounce, connect};
use crate::peers::{Dpdk, installed, one_at_a_time, output, there};

#[test]
fn every_size_through_a_dpdk_application() {
    if !installed(&["cc", "pkg-config"]) {
        return;
    }
    let found = Command::new("pkg-config")
        .args(["--exists", "libdpdk"])
        .status();
    if !there("libdpdk", found.unwrap().success()) {
        return;
    }
    let _turn = one_at_a_time();
    let dir = tempfile::tempdir().unwrap();
    let program = built(dir.path());
    for (dpdk_role, role) in [("server", Role::Slave), ("client", Role::Master)] {
        let socket = dir.path().join(dpdk_role).display().to_string();
        let device = format!("role={dpdk_role},socket={socket},id=0,socket-abstract=no");
        let mut peer = Dpdk::start(&program, dir.path(), &[device], &[]);
        let context = Context::new("interop").unwrap();
        let config = MemifConfig::new(&socket).role(role);
        let memif = context.create_interface(config).unwrap();
        connect(&memif);
        let mut handle = memif.packet_handle(0).unwrap();
        for round in 0..200 {
            bounce(&mut handle, round);
        }
        peer.stop();
    }
}

fn built(dir: &Path) -> PathBuf {
    let program = dir.join("application");
    let flags = output("pkg-config", &["--cflags", "--libs", "libdpdk"]);
    let out = Command::new("cc")
        .args(["-O2", "-Wall", "-Wextra", "-o"])
        .arg(&program)
        .arg(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/interop/application.c"
        ))
        .args(flags.split_whitespace())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{said}");
    program
}

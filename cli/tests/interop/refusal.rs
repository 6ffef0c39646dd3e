//! What testpmd refuses.

use std::process::Command;

use crate::command::MEMIF;
use crate::peers::{Testpmd, installed, one_at_a_time};

#[test]
fn a_wrong_secret_a_wrong_id_and_a_wrong_mode_are_told() {
    if !installed(&["dpdk-testpmd"]) {
        return;
    }
    let _turn = one_at_a_time();
    // Each against a testpmd of its own: DPDK 22.11 sometimes dies of a peer that leaves at once.
    let capture = |args: &[&str]| {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("memif.sock").display().to_string();
        let _testpmd = Testpmd::start(dir.path(), "server", &socket, ",secret=abra", "txonly", &[]);
        let out = Command::new(MEMIF)
            .args(["capture", "-s", &socket, "-c", "1", "--timeout", "60"])
            .args(args)
            .output()
            .unwrap();
        (out, socket)
    };
    let fails = |args: &[&str], says: &str| {
        let (out, socket) = capture(args);
        let said = String::from_utf8_lossy(&out.stderr);
        assert_eq!(out.status.code(), Some(1), "{args:?}: {said}");
        let last = said.lines().rfind(|l| l.contains(says));
        assert!(
            last.is_some_and(|l| l.contains(&socket)),
            "{args:?}: {said}"
        );
    };
    fails(&["--secret", "kadabra"], "--secret");
    fails(&["--id", "7", "--secret", "abra"], "--id");
    fails(&["--mode", "ip", "--secret", "abra"], "--mode");
    let (out, _) = capture(&["--secret", "abra"]);
    assert!(out.status.success(), "{out:?}");
}

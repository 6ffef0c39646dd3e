//! `memif info` against testpmd, and promtool on the metrics.

use std::io::Write;
use std::process::{Command, Stdio};

use crate::command::{MEMIF, Running};
use crate::peers::{PATIENCE, Testpmd, installed, one_at_a_time, wait_until};

#[test]
fn info_of_testpmd_in_both_roles() {
    if !installed(&["dpdk-testpmd"]) {
        return;
    }
    let _turn = one_at_a_time();
    for (dpdk_role, role) in [("server", "slave"), ("client", "master")] {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("memif.sock").display().to_string();
        let _testpmd = Testpmd::start(dir.path(), dpdk_role, &socket, "", "rxonly", &[]);
        // It takes its time to begin.
        let mut text = String::new();
        assert!(wait_until(PATIENCE, || {
            let out = Command::new(MEMIF)
                .args(["info", "-s", &socket, "--role", role])
                .output()
                .unwrap();
            text = String::from_utf8_lossy(&out.stdout).into_owned();
            out.status.success()
        }));
        for part in [
            "DPDK 2",
            "net_memif0",
            "receive 0",
            "transmit 0",
            "region 0",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
}

#[test]
fn promtool_is_content_with_the_metrics() {
    if !installed(&["promtool", "curl"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("memif.sock").display().to_string();
    let args = [
        "capture",
        "-s",
        &socket,
        "--role",
        "master",
        "--metrics",
        "0",
    ];
    let mut capture = Running::start(None, &args);
    let said = capture.says("Metrics are served on");
    let url = said.rsplit(' ').next().unwrap();
    let metrics = Command::new("curl").args(["-sf", url]).output().unwrap();
    assert!(metrics.status.success(), "{metrics:?}");
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    promtool
        .stdin
        .take()
        .unwrap()
        .write_all(&metrics.stdout)
        .unwrap();
    let out = promtool.wait_with_output().unwrap();
    assert!(out.status.success() && out.stderr.is_empty(), "{out:?}");
    capture.stop();
}

/// What `info` says of it, which is one line and no link.
fn fails(args: &[&str]) -> String {
    let out = Command::new(MEMIF).arg("info").args(args).output().unwrap();
    let said = String::from_utf8(out.stderr).unwrap();
    assert_eq!(out.status.code(), Some(1), "{args:?}: {said}");
    assert!(out.stdout.is_empty(), "{args:?}");
    assert_eq!(said.lines().count(), 1, "{args:?}: {said}");
    said
}

#[test]
fn info_tells_testpmds_refusals_in_a_line() {
    if !installed(&["dpdk-testpmd"]) {
        return;
    }
    let _turn = one_at_a_time();
    // Each by a testpmd of its own: DPDK 22.11 sometimes dies of a peer that leaves at once.
    for (args, says) in [
        (["--secret", "abra", "--id", "7"], "--id"),
        (["--secret", "kadabra", "--id", "0"], "--secret"),
        (["--secret", "abra", "--mode", "ip"], "--mode"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("memif.sock").display().to_string();
        let _testpmd = Testpmd::start(dir.path(), "server", &socket, ",secret=abra", "rxonly", &[]);
        let good = ["info", "-s", &socket, "--secret", "abra"];
        assert!(wait_until(PATIENCE, || {
            let out = Command::new(MEMIF).args(good).output().unwrap();
            out.status.success()
        }));
        let said = fails(&[&["-s", &socket], &args[..]].concat());
        assert!(said.contains(says) && said.contains(&socket), "{said}");
    }
}

#[test]
fn info_tells_of_a_socket_file_that_nobody_listens_on() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("memif.sock").display().to_string();
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    let said = fails(&["-s", &socket]);
    assert!(
        said.contains("nobody listens") && said.contains(&socket),
        "{said}"
    );
}

//! `memif info` against testpmd, and promtool on the metrics.

use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};

use crate::command::Running;
use crate::peers::{PATIENCE, Testpmd, installed, one_at_a_time, wait_until};

const MEMIF: &str = env!("CARGO_BIN_EXE_memif");

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
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap().to_string();
    drop(free);
    let args = [
        "capture",
        "-s",
        &socket,
        "--role",
        "master",
        "--metrics",
        &address,
    ];
    let mut capture = Running::start(None, &args);
    capture.says("metrics are on");
    assert!(wait_until(PATIENCE, || TcpStream::connect(&address).is_ok()));
    let url = format!("http://{address}/metrics");
    let metrics = Command::new("curl").args(["-sf", &url]).output().unwrap();
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

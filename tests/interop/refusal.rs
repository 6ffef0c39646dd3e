//! What testpmd refuses, and a testpmd that dies.

use std::process::Command;

use memif::{Context, Eof, Error, MemifConfig, PacketHandle, Role, Wait};

use crate::peers::{PATIENCE, Testpmd, installed, one_at_a_time, wait_until};

const MEMIF: &str = env!("CARGO_BIN_EXE_memif");

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

#[test]
fn a_killed_testpmd_comes_back() {
    if !installed(&["dpdk-testpmd"]) {
        return;
    }
    let _turn = one_at_a_time();
    for (dpdk_role, role) in [("server", Role::Slave), ("client", Role::Master)] {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("memif.sock").display().to_string();
        let context = Context::new("interop").unwrap();
        let memif = context
            .create_interface(MemifConfig::new(&socket).role(role))
            .unwrap();
        let mut handle = memif.packet_handle(0, 64).unwrap();
        for _ in 0..3 {
            let mut testpmd = Testpmd::start(dir.path(), dpdk_role, &socket, "", "txonly", &[]);
            assert!(wait_until(PATIENCE, || memif.is_link_up()));
            for _ in 0..10_000 {
                assert_eq!(read(&mut handle).unwrap(), 64);
            }
            testpmd.kill();
            if dpdk_role == "server" {
                // DPDK does not replace the socket that its dead process has left.
                std::fs::remove_file(&socket).unwrap();
            }
            // All that was on the ring, then the end.
            loop {
                match read(&mut handle) {
                    Ok(length) => assert_eq!(length, 64),
                    Err(e) => {
                        assert_eq!(e.eof(), Some(Eof::LinkDown), "{e}");
                        break;
                    }
                }
            }
            assert_eq!(handle.wait(Some(PATIENCE)).unwrap(), Wait::LinkDown);
        }
    }
}

fn read(handle: &mut PacketHandle) -> Result<usize, Error> {
    let packet = handle.read_packet_timeout(Some(PATIENCE))?;
    Ok(packet.len())
}

//! A testpmd that dies.

use memif::{Context, Eof, Error, MemifConfig, PacketHandle, Role, Wait};

use crate::peers::{PATIENCE, Testpmd, installed, one_at_a_time, wait_until};

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
        let mut handle = memif.packet_handle(0).unwrap();
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

//! The async example, and an async echo, with testpmd.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use memif::pcap::CaptureReader;
use memif::stream::AsyncPacketHandle;
use memif::{Context, Error, MemifConfig, PacketSource, Role};

use crate::forward::connect;
use crate::peers::{PATIENCE, Testpmd, installed, one_at_a_time, wait_until};

/// cargo runs it, and builds it where only this test was built.
fn example(socket: &str, file: &Path, role: &str) -> Child {
    let cargo = std::env::var_os("CARGO").unwrap_or("cargo".into());
    Command::new(cargo)
        .args(["run", "-q", "--offline", "--features", "full"])
        .args(["--example", "async_capture", "--", socket])
        .arg(file)
        .args((role == "master").then_some("master"))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn capture(dpdk_role: &str, our_role: &str) {
    if !installed(&["dpdk-testpmd"]) {
        return;
    }
    let _turn = one_at_a_time();
    // Built before a peer waits for it: without a peer it captures what it sends itself.
    let built = example("", Path::new("/dev/null"), "").wait_with_output();
    assert!(
        !built.unwrap().status.success(),
        "an empty socket is refused"
    );
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("memif.sock").display().to_string();
    let file = dir.path().join("x.pcap");
    let mut testpmd = Testpmd::start(dir.path(), dpdk_role, &socket, "", "txonly", &[]);
    let said = loop {
        let mut child = example(&socket, &file, our_role);
        let mut ended = false;
        assert!(wait_until(PATIENCE, || {
            ended = matches!(child.try_wait(), Ok(Some(_)));
            ended || file.metadata().is_ok_and(|m| m.len() > 1 << 20)
        }));
        if !ended {
            // The peer leaves; so the capture ends by itself.
            testpmd.stop();
        }
        let out = child.wait_with_output().unwrap();
        if out.status.success() {
            break String::from_utf8(out.stdout).unwrap();
        }
        // DPDK listens before its interface is there.
        let error = String::from_utf8_lossy(&out.stderr).into_owned();
        assert!(error.contains("ID not found"), "{error}");
    };
    let mut reader = CaptureReader::open(&file).unwrap();
    let mut packets = 0u64;
    loop {
        match reader.read_packet() {
            Ok(packet) => assert_eq!(packet.len(), 64),
            Err(Error::Eof(_)) => break,
            Err(e) => panic!("{e}"),
        }
        packets += 1;
    }
    assert!(packets > 10_000, "{packets}");
    assert!(said.starts_with(&format!("{packets} packets")), "{said}");
}

#[test]
fn the_async_example_captures_a_dpdk_server() {
    capture("server", "slave");
}

#[test]
fn the_async_example_captures_a_dpdk_client() {
    capture("client", "master");
}

/// Interrupts both ways: testpmd signals, and sleeps are short and many.
#[test]
fn ten_thousand_packets_come_back_one_by_one() {
    if !installed(&["dpdk-testpmd"]) {
        return;
    }
    let _turn = one_at_a_time();
    for (dpdk_role, role) in [("server", Role::Slave), ("client", Role::Master)] {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("memif.sock").display().to_string();
        let _testpmd = Testpmd::start(dir.path(), dpdk_role, &socket, "", "macswap", &[]);
        let context = Context::new("interop").unwrap();
        let memif = context
            .create_interface(MemifConfig::new(&socket).role(role))
            .unwrap();
        connect(&memif);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let mut handle = AsyncPacketHandle::new(memif.packet_handle(0).unwrap()).unwrap();
            for n in 0..10_000u64 {
                let mut packet = [2; 64];
                packet[6] = 6;
                packet[14..22].copy_from_slice(&n.to_le_bytes());
                handle.write_packet(&packet).await.unwrap();
                let back = tokio::time::timeout(PATIENCE, handle.read_packet());
                let back = back.await.expect("a packet came back").unwrap();
                assert_eq!((back.len(), &back[14..22]), (64, &n.to_le_bytes()[..]));
            }
        });
    }
}

//! Packets of all sizes through testpmd's macswap, and back.

use memif::{Context, Error, MemifConfig, PacketHandle, Role};

use crate::peers::{PATIENCE, Testpmd, installed, one_at_a_time};

/// Packets of several buffers on the way back (DPDK's MULTI_SEGS).
const JUMBO: &[&str] = &["--tx-offloads=0x8000"];

#[test]
fn every_size_through_a_dpdk_server() {
    round_trip("server", Role::Slave, 1, "");
}

#[test]
fn every_size_through_a_dpdk_client() {
    round_trip("client", Role::Master, 1, "");
}

#[test]
fn two_queues_through_a_dpdk_server() {
    round_trip("server", Role::Slave, 2, ",rsize=8,secret=abra");
}

#[test]
fn two_queues_through_a_dpdk_client() {
    round_trip(
        "client",
        Role::Master,
        2,
        ",rsize=11,bsize=4096,secret=abra",
    );
}

fn round_trip(dpdk_role: &str, role: Role, queues: u8, vdev: &str) {
    if !installed(&["dpdk-testpmd"]) {
        return;
    }
    let _turn = one_at_a_time();
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("memif.sock").display().to_string();
    let (rxq, txq) = (format!("--rxq={queues}"), format!("--txq={queues}"));
    let mut options = JUMBO.to_vec();
    options.extend([rxq.as_str(), txq.as_str()]);
    let _testpmd = Testpmd::start(dir.path(), dpdk_role, &socket, vdev, "macswap", &options);

    let context = Context::new("interop").unwrap();
    let secret = if vdev.contains("secret") { "abra" } else { "" };
    let config = MemifConfig::new(&socket)
        .role(role)
        .queues(queues, queues)
        .secret(secret);
    let memif = context.create_interface(config).unwrap();
    connect(&memif);
    let details = memif.details().unwrap();
    assert!(details.remote_name.starts_with("DPDK"), "{details:?}");
    assert_eq!(details.rx_queues.len(), queues.into());
    assert_eq!(details.tx_queues.len(), queues.into());

    for queue in 0..queues {
        let mut handle = memif.packet_handle(queue).unwrap();
        // Ring sizes wrap; jumbo chains straddle the ring's end.
        for round in 0..200 {
            bounce(&mut handle, round);
        }
        assert!(handle.read_packet().unwrap_err().is_eof());
    }
}

/// DPDK listens before its interface is there, and says so; that passes.
pub(crate) fn connect(memif: &memif::Memif) {
    let end = std::time::Instant::now() + PATIENCE;
    loop {
        match memif.wait_link_up(Some(PATIENCE)) {
            Ok(()) => return,
            Err(Error::TimedOut) => panic!("no link: {:?}", memif.last_failure()),
            Err(e @ Error::Refused(_)) => {
                assert!(e.to_string().contains("ID not found"), "{e}");
                assert!(std::time::Instant::now() < end, "{e}");
            }
            Err(e) => panic!("{e}"),
        }
    }
}

/// As many as testpmd can send back even if it is slow: it drops what its ring has no room for.
pub(crate) fn bounce(handle: &mut PacketHandle, round: usize) {
    const SIZES: [usize; 9] = [64, 9000, 1514, 60, 2048, 2049, 4096, 65, 1500];
    let packets: Vec<Vec<u8>> = SIZES
        .iter()
        .enumerate()
        .map(|(n, &size)| {
            let mut packet: Vec<u8> = (0..size).map(|i| (i * 7 + n + round) as u8).collect();
            // No group bit: these are addresses of single stations.
            packet[..12].copy_from_slice(&[2, 0, 0, 0, 0, n as u8, 6, 0, 0, 0, round as u8, 9]);
            packet[12..14].copy_from_slice(&[0x88, 0xb5]);
            packet
        })
        .collect();
    for packet in &packets {
        handle.write_packet_timeout(packet, Some(PATIENCE)).unwrap();
    }
    for (n, sent) in packets.iter().enumerate() {
        let got = handle.read_packet_timeout(Some(PATIENCE)).unwrap();
        let at = format!("round {round}, packet {n} of {} bytes", sent.len());
        assert_eq!(got.len(), sent.len(), "{at}");
        assert_eq!((&got[..6], &got[6..12]), (&sent[6..12], &sent[..6]), "{at}");
        assert!(got[12..] == sent[12..], "{at}: other bytes");
    }
}

//! Hosts of `memif::net` beside VPP, which routes between them.

use std::net::IpAddr;
use std::time::Duration;

use memif::net::Net;
use memif::phy::MemifDevice;
use memif::{Context, Memif, MemifConfig, Role};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, timeout};

use crate::peers::PATIENCE;
use crate::vpp::Vpp;

const ECHOED: usize = 2_000_000;

/// The host behind memif1/`n`, whose own end VPP has.
async fn host(context: &Context, vpp: &Vpp, n: u8) -> (Memif, Net) {
    // Not both ends of VPP in one role.
    let (ours, theirs) = match n {
        0 => (Role::Slave, "master"),
        _ => (Role::Master, "slave"),
    };
    let socket = format!("{}{n}", vpp.socket());
    vpp.does(&format!(
        "create memif socket id {} filename {socket}",
        n + 1
    ));
    let config = MemifConfig::new(&socket).id(n.into()).role(ours);
    let memif = context.create_interface(config).unwrap();
    vpp.does(&format!(
        "create interface memif id {n} socket-id {} {theirs}",
        n + 1
    ));
    let name = format!("memif{}/{n}", n + 1);
    vpp.does(&format!("set interface state {name} up"));
    vpp.does(&format!("set interface ip address {name} 10.7.{n}.1/24"));
    vpp.does(&format!("set interface ip address {name} fd07:{n}::1/64"));
    timeout(PATIENCE, memif.link_up()).await.unwrap().unwrap();
    let device = MemifDevice::new(&memif, 0).unwrap();
    let addresses: [IpAddr; 2] = [address(4, n, 2), address(6, n, 2)];
    let net = Net::builder()
        .address(addresses[0], 24)
        .address(addresses[1], 64)
        .gateway(address(4, n, 1))
        .gateway(address(6, n, 1))
        .start(device)
        .unwrap();
    (memif, net)
}

fn address(version: u8, network: u8, host: u8) -> IpAddr {
    let text = match version {
        4 => format!("10.7.{network}.{host}"),
        _ => format!("fd07:{network}::{host}"),
    };
    text.parse().unwrap()
}

/// Until the first answer, as an address may be looked at for a while before it is used.
async fn reaches(net: &Net, to: IpAddr) {
    let end = Instant::now() + PATIENCE;
    while let Err(e) = net.ping(to).await {
        assert!(Instant::now() < end, "{to}: {e}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_ping_vpp_and_are_pinged_and_talk_through_it() {
    let Some(vpp) = Vpp::start(0) else { return };
    let context = Context::new("net").unwrap();
    let (_left, left) = host(&context, &vpp, 0).await;
    let (_right, right) = host(&context, &vpp, 1).await;
    for version in [4, 6] {
        for (n, net) in [(0, &left), (1, &right)] {
            reaches(net, address(version, n, 1)).await;
            for _ in 0..20 {
                net.ping(address(version, n, 1)).await.unwrap();
            }
            let said = vpp.says(&format!(
                "ping {} repeat 20 interval 0.01",
                address(version, n, 2)
            ));
            assert!(said.contains("20 sent, 20 received"), "{said}");
        }
        reaches(&left, address(version, 1, 2)).await;
        let listener = right.listen((address(version, 1, 2), 7)).unwrap();
        let echo = tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let (mut from, mut to) = tokio::io::split(stream);
            tokio::io::copy(&mut from, &mut to).await.unwrap();
            to.shutdown().await.unwrap();
        });
        let stream = left.connect((address(version, 1, 2), 7)).await.unwrap();
        let (mut from, mut to) = stream.into_split();
        let data: Vec<u8> = (0..ECHOED).map(|n| (n / 3 % 251) as u8).collect();
        let sent = data.clone();
        let sending = tokio::spawn(async move {
            to.write_all(&sent).await.unwrap();
            to.shutdown().await.unwrap();
        });
        let mut back = Vec::new();
        let read = timeout(Duration::from_secs(60), from.read_to_end(&mut back));
        read.await.unwrap().unwrap();
        assert!(back == data, "{} bytes came back, or others", back.len());
        sending.await.unwrap();
        echo.await.unwrap();
    }
}

//! The end of hosts, interfaces and runtimes.

use super::*;

#[tokio::test]
async fn a_closed_interface_ends_everything_that_waits() {
    let hosts = Hosts::new();
    let (mut a, _b, listener) = hosts.connected().await;
    let udp = hosts.b.udp((B, 9)).unwrap();
    let (host, other) = (hosts.b.clone(), hosts.a.clone());
    let accepting = tokio::spawn(async move { listener.accept().await.map(drop) });
    let receiving = tokio::spawn(async move { udp.recv_from(&mut [0; 9]).await.map(drop) });
    let pinging = tokio::spawn(async move { host.ping([10, 0, 0, 9]).await.map(drop) });
    let reading = tokio::spawn(async move { a.read_u8().await.map(drop) });
    let connecting = tokio::spawn(async move { other.connect(([10, 0, 0, 9], 9)).await.map(drop) });
    tokio::time::sleep(Duration::from_millis(10)).await;
    let (master, slave) = (hosts.pair.master.clone(), hosts.pair.slave.clone());
    tokio::task::spawn_blocking(move || {
        master.close();
        slave.close();
    })
    .await
    .unwrap();
    for waiting in [accepting, receiving, pinging, reading, connecting] {
        let ended = soon(waiting).await.unwrap();
        assert_eq!(kind(ended), io::ErrorKind::NotConnected);
    }
    let after = hosts.a.connect((B, PORT)).await;
    assert_eq!(kind(after), io::ErrorKind::NotConnected);
    assert_eq!(kind(hosts.a.listen((A, PORT))), io::ErrorKind::NotConnected);
    assert_eq!(kind(hosts.a.udp((A, 9))), io::ErrorKind::NotConnected);
}

#[test]
fn a_runtime_that_ends_takes_its_host_with_it() {
    let runtime = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
    };
    let (first, second) = (runtime(), runtime());
    let hosts = first.block_on(async { Hosts::new() });
    let listener = hosts.b.listen((B, PORT)).unwrap();
    drop(first);
    let accepted = second.block_on(soon(listener.accept()));
    assert_eq!(kind(accepted), io::ErrorKind::NotConnected);
}

#[tokio::test]
async fn drained_waits_for_the_last_byte() {
    let hosts = Hosts::with(|c| c, |b| b.buffers(1 << 18, 1 << 18));
    let (mut a, mut b, _listener) = hosts.connected().await;
    a.write_all(&pattern(1, 1 << 18)).await.unwrap();
    drop(a);
    let host = hosts.a.clone();
    let draining = tokio::spawn(async move { host.drained().await });
    let mut read = Vec::new();
    soon(b.read_to_end(&mut read)).await.unwrap();
    assert_same(&read, &pattern(1, 1 << 18), "what was written");
    drop(b);
    soon(draining).await.unwrap().unwrap();
    assert_eq!(hosts.a.sockets(), 0);
}

/// A peer that never closes its side does not keep the socket of a stream that was dropped.
#[tokio::test]
async fn a_dropped_listener_resets_those_who_wait() {
    let hosts = Hosts::new();
    let listener = hosts.b.listen((B, PORT)).unwrap();
    let mut stream = soon(hosts.a.connect((B, PORT))).await.unwrap();
    drop(listener);
    let read = soon(stream.read_u8()).await;
    assert_eq!(kind(read), io::ErrorKind::ConnectionReset);
    let refused = soon(hosts.a.connect((B, PORT))).await;
    assert_eq!(kind(refused), io::ErrorKind::ConnectionRefused);
    drop(stream);
    hosts.are_empty().await;
}

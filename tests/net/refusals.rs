//! Errors, each of its kind.

use memif::{Context, Role};

use super::*;

#[tokio::test]
async fn a_port_where_nobody_listens_refuses() {
    let hosts = Hosts::new();
    let refused = soon(hosts.a.connect((B, PORT))).await;
    assert_eq!(kind(refused), io::ErrorKind::ConnectionRefused);
    hosts.are_empty().await;
}

#[tokio::test]
async fn a_port_is_given_once() {
    let hosts = Hosts::new();
    let listener = hosts.b.listen((B, PORT)).unwrap();
    for again in [at(B, PORT), at([0, 0, 0, 0], PORT), at([0u16; 8], PORT)] {
        assert_eq!(kind(hosts.b.listen(again)), io::ErrorKind::AddrInUse);
    }
    // Other addresses and ports, and those of UDP, are free.
    let v6 = at([0xfd00, 0, 0, 0, 0, 0, 0, 2u16], PORT);
    let other = hosts.b.listen(v6).unwrap();
    assert!(hosts.b.listen(at(B, PORT + 1)).is_ok());
    let udp = hosts.b.udp((B, PORT)).unwrap();
    assert_eq!(kind(hosts.b.udp((B, PORT))), io::ErrorKind::AddrInUse);
    drop((listener, other, udp));
    assert!(hosts.b.listen(at([0, 0, 0, 0], PORT)).is_ok());
    assert!(hosts.b.udp(at([0, 0, 0, 0], PORT)).is_ok());
    let chosen = hosts.b.listen(at(B, 0)).unwrap();
    assert!(chosen.local_addr().unwrap().port() >= 32_768);
}

#[tokio::test]
async fn addresses_that_can_not_be_reached_say_so() {
    let hosts = Hosts::new();
    for (to, wanted) in [
        (
            at([192, 168, 1, 1], PORT),
            io::ErrorKind::NetworkUnreachable,
        ),
        (at(A, PORT), io::ErrorKind::AddrNotAvailable),
        (at([127, 0, 0, 1], PORT), io::ErrorKind::AddrNotAvailable),
        (at([0, 0, 0, 0], PORT), io::ErrorKind::InvalidInput),
        (at([224, 0, 0, 1], PORT), io::ErrorKind::InvalidInput),
        (at(B, 0), io::ErrorKind::InvalidInput),
    ] {
        assert_eq!(kind(soon(hosts.a.connect(to)).await), wanted, "{to}");
    }
    let other = hosts.a.listen(at(B, PORT));
    assert_eq!(kind(other), io::ErrorKind::AddrNotAvailable);
    assert_eq!(hosts.a.sockets(), 0);
}

#[tokio::test]
async fn a_udp_socket_of_one_address_sends_to_none_of_the_other_family() {
    let hosts = Hosts::new();
    let v6 = [0xfd00, 0, 0, 0, 0, 0, 0, 1u16];
    for (from, to) in [
        (at(A, 0), at([0xfd00, 0, 0, 0, 0, 0, 0, 2u16], PORT)),
        (at(A, 0), at([0xff02, 0, 0, 0, 0, 0, 0, 1u16], PORT)),
        (at(v6, 0), at(B, PORT)),
        (at(v6, 0), at([224, 0, 0, 1], PORT)),
    ] {
        let udp = hosts.a.udp(from).unwrap();
        let sent = soon(udp.send_to(b"x", to)).await;
        assert_eq!(kind(sent), io::ErrorKind::InvalidInput, "{from} {to}");
    }
    // The host still works.
    hosts.connected().await;
}

#[tokio::test]
async fn a_host_that_is_not_there_times_out() {
    let hosts = Hosts::with(|c| c, |b| b.patience(Duration::from_millis(50)));
    let nobody = soon(hosts.a.connect(([10, 0, 0, 9], PORT))).await;
    assert_eq!(kind(nobody), io::ErrorKind::TimedOut);
    hosts.are_empty().await;
}

#[tokio::test]
async fn a_reset_is_told_to_both_halves() {
    let hosts = Hosts::new();
    let (mut a, mut b, _listener) = hosts.connected().await;
    a.write_all(b"nobody reads this").await.unwrap();
    until_async("what was written", || hosts.b.stats().rx_bytes > 0).await;
    let mut one = [0];
    soon(b.read_exact(&mut one)).await.unwrap();
    drop(b);
    let mut rest = Vec::new();
    let read = soon(a.read_to_end(&mut rest)).await;
    assert_eq!(kind(read), io::ErrorKind::ConnectionReset);
    let written = a.write_all(b"more").await;
    assert_eq!(kind(written), io::ErrorKind::ConnectionReset);
    drop(a);
    hosts.are_empty().await;
}

#[tokio::test]
async fn settings_that_no_host_can_have_are_refused() {
    let context = Context::new("test").unwrap();
    let config = MemifConfig::new(socket()).role(Role::Master);
    let memif = context.create_interface(config).unwrap();
    let start = |builder: NetBuilder| builder.start(MemifDevice::new(&memif, 0).unwrap());
    let builder = Net::builder;
    for wrong in [
        builder().address([224, 0, 0, 1], 24),
        builder().address([255, 255, 255, 255], 24),
        builder().address([0, 0, 0, 0], 24),
        builder().address(A, 33),
        builder().mac([1, 0, 0, 0, 0, 0]),
        builder().gateway([224, 0, 0, 1]),
        builder().route(A, 8, [0xfe80u16, 0, 0, 0, 0, 0, 0, 1]),
        (1..=8).fold(builder(), |b, n| b.address([10, 0, n, 1], 24)),
        (0..33).fold(builder(), |b, n| b.route([10, n, 0, 0], 16, B)),
    ] {
        let refused = start(wrong.clone());
        assert_eq!(kind(refused), io::ErrorKind::InvalidInput, "{wrong:?}");
    }
    let most = (1..=7).fold(builder(), |b, n| b.address([10, 0, n, 1], 24));
    assert_eq!(start(most).unwrap().addresses().len(), 8);
}

#[test]
fn a_host_needs_a_runtime() {
    let context = Context::new("test").unwrap();
    let memif = context
        .create_interface(MemifConfig::new(socket()))
        .unwrap();
    let device = MemifDevice::new(&memif, 0).unwrap();
    assert!(Net::new(device, &[(A.into(), 24)]).is_err());
}

//! UDP and ping.

use std::future::poll_fn;
use std::pin::pin;

use super::*;

#[tokio::test]
async fn datagrams_go_both_ways() {
    let hosts = Hosts::new();
    let server = hosts.b.udp(at([0, 0, 0, 0], 53)).unwrap();
    let v6: [u16; 8] = [0xfd00, 0, 0, 0, 0, 0, 0, 2];
    for to in [at(B, 53), at(v6, 53)] {
        let client = hosts.a.udp(at([0, 0, 0, 0], 0)).unwrap();
        let port = client.local_addr().unwrap().port();
        let mut buffer = vec![0; 2000];
        for length in [0, 1, 1400] {
            let data = pattern(length as u64, length);
            client.send_to(&data, to).await.unwrap();
            let (got, from) = soon(server.recv_from(&mut buffer)).await.unwrap();
            assert_same(&buffer[..got], &data, "question");
            assert_eq!(from.port(), port);
            server.send_to(&buffer[..got], from).await.unwrap();
            let (got, from) = soon(client.recv_from(&mut buffer)).await.unwrap();
            assert_same(&buffer[..got], &data, "answer");
            assert_eq!(from, to);
        }
        let long = client.send_to(&[0; 1473], to).await.unwrap_err();
        assert_eq!(long.raw_os_error(), Some(nix::libc::EMSGSIZE));
    }
    drop(server);
    hosts.are_empty().await;
}

/// A datagram that is longer than the buffer is cut off, and the next is whole.
#[tokio::test]
async fn what_does_not_fit_is_cut_off() {
    let hosts = Hosts::new();
    let (a, b) = (hosts.a.udp((A, 9)).unwrap(), hosts.b.udp((B, 9)).unwrap());
    a.send_to(b"long", at(B, 9)).await.unwrap();
    a.send_to(b"no", at(B, 9)).await.unwrap();
    let mut buffer = [0; 2];
    for wanted in [b"lo", b"no"] {
        assert_eq!(soon(b.recv_from(&mut buffer)).await.unwrap(), (2, at(A, 9)));
        assert_eq!(&buffer, wanted);
    }
}

/// More than the socket holds: the sender waits, and nothing comes twice.
#[tokio::test]
async fn a_sender_waits_for_room() {
    let hosts = Hosts::new();
    let (a, b) = (hosts.a.udp((A, 9)).unwrap(), hosts.b.udp((B, 9)).unwrap());
    let mut came = std::collections::BTreeSet::new();
    let mut buffer = [0; 4];
    for n in 0..5000u32 {
        soon(a.send_to(&n.to_be_bytes(), at(B, 9))).await.unwrap();
    }
    // Some of them were lost, as nobody read them.
    while !came.contains(&u32::MAX) {
        a.send_to(&u32::MAX.to_be_bytes(), at(B, 9)).await.unwrap();
        soon(b.recv_from(&mut buffer)).await.unwrap();
        let n = u32::from_be_bytes(buffer);
        assert!(came.insert(n), "{n} came twice");
    }
    assert!(came.len() > 1);
}

#[tokio::test]
async fn pings_are_answered() {
    let hosts = Hosts::new();
    let v6: [u16; 8] = [0xfd00, 0, 0, 0, 0, 0, 0, 2];
    for to in [IpAddr::from(B), v6.into()] {
        soon(hosts.a.ping(to)).await.unwrap();
        let many = (0..200).map(|_| hosts.a.ping(to));
        for answer in soon(futures_util::future::join_all(many)).await {
            answer.unwrap();
        }
    }
    let nobody = hosts.a.ping([10, 0, 0, 9]);
    let waited = tokio::time::timeout(Duration::from_millis(20), nobody).await;
    assert!(waited.is_err());
    assert_eq!(hosts.a.sockets(), 0);
}

/// What is for a neighbour that is not there holds up nothing else.
#[tokio::test]
async fn a_neighbour_that_is_not_there_holds_up_no_others() {
    let hosts = Hosts::new();
    let (a, b) = (hosts.a.udp((A, 9)).unwrap(), hosts.b.udp((B, 9)).unwrap());
    for n in 100..150 {
        soon(a.send_to(b"who is there?", at([10, 0, 0, n], 9)))
            .await
            .unwrap();
        soon(a.send_to(&[n], at(B, 9))).await.unwrap();
    }
    // Those that were queued behind one for nobody may be lost; later ones are not.
    let (mut buffer, start) = ([0; 20], std::time::Instant::now());
    loop {
        assert!(start.elapsed() < LONG, "the last one never comes");
        a.send_to(b"last", at(B, 9)).await.unwrap();
        let came = tokio::time::timeout(Duration::from_millis(5), b.recv_from(&mut buffer)).await;
        if came.is_ok_and(|read| read.unwrap().0 == 4) {
            break;
        }
    }
    assert!(hosts.a.sockets() <= 9, "{}", hosts.a.sockets());
    drop((a, b));
    hosts.are_empty().await;
}

/// It counts as one, though it has no bytes.
#[tokio::test]
async fn a_datagram_without_bytes_is_sent_and_holds_up_no_others() {
    let hosts = Hosts::new();
    let (a, b) = (hosts.a.udp((A, 9)).unwrap(), hosts.b.udp((B, 9)).unwrap());
    soon(hosts.a.ping(B)).await.unwrap();
    a.send_to(b"", at([10, 0, 0, 9], 9)).await.unwrap();
    // It is sent after the other was looked at.
    soon(hosts.a.ping(B)).await.unwrap();
    a.send_to(b"for another", at(B, 9)).await.unwrap();
    let mut buffer = [0; 20];
    assert_eq!(soon(b.recv_from(&mut buffer)).await.unwrap().0, 11);
    a.send_to(b"", at(B, 9)).await.unwrap();
    drop(a);
    assert_eq!(soon(b.recv_from(&mut buffer)).await.unwrap().0, 0);
    drop(b);
    hosts.are_empty().await;
}

/// How often a future is polled until it is ready.
async fn polls(future: impl Future) -> u32 {
    let (mut future, mut polls) = (pin!(future), 0);
    let count = poll_fn(|cx| {
        polls += 1;
        future.as_mut().poll(cx).map(drop)
    });
    soon(count).await;
    polls
}

/// As tokio's own sockets do.
#[tokio::test]
async fn loops_over_what_is_there_let_other_tasks_run() {
    const MANY: usize = 200;
    let hosts = Hosts::with(|c| c, |b| b.buffers(2048, 2048));
    let listener = hosts.b.listen((B, PORT)).unwrap();
    let (a, b) = (hosts.a.udp((A, 9)).unwrap(), hosts.b.udp((B, 9)).unwrap());
    let mut streams = Vec::new();
    for _ in 0..MANY {
        streams.push(soon(hosts.a.connect((B, PORT))).await.unwrap());
    }
    let before = hosts.b.stats().rx_packets;
    let sent = polls(async {
        for _ in 0..MANY {
            a.send_to(b"x", at(B, 9)).await.unwrap();
        }
    });
    assert!(sent.await > 1);
    let all = before + MANY as u64;
    until_async("datagrams", || hosts.b.stats().rx_packets >= all).await;
    let received = polls(async {
        for _ in 0..MANY {
            b.recv_from(&mut [0; 9]).await.unwrap();
        }
    });
    assert!(received.await > 1);
    let accepted = polls(async {
        for _ in 0..MANY {
            listener.accept().await.unwrap();
        }
    });
    assert!(accepted.await > 1);
}

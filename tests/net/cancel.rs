//! Futures that are dropped.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use super::*;

/// Polls a future once, which does not finish, and drops it.
fn give_up(future: impl Future) {
    let mut future = pin!(future);
    let mut cx = Context::from_waker(Waker::noop());
    assert!(future.as_mut().poll(&mut cx).is_pending());
}

#[tokio::test]
async fn a_connect_that_is_dropped_leaves_nothing() {
    let hosts = Hosts::new();
    let listener = hosts.b.listen((B, PORT)).unwrap();
    for _ in 0..100 {
        give_up(hosts.a.connect((B, PORT)));
        give_up(hosts.a.connect(([10, 0, 0, 9], PORT)));
        tokio::task::yield_now().await;
    }
    // The host is as good as new.
    let (stream, accepted) =
        soon(async { tokio::join!(hosts.a.connect((B, PORT)), listener.accept()) }).await;
    drop((stream.unwrap(), accepted.unwrap(), listener));
    hosts.are_empty().await;
}

#[tokio::test]
async fn an_accept_that_is_dropped_loses_no_connection() {
    let hosts = Hosts::new();
    let listener = hosts.b.listen((B, PORT)).unwrap();
    let mut streams = Vec::new();
    for _ in 0..20 {
        give_up(listener.accept());
        streams.push(soon(hosts.a.connect((B, PORT))).await.unwrap());
        let (accepted, from) = soon(listener.accept()).await.unwrap();
        let stream = streams.last().unwrap();
        assert_eq!(from, stream.local_addr().unwrap());
        streams.push(accepted);
    }
    drop((streams, listener));
    hosts.are_empty().await;
}

#[tokio::test]
async fn reads_and_writes_that_are_dropped_lose_nothing() {
    const BYTES: usize = 1 << 20;
    let hosts = Hosts::new();
    let (mut a, mut b, _listener) = hosts.connected().await;
    let data = pattern(3, BYTES);
    let sent = data.clone();
    let writing = tokio::spawn(async move {
        let mut at = 0;
        while at < sent.len() {
            tokio::select! {
                biased;
                written = a.write(&sent[at..]) => at += written.unwrap(),
                () = tokio::task::yield_now() => {}
            }
        }
    });
    let (mut read, mut part) = (Vec::new(), vec![0; 1000]);
    loop {
        let length = tokio::select! {
            biased;
            length = b.read(&mut part) => length.unwrap(),
            () = tokio::task::yield_now() => continue,
        };
        if length == 0 {
            break;
        }
        read.extend_from_slice(&part[..length]);
    }
    assert_same(&read, &data, "what was read");
    soon(writing).await.unwrap();
}

/// A reader in another task takes the place of one that was given up.
#[tokio::test]
async fn the_last_who_asked_is_woken() {
    let hosts = Hosts::new();
    let (mut a, mut b, _listener) = hosts.connected().await;
    let mut byte = [0];
    give_up(b.read(&mut byte));
    let reading = tokio::spawn(async move { b.read_u8().await });
    tokio::task::yield_now().await;
    a.write_u8(7).await.unwrap();
    assert_eq!(soon(reading).await.unwrap().unwrap(), 7);
    // No data is left for a read of nothing.
    let mut stream = a;
    let mut nothing = tokio::io::ReadBuf::new(&mut []);
    let mut cx = Context::from_waker(Waker::noop());
    let read = tokio::io::AsyncRead::poll_read(pin!(&mut stream), &mut cx, &mut nothing);
    assert!(matches!(read, Poll::Ready(Ok(()))));
}

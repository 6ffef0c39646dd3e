//! How reading ends: links that go down, reconnects, closing.

use futures_util::StreamExt;
use memif::{Closer, Eof, MemifConfig, Role};

use crate::common::*;
use crate::{handle, handles, soon};

#[tokio::test]
async fn the_stream_ends_when_the_link_is_down_and_drained() {
    for reader in ROLES {
        let pair = Pair::new();
        let (mut to, mut from) = handles(&pair, reader, 4);
        for n in 0..10u8 {
            to.write_packet(&[n; 60]).await.unwrap();
        }
        // The peer may leave before any of them is read.
        let peer = pair.side(other(reader)).clone();
        drop(to);
        std::thread::spawn(move || peer.close());
        for n in 0..10u8 {
            assert_eq!(&soon(from.next()).await.unwrap().unwrap()[..], [n; 60]);
        }
        assert!(soon(from.next()).await.is_none());
        let error = soon(from.read_packet()).await.unwrap_err();
        assert_eq!(error.eof(), Some(Eof::LinkDown));
    }
}

#[tokio::test]
async fn a_waiting_reader_is_woken_by_whatever_happens() {
    type Wake = fn(&Pair, &Closer);
    let wakes: [(Wake, Eof); 4] = [
        (|_, closer| closer.close(), Eof::Closed),
        (|pair, _| pair.master.close(), Eof::Closed),
        (|pair, _| pair.master_context.close(), Eof::Closed),
        (|pair, _| pair.slave.close(), Eof::LinkDown),
    ];
    for (wake, reason) in wakes {
        let pair = Pair::new();
        let mut from = handle(&pair.master, 4);
        let closer = from.closer();
        let waiting = tokio::spawn(async move {
            let end = soon(from.read_packet()).await.unwrap_err().eof();
            let packet = soon(from.next()).await;
            (end, packet.is_none())
        });
        tokio::task::yield_now().await; // it waits
        wake(&pair, &closer);
        assert_eq!(soon(waiting).await.unwrap(), (Some(reason), true));
    }
}

#[tokio::test]
async fn following_goes_on_over_reconnects() {
    for reader in ROLES {
        let (socket, here, there) = (socket(), context(), context());
        let config = |role| MemifConfig::new(&socket).role(role);
        let memif = here.create_interface(config(reader)).unwrap();
        let mut from = handle(&memif, 4);
        from.set_follow(true);
        let closer = from.closer();
        // Waits before there is any link.
        let reading = tokio::spawn(async move {
            let mut got = Vec::new();
            while let Some(packet) = soon(from.next()).await {
                got.push(packet.unwrap()[0]);
                if got.len() == 15 {
                    from.closer().close();
                }
            }
            got
        });
        for round in 0..3u8 {
            let peer = there.create_interface(config(other(reader))).unwrap();
            soon(peer.link_up()).await.unwrap();
            let mut to = handle(&peer, 4);
            for n in 0..5 {
                soon(to.write_packet(&[round * 5 + n; 60])).await.unwrap();
            }
            to.close().await.unwrap();
            drop(to);
            tokio::task::spawn_blocking(move || peer.close())
                .await
                .unwrap();
        }
        let got = soon(reading).await.unwrap();
        assert_eq!(got, (0..15).collect::<Vec<u8>>());
        assert!(closer.is_closed());
    }
}

#[tokio::test]
async fn a_stream_goes_on_with_the_next_link_when_it_is_up() {
    let pair = Pair::new();
    let mut from = handle(&pair.master, 4);
    pair.slave.close();
    assert!(soon(from.next()).await.is_none());
    let slave = pair
        .slave_context
        .create_interface(MemifConfig::new(&pair.socket))
        .unwrap();
    soon(slave.link_up()).await.unwrap();
    soon(pair.master.link_up()).await.unwrap();
    let mut to = handle(&slave, 4);
    to.write_packet(b"again").await.unwrap();
    assert_eq!(&soon(from.next()).await.unwrap().unwrap()[..], b"again");
}

#[tokio::test]
async fn a_closed_handle_gives_its_cache_first() {
    let pair = Pair::new();
    let (mut to, mut from) = handles(&pair, Role::Master, 4);
    for n in 0..4u8 {
        to.write_packet(&[n; 60]).await.unwrap();
    }
    assert_eq!(soon(from.read_packet()).await.unwrap().data(), [0; 60]);
    from.close().await.unwrap();
    for n in 1..4u8 {
        assert_eq!(soon(from.read_packet()).await.unwrap().data(), [n; 60]);
    }
    for _ in 0..3 {
        let error = soon(from.read_packet()).await.unwrap_err();
        assert_eq!(error.eof(), Some(Eof::Closed));
        let error = soon(from.write_packet(b"x")).await.unwrap_err();
        assert_eq!(error.eof(), Some(Eof::Closed));
    }
}

#[tokio::test]
async fn waiting_for_the_link_ends_with_a_refusal_and_with_closing() {
    let (socket, context) = (socket(), context());
    let master = MemifConfig::new(&socket).role(Role::Master).secret("abra");
    let master = context.create_interface(master).unwrap();
    let slave = context
        .create_interface(MemifConfig::new(&socket).secret("kadabra"))
        .unwrap();
    let error = soon(slave.link_up()).await.unwrap_err();
    assert!(error.to_string().contains("secret"), "{error}");

    let waiting = master.clone();
    let waiting = tokio::spawn(async move { waiting.link_up().await });
    tokio::task::yield_now().await;
    master.close();
    let error = soon(waiting).await.unwrap().unwrap_err();
    assert_eq!(error.eof(), Some(Eof::Closed));
}

#[tokio::test]
async fn bursts_are_read_and_written_whole() {
    use futures_util::SinkExt;
    for reader in ROLES {
        let pair = Pair::small(6, 2048);
        let (mut to, mut from) = handles(&pair, reader, 16);
        let packets: Vec<_> = (0..200u8).map(|n| [n; 60]).collect();
        let sent = packets.clone();
        let writing = tokio::spawn(async move {
            to.write_all(&sent).await.unwrap();
            let (_reader, writer) = to.split();
            let mut bursts = writer.into_bursts();
            bursts.send(sent).await.unwrap();
            bursts
        });
        let mut seen = 0;
        while seen < 400 {
            let burst = soon(from.read_burst()).await.unwrap();
            assert!((1..=16).contains(&burst.len()));
            for packet in burst {
                assert_eq!(packet.data(), packets[seen % 200]);
                seen += 1;
            }
        }
        drop(writing.await.unwrap());
    }
}

#[tokio::test]
async fn dropping_the_last_handle_does_not_block_the_runtime() {
    let pair = Pair::new();
    let mut to = handle(&pair.slave, 1);
    to.write_packet(b"nobody reads this").await.unwrap();
    let start = std::time::Instant::now();
    drop(to);
    drop(pair.slave);
    assert!(start.elapsed() < std::time::Duration::from_millis(900)); // not a second
}

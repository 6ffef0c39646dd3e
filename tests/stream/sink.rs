//! The sink, and what it does when packets can't be sent.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use memif::stream::AsyncPacketHandle;
use memif::{Eof, Error, MemifConfig, Role};

use crate::common::*;
use crate::{handle, handles, soon};

async fn flush(to: &mut AsyncPacketHandle) -> Result<(), memif::Error> {
    soon(SinkExt::<&[u8]>::flush(to)).await
}

#[tokio::test]
async fn a_stream_flows_into_a_sink() {
    for reader in ROLES {
        let (a, b) = (Pair::small(5, 2048), Pair::small(6, 2048));
        let (mut to, between) = handles(&a, reader, 16);
        let (onward, mut from) = handles(&b, reader, 16);
        let forwarding = tokio::spawn(between.forward(onward));
        let reading = tokio::spawn(async move {
            for n in 0..2000 {
                let packet = soon(from.next()).await.unwrap().unwrap();
                assert_same(&packet, &pattern(n, 60 + n as usize % 1000), n);
            }
            assert!(soon(from.next()).await.is_none());
        });
        for n in 0..2000 {
            let packet = pattern(n, 60 + n as usize % 1000);
            soon(to.write_packet(&packet)).await.unwrap();
        }
        to.wait_taken(LONG).await.unwrap();
        drop(to);
        a.side(other(reader)).close();
        // The stream has ended, so the sink is closed; that closes its handle, not the link.
        soon(forwarding).await.unwrap().unwrap();
        b.side(other(reader)).close();
        soon(reading).await.unwrap();
    }
}

#[tokio::test]
async fn what_was_fed_goes_before_what_is_written() {
    let pair = Pair::new();
    let (mut to, mut from) = handles(&pair, Role::Slave, 4);
    for n in 0..3u8 {
        to.feed([n; 60]).await.unwrap();
    }
    to.write_packet(&[3; 60]).await.unwrap();
    for n in 0..4u8 {
        assert_eq!(soon(from.read_packet()).await.unwrap().data(), [n; 60]);
    }
}

#[tokio::test]
async fn what_the_link_did_not_take_goes_to_the_next_one() {
    let (socket, context) = (socket(), context());
    let memif = context
        .create_interface(MemifConfig::new(&socket).role(Role::Master))
        .unwrap();
    let mut to = handle(&memif, 1);
    to.feed([1; 60]).await.unwrap();
    let error = flush(&mut to).await.unwrap_err();
    assert_eq!(error.eof(), Some(Eof::LinkDown));
    let error = to.write_packet(b"not kept").await.unwrap_err();
    assert_eq!(error.eof(), Some(Eof::LinkDown));

    let slave = context.create_interface(MemifConfig::new(&socket)).unwrap();
    soon(slave.link_up()).await.unwrap();
    soon(memif.link_up()).await.unwrap();
    flush(&mut to).await.unwrap();
    let mut from = handle(&slave, 1);
    assert_eq!(soon(from.read_packet()).await.unwrap().data(), [1; 60]);
}

#[tokio::test]
async fn a_packet_that_can_t_be_sent_is_told_and_left_out() {
    let pair = Pair::small(2, 64);
    let (mut to, mut from) = handles(&pair, Role::Master, 4);
    for packet in [&[1; 60][..], &[], &[2; 10_000], &[3; 60]] {
        to.feed(packet).await.unwrap();
    }
    for says in ["empty", "10000 bytes"] {
        let error = flush(&mut to).await.unwrap_err();
        assert!(error.to_string().contains(says), "{error}");
    }
    flush(&mut to).await.unwrap();
    for n in [1, 3] {
        assert_eq!(soon(from.read_packet()).await.unwrap().data(), [n; 60]);
    }
    let error = to.write_packet(&[]).await.unwrap_err();
    assert!(error.to_string().contains("empty"), "{error}");
}

#[tokio::test]
async fn a_full_ring_is_waited_for_until_the_link_ends() {
    for how in [Eof::LinkDown, Eof::Closed] {
        let pair = Pair::small(2, 2048);
        let (mut to, _from) = handles(&pair, Role::Slave, 1);
        let closer = to.closer();
        let writing = tokio::spawn(async move {
            let mut sent = 0;
            loop {
                match soon(to.write_packets(&[[0; 60]; 3])).await {
                    Ok(count) => sent += count,
                    Err(e) => return (sent, e.eof()),
                }
            }
        });
        // In the same thread: its first turn fills the ring.
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        match how {
            Eof::Closed => closer.close(),
            _ => pair.slave.close(),
        }
        let (sent, end) = soon(writing).await.unwrap();
        assert_eq!((sent, end), (4, Some(how)));
    }
}

#[tokio::test]
async fn waiting_until_all_is_taken_has_a_limit() {
    let pair = Pair::new();
    let (mut to, mut from) = handles(&pair, Role::Master, 4);
    to.feed([7; 60]).await.unwrap();
    assert_eq!(
        to.wait_taken(Duration::from_millis(5)).await,
        Err(Error::TimedOut)
    );
    assert_eq!(soon(from.read_packet()).await.unwrap().data(), [7; 60]);
    soon(to.wait_taken(LONG)).await.unwrap();
    SinkExt::<&[u8]>::close(&mut to).await.unwrap();
    let error = to.feed(&[0u8; 60][..]).await.unwrap_err();
    assert_eq!(error.eof(), Some(Eof::Closed));
}

/// A peer that does not read holds the program back, whatever it has.
#[tokio::test]
async fn a_sink_takes_no_more_than_a_batch_beyond_the_ring() {
    let pair = Pair::small(4, 2048);
    let (mut to, mut from) = handles(&pair, Role::Slave, 1);
    let mut taken = 0_u8;
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    while SinkExt::<[u8; 60]>::poll_ready_unpin(&mut to, &mut cx).is_ready() {
        to.start_send_unpin([taken; 60]).unwrap();
        taken += 1;
    }
    // tokio itself ends a turn some time.
    assert!((16..=16 + 64).contains(&taken), "{taken}");
    // None of them is lost.
    let reading = async {
        for n in 0..taken {
            assert_eq!(soon(from.read_packet()).await.unwrap().data(), [n; 60]);
        }
    };
    let (sent, ()) = tokio::join!(flush(&mut to), reading);
    sent.unwrap();
}

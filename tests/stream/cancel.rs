//! Reads and writes that are dropped before they end.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;

use futures_util::SinkExt;
use memif::Role;

use crate::common::*;
use crate::{handles, soon};

/// Yields a given number of times, to end at another point of the read each time.
async fn after(polls: u64) {
    for _ in 0..polls {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_hundred_thousand_cancelled_reads_lose_nothing() {
    const CANCELLED: u64 = 50_000; // in each role
    for reader in ROLES {
        let pair = Pair::new();
        let (mut to, mut from) = handles(&pair, reader, 4);
        let enough = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&enough);
        let writing = tokio::spawn(async move {
            let mut sent = 0u64;
            while !stop.load(Ordering::Relaxed) {
                to.write_packet(&sent.to_le_bytes()).await.unwrap();
                sent += 1;
                after(sent % 7).await;
            }
            (to, sent)
        });
        let (mut cancelled, mut read) = (0, 0u64);
        while cancelled < CANCELLED {
            tokio::select! {
                biased; // the read is polled first, and dropped when the other is done before it
                packet = from.read_packet() => {
                    assert_eq!(packet.unwrap().data(), read.to_le_bytes());
                    read += 1;
                }
                () = after(cancelled % 3) => cancelled += 1,
            }
        }
        enough.store(true, Ordering::Relaxed);
        let (_to, sent) = soon(writing).await.unwrap();
        while read < sent {
            assert_eq!(
                soon(from.read_packet()).await.unwrap().data(),
                read.to_le_bytes()
            );
            read += 1;
        }
        assert!(sent > 1000, "{sent}");
        let more = tokio::select! {
            biased;
            more = from.read_packet() => Some(more.unwrap().to_vec()),
            () = after(100) => None,
        };
        assert_eq!(more, None);
    }
}

#[tokio::test]
async fn a_cancelled_write_has_sent_its_packet_or_not() {
    let pair = Pair::small(4, 2048);
    let (mut to, mut from) = handles(&pair, Role::Master, 1);
    let mut sent = Vec::new();
    for n in 0..10_000u64 {
        let packet = n.to_le_bytes();
        tokio::select! {
            biased;
            result = to.write_packet(&packet) => { result.unwrap(); sent.push(n); }
            () = after(n % 3) => {}
        }
        if n % 7 == 0 {
            // May be cancelled as well.
            tokio::select! {
                biased;
                packet = from.read_packet() => {
                    assert_eq!(packet.unwrap().data(), sent.remove(0).to_le_bytes());
                }
                () = after(1) => {}
            }
        }
    }
    for n in sent {
        assert_eq!(
            soon(from.read_packet()).await.unwrap().data(),
            n.to_le_bytes()
        );
    }
}

#[tokio::test]
async fn a_cancelled_flush_goes_on_where_it_was() {
    let pair = Pair::small(4, 2048);
    let (mut to, mut from) = handles(&pair, Role::Slave, 1);
    for n in 0..60u8 {
        soon(to.feed([n; 60])).await.unwrap();
    }
    let mut next = 0;
    // The ring has room for some of them only.
    loop {
        let flushed = poll_fn(|cx| {
            let flush = SinkExt::<[u8; 60]>::poll_flush_unpin(&mut to, cx);
            Poll::Ready(flush.map(Result::unwrap).is_ready())
        });
        if flushed.await {
            break;
        }
        assert_eq!(soon(from.read_packet()).await.unwrap().data(), [next; 60]);
        next += 1;
    }
    assert!(next > 0);
    for n in next..60 {
        assert_eq!(soon(from.read_packet()).await.unwrap().data(), [n; 60]);
    }
}

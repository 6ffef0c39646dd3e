//! A runtime that waits costs nothing.

use std::time::Duration;

use memif::Role;
use nix::sys::resource::{UsageWho, getrusage};

use crate::common::*;
use crate::{handle, handles, soon};

/// How often this thread has gone to sleep.
fn sleeps() -> i64 {
    let usage = getrusage(UsageWho::RUSAGE_THREAD).unwrap();
    usage.voluntary_context_switches()
}

fn cpu_time() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_THREAD).unwrap();
    let micros = |t: nix::sys::time::TimeVal| t.tv_sec() as u64 * 1_000_000 + t.tv_usec() as u64;
    Duration::from_micros(micros(usage.user_time()) + micros(usage.system_time()))
}

/// One thread runs it all, so what that thread does is what the readers do.
#[tokio::test]
async fn idle_readers_do_not_wake() {
    let pairs: Vec<Pair> = (0..10).map(|_| Pair::new()).collect();
    let mut readers = Vec::new();
    for pair in &pairs {
        let (mut to, mut from) = handles(pair, Role::Master, 4);
        from.set_follow(true);
        // Not idle from the start: each has slept, woken and read.
        to.write_packet(b"first").await.unwrap();
        soon(from.read_packet()).await.unwrap();
        to.write_packet(b"late").await.unwrap();
        soon(from.read_packet()).await.unwrap();
        readers.push(tokio::spawn(async move {
            let packet = from.read_packet().await.unwrap();
            assert_eq!(packet.data(), b"last");
            drop(to);
        }));
    }
    // One whose peer has never come.
    let alone = context()
        .create_interface(memif::MemifConfig::new(socket()).role(Role::Master))
        .unwrap();
    let mut waiting = handle(&alone, 4);
    waiting.set_follow(true);
    let never = tokio::spawn(async move { waiting.read_packet().await.map(drop) });
    // Those that were to run have run, and sleep.
    tokio::time::sleep(Duration::from_millis(50)).await;

    let before = (sleeps(), cpu_time());
    tokio::time::sleep(Duration::from_secs(2)).await;
    let (slept, time) = (sleeps() - before.0, cpu_time() - before.1);
    // The sleep itself wakes once or twice; a busy or a ticking reader does so thousands of times.
    assert!(slept < 50, "{slept} sleeps in two idle seconds");
    assert!(
        time < Duration::from_millis(20),
        "{time:?} of two idle seconds"
    );

    for reader in &readers {
        assert!(!reader.is_finished());
        reader.abort();
    }
    never.abort();
    for reader in readers {
        assert!(soon(reader).await.unwrap_err().is_cancelled());
    }
}

/// A sink that waits for room sleeps more and more, instead of spinning.
#[tokio::test]
async fn a_blocked_writer_sleeps() {
    let pair = Pair::small(4, 2048);
    let (mut to, mut from) = handles(&pair, Role::Master, 1);
    let writing = tokio::spawn(async move {
        for n in 0..64u8 {
            to.write_packet(&[n; 60]).await.unwrap();
        }
    });
    tokio::time::sleep(Duration::from_millis(200)).await;
    let before = cpu_time();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let time = cpu_time() - before;
    assert!(time < Duration::from_millis(250), "{time:?} of a second");
    for n in 0..64u8 {
        assert_eq!(soon(from.read_packet()).await.unwrap().data(), [n; 60]);
    }
    soon(writing).await.unwrap();
}

//! Reading and writing in a tokio runtime.

#[path = "../common/mod.rs"]
mod common;

mod cancel;
mod end;
mod fenceless;
mod idle;
mod many;
mod sink;

use std::time::Duration;

use common::*;
use futures_util::{SinkExt, StreamExt};
use memif::stream::AsyncPacketHandle;
use memif::{Memif, MemifConfig, Role};

/// Fails where a future has hung.
pub(crate) async fn soon<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(LONG, future).await.expect("it hangs")
}

pub(crate) fn handle(memif: &Memif, rx_count: u16) -> AsyncPacketHandle {
    AsyncPacketHandle::new(memif.packet_handle(0).unwrap().with_burst(rx_count)).unwrap()
}

/// The writer's and the reader's, who has this role.
pub(crate) fn handles(
    pair: &Pair,
    reader: Role,
    rx_count: u16,
) -> (AsyncPacketHandle, AsyncPacketHandle) {
    (
        handle(pair.side(other(reader)), rx_count),
        handle(pair.side(reader), rx_count),
    )
}

/// Packets both ways, with pauses in which the reader goes to sleep.
#[tokio::test]
async fn packets_come_in_order_in_both_roles() {
    for reader in ROLES {
        let pair = Pair::new();
        let (mut to, mut from) = handles(&pair, reader, 16);
        let reading = tokio::spawn(async move {
            for n in 0..1000 {
                let packet = soon(from.read_packet()).await.unwrap();
                assert_same(&packet, &pattern(n, 60 + n as usize), n);
            }
            from
        });
        for n in 0..1000 {
            to.write_packet(&pattern(n, 60 + n as usize)).await.unwrap();
            if n % 100 == 0 {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        }
        reading.await.unwrap();
    }
}

/// Two threads at the two ends, so that interrupts, arming and clearing race.
#[test]
fn no_wake_up_is_lost() {
    const PACKETS: u64 = 50_000;
    for reader in ROLES {
        let pair = Pair::small(6, 2048);
        let to = pair
            .side(other(reader))
            .packet_handle(0)
            .unwrap()
            .with_burst(1);
        let from = pair.side(reader).packet_handle(0).unwrap().with_burst(8);
        let runtime = || {
            tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap()
        };
        std::thread::scope(|scope| {
            scope.spawn(move || {
                runtime().block_on(async {
                    let mut to = AsyncPacketHandle::new(to).unwrap();
                    for n in 0..PACKETS {
                        soon(to.write_packet(&n.to_le_bytes())).await.unwrap();
                        // Now and then the reader finds nothing, and sleeps.
                        for _ in 0..n.wrapping_mul(0x9e37_79b9) % 64 {
                            std::hint::spin_loop();
                        }
                    }
                });
            });
            scope.spawn(move || {
                runtime().block_on(async {
                    let mut from = AsyncPacketHandle::new(from).unwrap();
                    for n in 0..PACKETS {
                        let packet = soon(from.read_packet()).await.unwrap();
                        assert_eq!(packet.data(), n.to_le_bytes());
                    }
                });
            });
        });
    }
}

#[tokio::test]
async fn a_busy_reader_lets_other_tasks_run() {
    let pair = Pair::new();
    let (mut to, mut from) = handles(&pair, Role::Master, 64);
    // All in one task: without a budget, reading and writing by turns would never give way.
    let busy = tokio::spawn(async move {
        loop {
            to.write_packet(b"again and again").await.unwrap();
            from.read_packet().await.unwrap();
        }
    });
    for _ in 0..10 {
        soon(tokio::task::yield_now()).await;
    }
    assert!(!busy.is_finished());
    busy.abort();
    assert!(soon(busy).await.unwrap_err().is_cancelled());
}

/// Neither has to wait: the ring holds all.
#[tokio::test]
async fn a_fed_sink_and_a_full_stream_let_other_tasks_run() {
    const PACKETS: u64 = 10_000;
    async fn a_few_turns<T>(task: &tokio::task::JoinHandle<T>) {
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        assert!(!task.is_finished(), "it did all in its first turns");
    }
    let pair = Pair::small(14, 64);
    let (mut to, mut from) = handles(&pair, Role::Master, 64);
    let feeding = tokio::spawn(async move {
        for n in 0..PACKETS {
            to.feed(n.to_le_bytes()).await.unwrap();
        }
        SinkExt::<&[u8]>::flush(&mut to).await.unwrap();
        to
    });
    a_few_turns(&feeding).await;
    let _to = soon(feeding).await.unwrap();
    let reading = tokio::spawn(async move {
        for n in 0..PACKETS {
            assert_eq!(from.next().await.unwrap().unwrap()[..], n.to_le_bytes());
        }
    });
    a_few_turns(&reading).await;
    soon(reading).await.unwrap();
}

#[test]
fn outside_of_a_runtime_is_an_error() {
    let pair = Pair::new();
    let error =
        AsyncPacketHandle::new(pair.master.packet_handle(0).unwrap().with_burst(1)).unwrap_err();
    assert!(error.to_string().contains("runtime"), "{error}");
}

#[tokio::test]
async fn a_handle_that_can_only_write_does() {
    // More of the queues go from the slave to the master.
    let (socket, context) = (socket(), context());
    let config = || MemifConfig::new(&socket);
    let master = context.create_interface(config().role(Role::Master).queues(2, 1));
    let slave = context.create_interface(config().queues(1, 2));
    let (master, slave) = (master.unwrap(), slave.unwrap());
    soon(slave.link_up()).await.unwrap();
    soon(master.link_up()).await.unwrap();
    let mut to = AsyncPacketHandle::new(slave.packet_handle(1).unwrap().with_burst(1)).unwrap();
    let mut from = AsyncPacketHandle::new(master.packet_handle(1).unwrap().with_burst(1)).unwrap();
    to.write_packet(b"one way").await.unwrap();
    assert_eq!(soon(from.read_packet()).await.unwrap().data(), b"one way");
    for error in [
        soon(to.read_packet()).await.unwrap_err(),
        soon(from.write_packet(b"back")).await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), memif::ErrorKind::UnknownQueue, "{error}");
    }
}

//! Many connections.

use std::sync::Arc;

use futures_util::future::join_all;
use tokio::sync::Barrier;

use super::*;

/// All at a time, each with bytes of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_connections_at_a_time_do_not_mix() {
    const CROWD: usize = 200;
    let hosts = Hosts::with(|c| c, |b| b.buffers(8192, 8192));
    serve_echo(hosts.b.listen((B, PORT)).unwrap());
    let all_there = Arc::new(Barrier::new(CROWD));
    let clients = (0..CROWD as u64).map(|n| {
        let (host, all_there) = (hosts.a.clone(), all_there.clone());
        tokio::spawn(async move {
            let stream = soon(host.connect((B, PORT))).await.unwrap();
            soon(all_there.wait()).await;
            echoed(stream, pattern(n, 20_000 + n as usize)).await;
        })
    });
    for client in join_all(clients).await {
        client.unwrap();
    }
    hosts.are_empty().await;
}

/// A hundred at a time: what they took is given back. It is alone in its process, as it measures.
#[test]
fn connections_come_and_go_and_memory_stays() {
    let mut alone = std::process::Command::new(std::env::current_exe().unwrap());
    alone.args(["--exact", "crowd::memory_stays", "--ignored", "--nocapture"]);
    // Blocks in the caches of threads would count as used.
    alone.env("GLIBC_TUNABLES", "glibc.malloc.tcache_count=0");
    let ended = alone.output().unwrap();
    let said = String::from_utf8_lossy(&ended.stdout);
    assert!(
        ended.status.success() && said.contains("1 passed"),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "run by the test above"]
async fn memory_stays() {
    const AT_A_TIME: u64 = 100;
    let rounds = if is_long() { 100 } else { 6 };
    let hosts = Hosts::with(|c| c, |b| b.buffers(8192, 8192));
    serve_echo(hosts.b.listen((B, PORT)).unwrap());
    let mut used = Vec::new();
    for round in 0..rounds {
        let clients = (0..AT_A_TIME).map(|n| {
            let host = hosts.a.clone();
            tokio::spawn(async move {
                let stream = soon(host.connect((B, PORT))).await.unwrap();
                echoed(stream, pattern(round * AT_A_TIME + n, 5000)).await;
            })
        });
        for client in join_all(clients).await {
            client.unwrap();
        }
        hosts.are_empty().await;
        used.push(heap::used());
    }
    let connections = AT_A_TIME * rounds;
    println!("{connections} connections; bytes in use: {used:?}");
    // One buffer that is lost by each would be 800 KiB a round.
    let most = used[1] + (400 << 10);
    assert!(used[2..].iter().all(|used| *used < most), "{used:?}");
}

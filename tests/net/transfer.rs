//! Bytes over connections.

use memif::IfMode;

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_sent_comes_back() {
    for mode in [IfMode::Ethernet, IfMode::Ip] {
        let hosts = Hosts::with(|c| c.mode(mode), |b| b);
        serve_echo(hosts.b.listen(at([0, 0, 0, 0], PORT)).unwrap());
        let v6: [u16; 8] = [0xfd00, 0, 0, 0, 0, 0, 0, 2];
        for to in [at(B, PORT), at(v6, PORT)] {
            for length in [0, 1, 1000, 3 << 20] {
                let stream = soon(hosts.a.connect(to)).await.unwrap();
                assert_eq!(stream.peer_addr().unwrap(), to);
                echoed(stream, pattern(length as u64, length)).await;
            }
        }
        hosts.are_empty().await;
    }
}

#[tokio::test]
async fn both_sides_know_each_other_s_addresses() {
    let hosts = Hosts::new();
    let (a, b, listener) = hosts.connected().await;
    assert_eq!(listener.local_addr().unwrap(), at(B, PORT));
    assert_eq!(a.peer_addr().unwrap(), b.local_addr().unwrap());
    assert_eq!(a.local_addr().unwrap(), b.peer_addr().unwrap());
    assert_eq!(a.local_addr().unwrap().ip(), IpAddr::from(A));
}

#[tokio::test]
async fn link_local_addresses_reach_each_other() {
    let hosts = Hosts::new();
    let (local, length) = *hosts.b.addresses().last().unwrap();
    assert_eq!(
        (local.to_string(), length),
        ("fe80::fe:aff:fe00:2".into(), 10)
    );
    serve_echo(hosts.b.listen(at(local, PORT)).unwrap());
    let stream = soon(hosts.a.connect((local, PORT))).await.unwrap();
    assert!(
        stream
            .local_addr()
            .unwrap()
            .to_string()
            .starts_with("[fe80::")
    );
    echoed(stream, pattern(1, 100_000)).await;
    soon(hosts.a.ping(local)).await.unwrap();
}

#[tokio::test]
async fn a_half_that_is_closed_leaves_the_other_open() {
    let hosts = Hosts::new();
    let (mut a, mut b, _listener) = hosts.connected().await;
    a.write_all(b"question").await.unwrap();
    a.shutdown().await.unwrap();
    assert_eq!(kind(a.write_all(b"more").await), io::ErrorKind::BrokenPipe);
    let mut question = String::new();
    soon(b.read_to_string(&mut question)).await.unwrap();
    assert_eq!(question, "question");
    let answering = tokio::spawn(async move { b.write_all(&pattern(7, 300_000)).await });
    let mut answer = Vec::new();
    soon(a.read_to_end(&mut answer)).await.unwrap();
    assert_same(&answer, &pattern(7, 300_000), "answer");
    soon(answering).await.unwrap().unwrap();
    drop(a);
    hosts.are_empty().await;
}

/// What was written before a stream was dropped arrives, even if nobody has the host any more.
#[tokio::test]
async fn a_dropped_stream_still_sends_what_was_written() {
    let hosts = Hosts::with(|c| c, |b| b.buffers(1 << 20, 1 << 20));
    let (mut a, mut b, _listener) = hosts.connected().await;
    a.write_all(&pattern(1, 1 << 20)).await.unwrap();
    drop((a, hosts.a));
    let mut read = Vec::new();
    soon(b.read_to_end(&mut read)).await.unwrap();
    assert_same(&read, &pattern(1, 1 << 20), "what was written");
    // Its queues are free again.
    drop(b);
    until_async("the host's end", || {
        MemifDevice::new(&hosts.pair.slave, 0).is_ok()
    })
    .await;
}

/// A peer that reads nothing stops its writer, and nobody else.
#[tokio::test]
async fn a_peer_that_stops_reading_stops_its_writer_only() {
    let hosts = Hosts::new();
    let (a, mut b, listener) = hosts.connected().await;
    let (_reader, mut writer) = a.into_split();
    let writing = tokio::spawn(async move {
        writer.write_all(&pattern(1, 1 << 20)).await.unwrap();
    });
    serve_echo(listener);
    for n in 0..20 {
        let stream = soon(hosts.a.connect((B, PORT))).await.unwrap();
        echoed(stream, pattern(n, 50_000)).await;
    }
    assert!(
        !writing.is_finished(),
        "a mebibyte does not fit in the buffers"
    );
    let mut read = vec![0; 1 << 20];
    soon(b.read_exact(&mut read)).await.unwrap();
    assert_same(&read, &pattern(1, 1 << 20), "what had waited");
    soon(writing).await.unwrap();
    assert_eq!(soon(b.read(&mut read)).await.unwrap(), 0);
}

/// Somebody who is there but reads nothing for long is no peer that has gone.
#[tokio::test]
async fn patience_does_not_end_because_nothing_is_read() {
    let hosts = Hosts::with(|c| c, |b| b.patience(Duration::from_secs(3)));
    let (mut a, mut b, _listener) = hosts.connected().await;
    let writing = tokio::spawn(async move { a.write_all(&pattern(1, 1 << 18)).await });
    tokio::time::sleep(Duration::from_secs(if is_long() { 20 } else { 0 })).await;
    let mut read = vec![0; 1 << 18];
    soon(b.read_exact(&mut read)).await.unwrap();
    soon(writing).await.unwrap().unwrap();
    assert_same(&read, &pattern(1, 1 << 18), "what had waited");
}

/// smoltcp clears what was received when TIME-WAIT ends, after ten seconds.
#[tokio::test]
async fn what_came_before_the_end_is_readable_long_after() {
    let hosts = Hosts::new();
    let (mut a, mut b, _listener) = hosts.connected().await;
    a.shutdown().await.unwrap();
    assert_eq!(soon(b.read(&mut [0])).await.unwrap(), 0);
    b.write_all(b"the end").await.unwrap();
    drop(b);
    tokio::time::sleep(Duration::from_secs(if is_long() { 12 } else { 0 })).await;
    let mut read = String::new();
    soon(a.read_to_string(&mut read)).await.unwrap();
    assert_eq!(read, "the end");
    drop(a);
    hosts.are_empty().await;
}

//! Links that go down and come back.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use futures_util::future::join_all;
use memif::{Context, Eof, Error, Memif, PacketHandle, Role};

use super::*;

/// Longer than a handshake takes on a machine that has much to do.
const PATIENCE: Duration = Duration::from_secs(3);

/// What is between two hosts: when it goes, both see their links go down, and what it has of their
/// packets is lost.
struct Relay {
    interrupt: Sender<Duration>,
    thread: JoinHandle<()>,
}

impl Relay {
    fn new(to_a: String, to_b: String) -> Self {
        let (interrupt, interrupted) = channel();
        let thread = std::thread::spawn(move || {
            let context = context();
            while let Some(down) = relay(&context, &to_a, &to_b, &interrupted) {
                std::thread::sleep(down);
            }
        });
        Self { interrupt, thread }
    }
}

/// Forwards until it is told for how long the links are to be down; `None` means for ever.
fn relay(context: &Context, a: &str, b: &str, stop: &Receiver<Duration>) -> Option<Duration> {
    use std::sync::mpsc::TryRecvError;
    let to_a = MemifConfig::new(a).role(Role::Master);
    let to_a = context.create_interface(to_a).unwrap();
    let to_b = context.create_interface(MemifConfig::new(b)).unwrap();
    up(&to_a);
    up(&to_b);
    let handle = |memif: &Memif| memif.packet_handle(0).unwrap();
    let (mut a, mut b) = (handle(&to_a), handle(&to_b));
    let (mut for_a, mut for_b) = (None, None);
    loop {
        match stop.try_recv() {
            Ok(down) => return Some(down),
            Err(TryRecvError::Disconnected) => return None,
            Err(TryRecvError::Empty) => {}
        }
        let moved = forward(&mut a, &mut b, &mut for_b) + forward(&mut b, &mut a, &mut for_a);
        if moved == 0 {
            std::thread::sleep(Duration::from_micros(100));
        }
    }
}

/// Loses nothing while the links are up: what there is no room for waits.
fn forward(from: &mut PacketHandle, to: &mut PacketHandle, waiting: &mut Option<Vec<u8>>) -> usize {
    for moved in 0..64 {
        if waiting.is_none() {
            *waiting = from.read_packet().ok().map(|packet| packet.to_vec());
        }
        let Some(packet) = waiting else {
            return moved;
        };
        match to.write_packet(packet) {
            Ok(()) => *waiting = None,
            Err(Error::Full | Error::Eof(Eof::LinkDown)) => return moved,
            Err(e) => panic!("{e}"),
        }
    }
    64
}

/// Reads the number of a pattern and its bytes, and says whether they are right. (Not an echo: two
/// smoltcp that both have full buffers when a link loses packets may wait for each other for ever.)
async fn compare(mut stream: TcpStream, bytes: usize) {
    let number = stream.read_u64().await.unwrap();
    let mut read = Vec::new();
    stream.read_to_end(&mut read).await.unwrap();
    let verdict = match read == pattern(number, bytes) {
        true => "the same",
        false => "other bytes",
    };
    stream.write_all(verdict.as_bytes()).await.unwrap();
}

/// Transfers go on where they were. What was lost on the way is sent again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn transfers_survive_a_link_that_goes_down() {
    let (transfers, bytes, down) = match is_long() {
        true => (100, 1 << 20, Duration::from_secs(2)),
        false => (20, 1 << 18, Duration::from_millis(50)),
    };
    let (to_a, to_b) = (socket(), socket());
    let context = context();
    let a = context.create_interface(MemifConfig::new(&to_a)).unwrap();
    let b = MemifConfig::new(&to_b).role(Role::Master);
    let b = context.create_interface(b).unwrap();
    let host = |memif, address| {
        let device = MemifDevice::new(memif, 0).unwrap();
        Net::new(device, &[(IpAddr::from(address), 24)]).unwrap()
    };
    let (a, b) = (host(&a, A), host(&b, B));
    let relay = Relay::new(to_a, to_b);
    let listener = b.listen((B, PORT)).unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(compare(stream, bytes));
        }
    });
    let running = (0..transfers).map(|n| {
        let a = a.clone();
        tokio::spawn(async move {
            let mut stream = soon(a.connect((B, PORT))).await.unwrap();
            stream.write_u64(n).await.unwrap();
            stream.write_all(&pattern(n, bytes)).await.unwrap();
            stream.shutdown().await.unwrap();
            let mut verdict = String::new();
            soon(stream.read_to_string(&mut verdict)).await.unwrap();
            assert_eq!(verdict, "the same");
        })
    });
    let running = tokio::spawn(join_all(running.collect::<Vec<_>>()));
    // In the middle of it, twice.
    for part in [4, 2] {
        let some = transfers * bytes as u64 / part;
        until_async("a part of the bytes", || b.stats().rx_bytes > some).await;
        relay.interrupt.send(down).unwrap();
    }
    for transfer in soon(running).await.unwrap() {
        transfer.unwrap();
    }
    until_async("no sockets", || a.sockets() + b.sockets() == 0).await;
    drop(relay.interrupt);
    relay.thread.join().unwrap();
}

/// A link that stays down ends what waits for an answer, and only that.
#[tokio::test]
async fn patience_ends_while_a_link_is_down() {
    let hosts = Hosts::with(|c| c, |b| b.patience(PATIENCE));
    let (mut a, b, listener) = hosts.connected().await;
    let (quiet, _other) =
        soon(async { tokio::join!(hosts.a.connect((B, PORT)), listener.accept()) }).await;
    let (mut quiet, _keep) = (quiet.unwrap(), b);
    let master = hosts.pair.master.clone();
    tokio::task::spawn_blocking(move || master.close())
        .await
        .unwrap();
    until_async("the link's end", || !hosts.pair.slave.is_link_up()).await;
    a.write_all(b"nobody hears it").await.unwrap();
    assert_eq!(kind(soon(a.read_u8()).await), io::ErrorKind::TimedOut);
    let connecting = soon(hosts.a.connect((B, PORT))).await;
    assert_eq!(kind(connecting), io::ErrorKind::TimedOut);
    // Nothing is under way on this one.
    let waited = tokio::time::timeout(Duration::from_millis(150), quiet.read_u8()).await;
    assert!(waited.is_err(), "{waited:?}");
}

/// With a keep-alive, quiet connections are asked, and stay while they are answered.
#[tokio::test]
async fn keep_alive_asks_and_is_answered() {
    let hosts = Hosts::with(|c| c, |b| b.keep_alive(Duration::from_millis(10)));
    let (a, _b, _listener) = hosts.connected().await;
    let before = hosts.a.stats().rx_packets;
    until_async("answers", || hosts.a.stats().rx_packets > before + 10).await;
    drop(a);
}

/// With a keep-alive, a peer that has gone is noticed without anything being sent.
#[tokio::test]
async fn keep_alive_notices_a_peer_that_has_gone() {
    let hosts = Hosts::with(
        |c| c,
        |b| b.patience(PATIENCE).keep_alive(Duration::from_millis(50)),
    );
    let (mut a, _b, _listener) = hosts.connected().await;
    let master = hosts.pair.master.clone();
    tokio::task::spawn_blocking(move || master.close())
        .await
        .unwrap();
    assert_eq!(kind(soon(a.read_u8()).await), io::ErrorKind::TimedOut);
}

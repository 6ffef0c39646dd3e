//! Two hosts in one process, each on its end of a memif.

#[path = "../common/mod.rs"]
mod common;

mod cancel;
mod crowd;
mod ending;
mod hostile;
mod outage;
mod refusals;
mod transfer;
mod udp;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use common::*;
use memif::MemifConfig;
use memif::net::{Net, NetBuilder, TcpListener, TcpStream};
use memif::phy::MemifDevice;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const A: [u8; 4] = [10, 0, 0, 1];
const B: [u8; 4] = [10, 0, 0, 2];
const PORT: u16 = 80;

/// Fails where a future has hung.
async fn soon<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(LONG, future).await.expect("it hangs")
}

/// Two hosts and what carries them.
struct Hosts {
    pair: Pair,
    a: Net,
    b: Net,
}

impl Hosts {
    fn new() -> Self {
        Self::with(|config| config, |builder| builder)
    }

    fn with(
        config: impl Fn(MemifConfig) -> MemifConfig,
        set: impl Fn(NetBuilder) -> NetBuilder,
    ) -> Self {
        let pair = Pair::with(config);
        let host = |memif, address, v6: [u16; 8]| {
            let builder = Net::builder().address(address, 24).address(v6, 64);
            let device = MemifDevice::new(memif, 0).unwrap();
            set(builder).start(device).unwrap()
        };
        Self {
            a: host(&pair.slave, A, [0xfd00, 0, 0, 0, 0, 0, 0, 1]),
            b: host(&pair.master, B, [0xfd00, 0, 0, 0, 0, 0, 0, 2]),
            pair,
        }
    }

    /// A connection from a to b, as both see it.
    async fn connected(&self) -> (TcpStream, TcpStream, TcpListener) {
        let listener = self.b.listen((B, PORT)).unwrap();
        let (to, accepted) =
            soon(async { tokio::join!(self.a.connect((B, PORT)), listener.accept()) }).await;
        (to.unwrap(), accepted.unwrap().0, listener)
    }

    /// Waits until no socket is left on either host.
    async fn are_empty(&self) {
        until_async("hosts without sockets", || {
            self.a.sockets() + self.b.sockets() == 0
        })
        .await;
    }
}

async fn until_async(what: &str, mut condition: impl FnMut() -> bool) {
    let start = std::time::Instant::now();
    while !condition() {
        assert!(start.elapsed() < LONG, "this never came: {what}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Sends back all that comes, of every connection.
fn serve_echo(listener: TcpListener) -> tokio::task::JoinHandle<io::Error> {
    tokio::spawn(async move {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    tokio::spawn(async move {
                        let (mut reader, mut writer) = stream.into_split();
                        tokio::io::copy(&mut reader, &mut writer).await
                    });
                }
                Err(e) => return e,
            }
        }
    })
}

/// Sends these bytes through an echo, reads them back, and compares them.
async fn echoed(stream: TcpStream, data: Vec<u8>) {
    let (mut reader, mut writer) = stream.into_split();
    let sent = data.clone();
    let writing = tokio::spawn(async move {
        writer.write_all(&sent).await.unwrap();
        writer.shutdown().await.unwrap();
    });
    let mut back = Vec::new();
    soon(reader.read_to_end(&mut back)).await.unwrap();
    assert_same(&back, &data, "what came back");
    writing.await.unwrap();
}

/// The kind of an error.
#[track_caller]
fn kind<T: std::fmt::Debug>(result: io::Result<T>) -> io::ErrorKind {
    result.expect_err("it fails").kind()
}

fn at(ip: impl Into<IpAddr>, port: u16) -> SocketAddr {
    SocketAddr::new(ip.into(), port)
}

//! hyper's client, with its pool of connections, over a memif: a connector is all it takes.
//!
//!     cargo run --features net --example hyper_client
//!
//! Alone, it asks the server of `axum_server.rs` at the other end. With `--socket PATH` it asks
//! whoever is there:
//!
//!     memif respond --socket /tmp/web.sock --role master --ip 10.9.0.1/24 &
//!     cargo run --features net --example hyper_client -- --socket /tmp/web.sock

#[path = "axum_server.rs"]
mod server;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{self, Poll};

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::{Request, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::{TokioExecutor, TokioIo};
use memif::net::{Net, TcpStream};
use memif::{Context, MemifConfig, Role};
use tower_service::Service;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Opens the client's connections. There is no name resolution: hosts are addresses.
#[derive(Clone)]
struct Connector(Net);

impl Service<Uri> for Connector {
    type Response = Stream;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Stream>> + Send>>;

    fn poll_ready(&mut self, _: &mut task::Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let net = self.0.clone();
        Box::pin(async move {
            // Those of IPv6 are in brackets.
            let ip = uri
                .host()
                .unwrap_or_default()
                .trim_matches(['[', ']'])
                .parse();
            let ip = ip.map_err(|e| io::Error::new(io::ErrorKind::InvalidInput, e))?;
            let to = SocketAddr::new(ip, uri.port_u16().unwrap_or(80));
            Ok(Stream(TokioIo::new(net.connect(to).await?)))
        })
    }
}

/// A stream as hyper wants it.
struct Stream(TokioIo<TcpStream>);

impl Connection for Stream {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl Read for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut task::Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl Write for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut task::Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let context = Context::new("hyper_client")?;
    let given = server::args::option("--socket", "");
    if !given.is_empty() {
        let memif = context.create_interface(MemifConfig::new(&given))?;
        memif.link_up().await?;
        let client = client(server::host(&memif, [10, 9, 0, 2])?);
        let page = client.get("http://10.9.0.1/".parse()?).await?;
        let page = page.into_body().collect().await?.to_bytes();
        println!("{}", String::from_utf8_lossy(&page));
        return Ok(());
    }
    let socket = format!("@hyper-client-{}", std::process::id());
    let master = context.create_interface(MemifConfig::new(&socket).role(Role::Master))?;
    let slave = context.create_interface(MemifConfig::new(&socket))?;
    let net = server::host(&master, [10, 9, 0, 1])?;
    let listener = server::listen(&net)?;
    tokio::spawn(server::serve(listener));

    let client = client(server::host(&slave, [10, 9, 0, 2])?);
    let mut asked = Vec::new();
    for n in 0..100 {
        let client = client.clone();
        asked.push(tokio::spawn(async move {
            let said = format!("request {n}");
            let request = Request::post("http://10.9.0.1/echo").body(said.clone().into())?;
            let answer = client.request(request).await?.into_body().collect().await?;
            assert_eq!(answer.to_bytes(), said.as_bytes());
            Result::Ok(())
        }));
    }
    for answer in asked {
        answer.await??;
    }
    println!("100 requests were answered");
    Ok(())
}

fn client(net: Net) -> Client<Connector, Full<Bytes>> {
    Client::builder(TokioExecutor::new()).build(Connector(net))
}

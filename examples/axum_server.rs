//! An axum server on a memif: unchanged but for its listener.
//!
//!     cargo run --features net --example axum_server
//!
//! Alone, it asks itself from the other end of the memif, and ends. With `--socket PATH` it serves
//! whoever is at the other end, for example the kernel behind `memif bridge`:
//!
//!     cargo run --features net --example axum_server -- --socket /tmp/web.sock --role master
//!     memif bridge memif:/tmp/web.sock tap:mf0 &
//!     ip address add 10.9.0.2/24 dev mf0 && ip link set mf0 up && curl http://10.9.0.1/
//!
//! With `--tcp ADDRESS` it is the same server on the kernel's stack, to compare.
#![allow(dead_code)] // hyper_client.rs has its server from here

#[path = "common/args.rs"]
pub(crate) mod args;

use std::error::Error;
use std::net::SocketAddr;

use axum::Router;
use axum::extract::Path;
use axum::routing::{get, post};
use memif::net::{Net, TcpListener, TcpStream};
use memif::phy::MemifDevice;
use memif::{Context, Memif, MemifConfig, Role};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

const SERVER: [u8; 4] = [10, 9, 0, 1];
const CLIENT: [u8; 4] = [10, 9, 0, 2];

/// The program of an axum user.
fn app() -> Router {
    Router::new()
        .route("/", get(|| async { "hello from shared memory\n" }))
        .route("/hello/{name}", get(hello))
        .route("/echo", post(|body: String| async { body }))
}

async fn hello(Path(name): Path<String>) -> String {
    format!("hello {name}\n")
}

/// What axum needs to know of a listener.
pub(crate) struct Listener(TcpListener);

impl axum::serve::Listener for Listener {
    type Io = TcpStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (TcpStream, SocketAddr) {
        match self.0.accept().await {
            Ok(accepted) => accepted,
            // The interface is closed.
            Err(_) => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

/// Listens on port 80 of a host.
pub(crate) fn listen(net: &Net) -> Result<Listener> {
    Ok(Listener(net.listen((SERVER, 80))?))
}

pub(crate) async fn serve(listener: Listener) -> Result<()> {
    axum::serve(listener, app()).await?;
    Ok(())
}

/// A host on an end of a memif.
pub(crate) fn host(memif: &Memif, address: [u8; 4]) -> Result<Net> {
    let device = MemifDevice::new(memif, 0)?;
    Ok(Net::new(device, &[(address.into(), 24)])?)
}

#[tokio::main]
async fn main() -> Result<()> {
    let context = Context::new("axum_server")?;
    let kernel = args::option("--tcp", "");
    if !kernel.is_empty() {
        let listener = tokio::net::TcpListener::bind(&kernel).await?;
        axum::serve(listener, app()).await?;
        return Ok(());
    }
    let socket = args::option("--socket", "");
    if !socket.is_empty() {
        let role: Role = args::option("--role", "slave").parse()?;
        let memif = context.create_interface(MemifConfig::new(&socket).role(role))?;
        let net = host(&memif, SERVER)?;
        return serve(listen(&net)?).await;
    }
    let socket = format!("@axum-server-{}", std::process::id());
    let master = context.create_interface(MemifConfig::new(&socket).role(Role::Master))?;
    let slave = context.create_interface(MemifConfig::new(&socket))?;
    let (server, client) = (host(&master, SERVER)?, host(&slave, CLIENT)?);
    tokio::spawn(serve(listen(&server)?));
    let page = ask(&client).await?;
    println!("{page}");
    assert!(page.ends_with("hello memif\n"));
    Ok(())
}

async fn ask(net: &Net) -> Result<String> {
    let mut stream = net.connect((SERVER, 80)).await?;
    let request = b"GET /hello/memif HTTP/1.1\r\nhost: memif\r\nconnection: close\r\n\r\n";
    stream.write_all(request).await?;
    let mut page = String::new();
    stream.read_to_string(&mut page).await?;
    Ok(page)
}

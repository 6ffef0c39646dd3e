//! How fast one TCP connection of `memif::net` is, between two hosts in this process.
//!
//!     cargo run --release --features net --example net_throughput -- --bytes 1000000000

#[path = "common/args.rs"]
mod args;

use std::error::Error;
use std::time::Instant;

use memif::net::Net;
use memif::phy::{MemifDevice, Segmentation};
use memif::{Context, Memif, MemifConfig, Role};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

fn host(memif: &Memif, address: [u8; 4]) -> Result<Net> {
    let device = MemifDevice::new(memif, 0)?.with_segmentation(Segmentation::Whole);
    let builder = Net::builder().address(address, 24);
    Ok(builder.buffers(1 << 20, 1 << 20).start(device)?)
}

#[tokio::main(worker_threads = 2)]
async fn main() -> Result<()> {
    let bytes: usize = args::option("--bytes", "100000000").parse()?;
    let context = Context::new("net_throughput")?;
    let socket = format!("@net-throughput-{}", std::process::id());
    let master = context.create_interface(MemifConfig::new(&socket).role(Role::Master))?;
    let slave = context.create_interface(MemifConfig::new(&socket))?;
    master.link_up().await?;
    let (server, client) = (host(&master, [10, 9, 0, 1])?, host(&slave, [10, 9, 0, 2])?);
    let listener = server.listen(([10, 9, 0, 1], 5001))?;
    let receiving = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await?;
        let (mut buffer, mut received) = (vec![0; 256 << 10], 0);
        loop {
            match stream.read(&mut buffer).await? {
                0 => return Ok::<_, std::io::Error>(received),
                length => received += length,
            }
        }
    });
    let start = Instant::now();
    let mut stream = client.connect(([10, 9, 0, 1], 5001)).await?;
    let part = vec![0x5a; 256 << 10];
    let mut left = bytes;
    while left > 0 {
        let length = left.min(part.len());
        stream.write_all(&part[..length]).await?;
        left -= length;
    }
    stream.shutdown().await?;
    assert_eq!(receiving.await??, bytes);
    let seconds = start.elapsed().as_secs_f64();
    let rate = bytes as f64 * 8e-9 / seconds;
    println!("{bytes} bytes in {seconds:.3} s: {rate:.3} Gbit/s");
    Ok(())
}

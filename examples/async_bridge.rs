//! Forwards packets between two memifs, in a tokio runtime.
//!
//!     cargo run --features tokio --example async_bridge -- SOCKET SOCKET
//!
//! It is the master of both, and ends when a peer leaves. Without arguments two slaves of its own
//! send each other a packet.

use memif::stream::{AsyncPacketHandle, AsyncPacketReader, AsyncPacketWriter};
use memif::{Context, Error, MemifConfig, Role};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let context = Context::new("bridge")?;
    let given: Vec<String> = std::env::args().skip(1).collect();
    let sockets = match &given[..] {
        [one, other] => [one.clone(), other.clone()],
        _ => ["a", "b"].map(|end| format!("@async-bridge-{end}-{}", std::process::id())),
    };
    let masters = [
        context.create_interface(MemifConfig::new(&sockets[0]).role(Role::Master))?,
        context.create_interface(MemifConfig::new(&sockets[1]).role(Role::Master))?,
    ];
    if given.is_empty() {
        tokio::spawn(talk(sockets));
    }
    masters[0].link_up().await?;
    masters[1].link_up().await?;
    let (from_one, to_one) = AsyncPacketHandle::new(masters[0].packet_handle(0)?)?.split();
    let (from_other, to_other) = AsyncPacketHandle::new(masters[1].packet_handle(0)?)?.split();
    let ended = tokio::select! {
        ended = forward(from_one, to_other) => ended,
        ended = forward(from_other, to_one) => ended,
    };
    match ended {
        Err(e) if e.is_eof() => Ok(()), // a peer has left
        ended => ended,
    }
}

async fn forward(mut from: AsyncPacketReader, mut to: AsyncPacketWriter) -> Result<(), Error> {
    loop {
        let burst: Vec<_> = from.read_burst().await?.collect();
        println!("{} packets", burst.len());
        to.write_all(&burst).await?;
    }
}

async fn talk([one, other]: [String; 2]) -> Result<(), Error> {
    let context = Context::new("peers")?;
    let one = context.create_interface(MemifConfig::new(one))?;
    let other = context.create_interface(MemifConfig::new(other))?;
    one.link_up().await?;
    other.link_up().await?;
    let mut one = AsyncPacketHandle::new(one.packet_handle(0)?)?;
    let mut other = AsyncPacketHandle::new(other.packet_handle(0)?)?;
    one.write_packet(b"question").await?;
    assert_eq!(other.read_packet().await?.data(), b"question");
    other.write_packet(b"answer").await?;
    assert_eq!(one.read_packet().await?.data(), b"answer");
    Ok(())
}

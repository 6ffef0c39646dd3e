//! Writes the packets that a peer sends to a pcap file, in a tokio runtime.
//!
//!     cargo run --features tokio --example async_capture -- SOCKET FILE [master]
//!
//! It ends when the peer leaves, or on Ctrl-C. Without arguments it captures packets that a task of
//! its own sends.

use memif::pcap::PcapWriter;
use memif::stream::AsyncPacketHandle;
use memif::{Context, Eof, Error, MemifConfig, PacketSink, Role};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (socket, file, role) = match &args[..] {
        [] => {
            let socket = format!("@async-capture-{}", std::process::id());
            let file = std::env::temp_dir().join(format!("capture-{}.pcap", std::process::id()));
            let to = socket.clone();
            tokio::spawn(async move { send(&to).await.expect("sending to this process") });
            (socket, file, Role::Master)
        }
        [socket, file] => (socket.clone(), file.into(), Role::Slave),
        [socket, file, master] if master == "master" => (socket.clone(), file.into(), Role::Master),
        _ => {
            eprintln!("usage: async_capture [SOCKET FILE [master]]");
            std::process::exit(2)
        }
    };

    let context = Context::new("async capture")?;
    let memif = context.create_interface(MemifConfig::new(socket).role(role))?;
    let mut handle = AsyncPacketHandle::new(memif.packet_handle(0)?.with_burst(256))?;
    let mut writer = PcapWriter::create(&file, memif.mode().link_type(), None)?;
    memif.link_up().await?;
    loop {
        // A read that loses the race is dropped. The next read gets its packet.
        tokio::select! {
            packet = handle.read_packet() => match packet {
                Ok(packet) => writer.write_packet(&packet)?,
                Err(Error::Eof(Eof::LinkDown | Eof::Closed)) => break,
                Err(e) => return Err(e),
            },
            _ = tokio::signal::ctrl_c() => break,
        }
    }
    writer.flush()?;
    println!(
        "{} packets are in {}",
        writer.packets_written(),
        file.display()
    );
    Ok(())
}

async fn send(socket: &str) -> Result<(), Error> {
    let context = Context::new("sender")?;
    let memif = context.create_interface(MemifConfig::new(socket))?;
    memif.link_up().await?;
    let mut handle = AsyncPacketHandle::new(memif.packet_handle(0)?.with_burst(1))?;
    for n in 0..1000u16 {
        handle.write_packet(&[n as u8; 60]).await?;
    }
    // Waits until everything is read, without blocking the capture in the same thread.
    handle.close().await
}

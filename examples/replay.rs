//! Sends the packets of a capture file to a peer, as fast as the peer reads them.
//!
//!     cargo run --example replay -- SOCKET FILE [master]
//!
//! Without arguments it sends testdata/mixed.pcap to a thread of its own.

use std::time::Duration;

use memif::pcap::CaptureReader;
use memif::{Context, Error, MemifConfig, PacketSource, Role};

fn main() -> Result<(), Error> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (socket, file, role) = match &args[..] {
        [] => {
            let socket = format!("@replay-{}", std::process::id());
            let from = socket.clone();
            std::thread::spawn(move || receive(&from).expect("receiving from this process"));
            let file = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/mixed.pcap");
            (socket, file.to_owned(), Role::Slave)
        }
        [socket, file] => (socket.clone(), file.clone(), Role::Slave),
        [socket, file, master] if master == "master" => {
            (socket.clone(), file.clone(), Role::Master)
        }
        _ => {
            eprintln!("usage: replay [SOCKET FILE [master]]");
            std::process::exit(2)
        }
    };

    let mut capture = CaptureReader::open(&file)?;
    let context = Context::new("replay")?;
    let memif = context.create_interface(MemifConfig::new(socket).role(role))?;
    memif.wait_link_up(None)?;
    let mut handle = memif.packet_handle(0)?.with_burst(1);
    let mut sent = 0;
    loop {
        match capture.read_packet() {
            // Waits for room, so that no packet is lost.
            Ok(packet) => handle.write_packet_timeout(&packet, None)?,
            Err(e) if e.is_eof() => break,
            Err(e) => return Err(e),
        }
        sent += 1;
    }
    handle.flush(Duration::from_secs(5))?;
    println!("{sent} packets sent, all taken by the peer");
    Ok(())
}

fn receive(socket: &str) -> Result<(), Error> {
    let context = Context::new("receiver")?;
    let memif = context.create_interface(MemifConfig::new(socket).role(Role::Master))?;
    memif.wait_link_up(None)?;
    for packet in memif.packet_handle(0)?.packets() {
        packet?;
    }
    Ok(())
}

//! Reads packets from a peer and sends each of them back.
//!
//!     cargo run --example packet_handle                            # both ends in one process
//!     cargo run --example packet_handle -- /run/vpp/memif.sock     # with a master that listens

use std::time::Duration;

use memif::{Context, Error, Memif, MemifConfig, Role, Wait};

fn main() -> Result<(), Error> {
    let context = Context::new("packet_handle")?;
    if let Some(socket) = std::env::args().nth(1) {
        let memif = context.create_interface(MemifConfig::new(socket))?;
        memif.wait_link_up(None)?;
        return echo(&memif);
    }

    let socket = format!("@packet-handle-{}", std::process::id());
    let master = context.create_interface(MemifConfig::new(&socket).role(Role::Master))?;
    let slave = context.create_interface(MemifConfig::new(&socket))?;
    slave.wait_link_up(None)?;
    let echoing = std::thread::spawn(move || echo(&master));

    let mut handle = slave.packet_handle(0)?;
    for n in 0..5u8 {
        handle.write_packet(&[n; 64])?;
        let answer = handle.read_packet_timeout(Some(Duration::from_secs(5)))?;
        println!(
            "sent 64 bytes of {n}, got {} bytes of {}",
            answer.len(),
            answer[0]
        );
    }
    slave.close();
    echoing.join().expect("the echo does not panic")
}

/// Ends when the peer leaves.
fn echo(memif: &Memif) -> Result<(), Error> {
    memif.wait_link_up(None)?;
    let (mut reader, mut writer) = memif.packet_handle(0)?.split();
    loop {
        match reader.read_packet() {
            Ok(packet) => writer.write_packet_timeout(&packet, Some(Duration::from_secs(1)))?,
            // Wait if there is nothing to read now. Leave at the end of the link.
            Err(e) if e.is_eof() => match reader.wait(None)? {
                Wait::Ready => {}
                _ => return Ok(()),
            },
            Err(e) => return Err(e),
        }
    }
}

//! Writes the packets that a peer sends to a pcap file, until the peer leaves.
//!
//!     cargo run --example capture -- SOCKET FILE [master]
//!
//! Without arguments it captures packets that a thread of its own sends.

use memif::pcap::PcapWriter;
use memif::{Context, Eof, Error, MemifConfig, PacketSink, PacketSource, Role, Wait};

fn main() -> Result<(), Error> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (socket, file, role) = match &args[..] {
        [] => {
            let socket = format!("@capture-{}", std::process::id());
            let file = std::env::temp_dir().join(format!("capture-{}.pcap", std::process::id()));
            let to = socket.clone();
            std::thread::spawn(move || send(&to).expect("sending to this process"));
            (socket, file, Role::Master)
        }
        [socket, file] => (socket.clone(), file.into(), Role::Slave),
        [socket, file, master] if master == "master" => (socket.clone(), file.into(), Role::Master),
        _ => {
            eprintln!("usage: capture [SOCKET FILE [master]]");
            std::process::exit(2)
        }
    };

    let context = Context::new("capture")?;
    let memif = context.create_interface(MemifConfig::new(socket).role(role))?;
    let mut handle = memif.packet_handle(0)?.with_burst(256);
    let mut writer = PcapWriter::create(&file, handle.link_type(), None)?;
    memif.wait_link_up(None)?;
    loop {
        match handle.read_packet() {
            Ok(packet) => writer.write_packet(&packet)?,
            Err(Error::Eof(Eof::Empty)) => {
                // Now the file has everything that has arrived.
                writer.flush()?;
                if handle.wait(None)? == Wait::Closed {
                    break;
                }
            }
            Err(Error::Eof(_)) => break,
            Err(e) => return Err(e),
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

fn send(socket: &str) -> Result<(), Error> {
    let context = Context::new("sender")?;
    let memif = context.create_interface(MemifConfig::new(socket))?;
    memif.wait_link_up(None)?;
    let mut handle = memif.packet_handle(0)?.with_burst(1);
    for n in 0..1000u16 {
        handle.write_packet_timeout(&[n as u8; 60], None)?;
    }
    Ok(())
}

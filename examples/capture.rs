//! Writes the packets that a peer sends to a pcapng file, until the peer leaves.
//!
//!     cargo run --example capture -- SOCKET FILE [master]
//!
//! Without arguments it captures packets that a thread of its own sends.

use memif::pcap::{InterfaceInfo, PcapNgWriter};
use memif::{Context, Eof, Error, MemifConfig, PacketSink, PacketSource, Role, Wait};

fn main() -> Result<(), Error> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (socket, file, role) = match &args[..] {
        [] => {
            let socket = format!("@capture-{}", std::process::id());
            let file = std::env::temp_dir().join(format!("capture-{}.pcapng", std::process::id()));
            let sender = MemifConfig::new(&socket);
            std::thread::spawn(|| send(sender).expect("sending to this process"));
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
    memif.wait_link_up(None)?;
    let mut handle = memif.packet_handle(0)?;
    let interface = InterfaceInfo::new("memif0", handle.link_type());
    let mut writer = PcapNgWriter::create(&file, &[interface])?;
    loop {
        match handle.read_packet() {
            Ok(packet) => writer.write_packet(&packet)?,
            Err(Error::Eof(Eof::Empty)) => {
                // Now the file has everything that has arrived.
                writer.flush()?;
                if handle.wait(None)? != Wait::Ready {
                    break;
                }
            }
            Err(Error::Eof(_)) => break,
            Err(e) => return Err(e),
        }
    }
    let packets = writer.packets_accepted();
    writer.close()?;
    println!("{packets} packets are in {}", file.display());
    Ok(())
}

fn send(config: MemifConfig) -> Result<(), Error> {
    let context = Context::new("sender")?;
    let memif = context.create_interface(config)?;
    memif.wait_link_up(None)?;
    let mut handle = memif.packet_handle(0)?;
    for n in 0..1000u16 {
        handle.write_packet_timeout(&[n as u8; 60], None)?;
    }
    Ok(())
}

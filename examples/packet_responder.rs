//! Answers ARP and ping, packet by packet. icmp_responder does the same with bursts.
//!
//!     cargo run --example packet_responder                     # both ends in one process
//!     cargo run --example packet_responder -- --master         # in one terminal,
//!     cargo run --example icmp_responder -- --slave --ping     # and in another
//!     cargo run --example packet_responder -- --slave --socket /run/vpp/memif.sock
//!
//! The last line is for VPP (`create interface memif id 0 master`,
//! `set interface state memif0/0 up`, `set interface ip address memif0/0 192.168.1.2/24`,
//! `ping 192.168.1.1`).
//!
//! It answers for 192.168.1.1, or for the address after `--ip`, until the peer leaves.

#[path = "common/args.rs"]
mod args;
#[path = "common/icmp.rs"]
mod icmp;
#[path = "common/sides.rs"]
mod sides;

use std::thread;
use std::time::Duration;

use icmp::Host;
use memif::{Context, Error, Memif};
use sides::Sides;

fn main() -> Result<(), Error> {
    let host = Host::from_option();
    let context = Context::new("packet_responder")?;
    match sides::open(&context, |config| config)? {
        Sides::One(memif) => respond(&memif, host),
        Sides::Both { master, slave } => {
            let responding = thread::spawn(move || respond(&master, host));
            ask(&slave, host)?;
            slave.close();
            responding.join().expect("it does not panic")
        }
    }
}

fn respond(memif: &Memif, host: Host) -> Result<(), Error> {
    let (mut reader, mut writer) = memif.packet_handle(0)?.split();
    let mut answered = 0;
    // Waits for each packet. Ends when the link is down and everything has been read.
    for packet in reader.packets() {
        if let Some(answer) = icmp::answer(host, &packet?) {
            match writer.write_packet(&answer) {
                Ok(()) => answered += 1,
                // A host may drop what does not fit into the ring.
                Err(Error::Full) => {}
                Err(e) if e.is_eof() => break,
                Err(e) => return Err(e),
            }
        }
    }
    println!("{answered} answers");
    Ok(())
}

fn ask(memif: &Memif, host: Host) -> Result<(), Error> {
    let asker = Host {
        mac: [2, 0, 0, 0, 0, 2],
        ip: [192, 168, 1, 2],
    };
    let wait = Some(Duration::from_secs(5));
    let mut handle = memif.packet_handle(0)?.with_burst(16);
    handle.write_packet_timeout(&icmp::who_has(asker, host.ip), wait)?;
    println!("{} bytes of ARP", handle.read_packet_timeout(wait)?.len());
    for seq in 1..=5 {
        handle.write_packet_timeout(&icmp::ping(asker, host, seq), wait)?;
        match icmp::pong(&handle.read_packet_timeout(wait)?) {
            Some(seq) => println!("ping {seq} was answered"),
            None => args::fail("something else came back"),
        }
    }
    Ok(())
}

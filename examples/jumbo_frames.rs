//! Sends packets of growing length. Packets that are longer than a buffer are sent as chains of
//! buffers and are received in one piece.
//!
//!     cargo run --example jumbo_frames                   # both ends in one process
//!     cargo run --example jumbo_frames -- --master       # in one terminal,
//!     cargo run --example jumbo_frames -- --slave        # and in another
//!     cargo run --example jumbo_frames -- --slave --socket /run/vpp/memif.sock
//!
//! The last line is for VPP (`create interface memif id 0 master buffer-size 2048`). VPP counts the
//! packets: `show hardware-interfaces memif0/0`.
//!
//! The slave sends, and the master checks what it receives.

#[path = "common/args.rs"]
mod args;
#[path = "common/sides.rs"]
mod sides;

use std::thread;
use std::time::Duration;

use memif::{Context, Error, Memif, Role};
use sides::Sides;

const BUFFER: u16 = 2048;
const LARGEST: usize = 65_536;

fn main() -> Result<(), Error> {
    let context = Context::new("jumbo_frames")?;
    match sides::open(&context, |config| config.buffer_size(BUFFER))? {
        Sides::One(memif) if memif.role() == Role::Slave => send(&memif),
        Sides::One(memif) => check(&memif),
        Sides::Both { master, slave } => {
            let checking = thread::spawn(move || check(&master));
            send(&slave)?;
            checking.join().expect("it does not panic")
        }
    }
}

fn send(memif: &Memif) -> Result<(), Error> {
    let mut handle = memif.packet_handle(0)?;
    let mut length = 64;
    while length <= LARGEST {
        let packet: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
        handle.write_packet_timeout(&packet, Some(Duration::from_secs(5)))?;
        length += length / 2;
    }
    memif.close(); // waits until the peer has taken everything
    Ok(())
}

fn check(memif: &Memif) -> Result<(), Error> {
    let mut handle = memif.packet_handle(0)?;
    for packet in handle.packets() {
        let packet = packet?;
        let right = packet
            .iter()
            .enumerate()
            .all(|(at, byte)| *byte == (at % 251) as u8);
        let links = packet.len().div_ceil(usize::from(BUFFER));
        println!(
            "{} bytes, at least {links} buffers: {}",
            packet.len(),
            if right { "right" } else { "WRONG" }
        );
        if !right {
            args::fail("a packet was changed on its way");
        }
    }
    Ok(())
}

//! Reads each queue of a link in a thread of its own, and counts what comes.
//!
//!     cargo run --example thread_per_queue -- SOCKET
//!
//! It is the master, and takes as many queues as the slave brings. Without an argument it reads
//! what a slave of its own sends on four queues.

use std::thread;
use std::time::Duration;

use memif::{Context, Error, Memif, MemifConfig, PacketHandle, Role};

fn main() -> Result<(), Error> {
    let context = Context::new("thread_per_queue")?;
    let given = std::env::args().nth(1);
    let own = format!("@thread-per-queue-{}", std::process::id());
    let socket = given.as_ref().unwrap_or(&own);
    let master = context.create_interface(MemifConfig::new(socket).role(Role::Master))?;
    if given.is_none() {
        let slave = context.create_interface(MemifConfig::new(socket).queues(1, 4))?;
        thread::spawn(move || send(&slave).expect("sending to this process"));
    }
    master.wait_link_up(None)?;
    let mut readers = Vec::new();
    for id in 0..master.rx_queues() {
        let handle = master.packet_handle(id)?;
        readers.push(thread::spawn(move || read(id, handle)));
    }
    for reader in readers {
        reader.join().expect("it does not panic")?;
    }
    Ok(())
}

/// Until the link goes down.
fn read(id: u8, mut handle: PacketHandle) -> Result<(), Error> {
    let (mut packets, mut bytes) = (0, 0);
    for packet in handle.packets() {
        packets += 1;
        bytes += packet?.len();
    }
    println!("queue {id}: {packets} packets, {bytes} bytes");
    Ok(())
}

fn send(memif: &Memif) -> Result<(), Error> {
    memif.wait_link_up(None)?;
    for id in 0..memif.tx_queues() {
        let mut queue = memif.packet_handle(id)?;
        for n in 0..1000 {
            queue.write_packet_timeout(&[n as u8; 60], Some(Duration::from_secs(1)))?;
        }
    }
    memif.close(); // waits until the peer has read everything
    Ok(())
}

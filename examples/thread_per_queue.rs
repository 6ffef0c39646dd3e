//! Reads each queue of a link in a thread of its own, and counts what comes.
//!
//!     cargo run --example thread_per_queue -- SOCKET
//!
//! It is the master, and takes as many queues as the slave brings. Without an argument it reads
//! what a slave of its own sends on four queues.

use std::thread;
use std::time::Duration;

use memif::{Context, Error, Memif, MemifConfig, Role};

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
    thread::scope(|scope| {
        let readers: Vec<_> = (0..master.rx_queues())
            .map(|id| {
                let master = &master;
                scope.spawn(move || read(master, id))
            })
            .collect();
        let results = readers.into_iter().map(|reader| reader.join());
        results
            .into_iter()
            .try_for_each(|read| read.expect("it does not panic"))
    })
}

/// Until the link goes down.
fn read(memif: &Memif, id: u8) -> Result<(), Error> {
    let (mut packets, mut bytes) = (0, 0);
    for packet in memif.packet_handle(id)?.packets() {
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

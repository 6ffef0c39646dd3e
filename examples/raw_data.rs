//! Sends and receives bursts of raw bytes on three queues, in both directions.
//!
//!     cargo run --example raw_data                       # both ends in one process
//!     cargo run --example raw_data -- --master           # in one terminal,
//!     cargo run --example raw_data -- --slave            # and in another
//!     cargo run --example raw_data -- --slave --socket /run/vpp/memif.sock
//!
//! The last line is for VPP (`create interface memif id 0 master rx-queues 3 tx-queues 3`). VPP
//! counts the packets as errors, because they are not Ethernet.
//!
//! It sends a burst on each queue once per second until the peer leaves. With both ends in one
//! process it sends three bursts.

#[path = "common/args.rs"]
mod args;
#[path = "common/sides.rs"]
mod sides;

use std::thread;
use std::time::Duration;

use memif::{Burst, Context, Error, Memif, RxQueue, Wait};
use sides::Sides;

const QUEUES: u8 = 3;
const BURST: usize = 4;

fn main() -> Result<(), Error> {
    let context = Context::new("raw_data")?;
    match sides::open(&context, |config| config.queues(QUEUES, QUEUES))? {
        Sides::One(memif) => run(&memif, u32::MAX, Duration::from_secs(1)),
        Sides::Both { master, slave } => {
            let other = thread::spawn(move || run(&master, 3, Duration::from_millis(200)));
            let result = run(&slave, 3, Duration::from_millis(200));
            slave.close();
            other.join().expect("it does not panic")?;
            result
        }
    }
}

/// A thread reads each queue; this one sends.
fn run(memif: &Memif, rounds: u32, pause: Duration) -> Result<(), Error> {
    let queues: Result<Vec<_>, _> = (0..QUEUES).map(|q| memif.rx_queue(q)).collect();
    let readers: Vec<_> = queues?
        .into_iter()
        .map(|queue| {
            let who = memif.to_string();
            thread::spawn(move || read(&who, queue, rounds))
        })
        .collect();
    let senders: Result<Vec<_>, _> = (0..QUEUES).map(|q| memif.tx_queue(q)).collect();
    let mut senders = senders?;
    for round in 0..rounds {
        for queue in &mut senders {
            let packets: Vec<String> = (0..BURST)
                .map(|n| format!("packet {n} of burst {round} on queue {}", queue.id()))
                .collect();
            // A master's link is up a moment before the peer has offered its buffers.
            let room = queue.wait_writable(packets[0].len(), Some(pause));
            match room.and_then(|_| queue.tx_burst(&packets)) {
                Ok(sent) if sent < BURST => println!("the ring took {sent} of {BURST}"),
                Ok(_) => {}
                Err(e) if e.is_eof() => return Ok(()), // the peer has left
                Err(e) => return Err(e),
            }
        }
        if readers.iter().all(thread::JoinHandle::is_finished) {
            break;
        }
        thread::sleep(pause);
    }
    for reader in readers {
        reader.join().expect("it does not panic")?;
    }
    Ok(())
}

/// Reads until this many bursts have arrived, or the link goes down.
fn read(who: &str, mut queue: RxQueue, rounds: u32) -> Result<(), Error> {
    let mut burst = Burst::new(64);
    let mut count = 0;
    while count < u64::from(rounds) * BURST as u64 && queue.wait(None)? == Wait::Ready {
        match queue.rx_burst(&mut burst) {
            Ok(_) => {}
            Err(e) if e.is_eof() => break,
            Err(e) => return Err(e),
        }
        for packet in &burst {
            println!(
                "{who}, queue {}: {}",
                queue.id(),
                String::from_utf8_lossy(&packet)
            );
            count += 1;
        }
    }
    Ok(())
}

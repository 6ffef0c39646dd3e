//! Answers ARP and ping, with bursts on queues. packet_responder does the same with `PacketHandle`.
//!
//!     cargo run --example icmp_responder                       # both ends in one process
//!     cargo run --example icmp_responder -- --master           # in one terminal,
//!     cargo run --example icmp_responder -- --slave --ping     # and in another
//!     cargo run --example icmp_responder -- --slave --socket /run/vpp/memif.sock
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
use memif::{Burst, Context, Error, Memif, Wait};
use sides::Sides;

const PINGS: u16 = 5;
const ASKER: Host = Host {
    mac: [2, 0, 0, 0, 0, 2],
    ip: [192, 168, 1, 2],
};

fn main() -> Result<(), Error> {
    let host = Host::from_option();
    let context = Context::new("icmp_responder")?;
    match sides::open(&context, |config| config)? {
        Sides::One(memif) if args::flag("--ping") => ask(&memif, host),
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
    let (mut rx, mut tx) = (memif.rx_queue(0)?, memif.tx_queue(0)?);
    let mut burst = Burst::new(64);
    let mut answered = 0;
    while rx.wait(None)? == Wait::Ready {
        match rx.rx_burst(&mut burst) {
            Ok(_) => {}
            Err(e) if e.is_eof() => break,
            Err(e) => return Err(e),
        }
        let answers: Vec<_> = burst
            .iter()
            .filter_map(|p| icmp::answer(host, &p))
            .collect();
        // A host may drop what does not fit into the ring.
        match tx.tx_burst(&answers) {
            Ok(sent) => answered += sent,
            Err(e) if e.is_eof() => break,
            Err(e) => return Err(e),
        }
    }
    println!("{answered} answers");
    Ok(())
}

fn ask(memif: &Memif, host: Host) -> Result<(), Error> {
    let (mut rx, mut tx) = (memif.rx_queue(0)?, memif.tx_queue(0)?);
    let mut questions = vec![icmp::who_has(ASKER, host.ip)];
    questions.extend((1..=PINGS).map(|seq| icmp::ping(ASKER, host, seq)));
    let mut asked = 0;
    while asked < questions.len() {
        let length = questions[asked].len();
        tx.wait_writable(length, Some(Duration::from_secs(5)))?
            .ready()?;
        asked += tx.tx_burst(&questions[asked..])?;
    }
    let mut burst = Burst::new(16);
    let mut pongs = 0;
    while pongs < PINGS {
        if rx.wait(Some(Duration::from_secs(5)))? != Wait::Ready {
            args::fail(&format!("{pongs} of {PINGS} pings were answered"));
        }
        rx.rx_burst(&mut burst)?;
        for seq in burst.iter().filter_map(|p| icmp::pong(&p)) {
            println!("ping {seq} was answered");
            pongs += 1;
        }
    }
    Ok(())
}

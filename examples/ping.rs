//! Ping over a memif.
//!
//!     ping [--to 10.9.0.1] [--count 4] [--interval-ms 10] [--socket PATH [--role master]]
//!
//! Without `--socket` it pings a stack in this process. With `--mode ip` packets have no Ethernet
//! header.

mod common;

use std::time::Instant as StdInstant;

use common::{Host, ends, fail, option};
use memif::phy::MemifDevice;
use memif::{Context, Error, MemifConfig};
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::socket::icmp;
use smoltcp::time::{Duration, Instant};
use smoltcp::wire::{Icmpv4Packet, Icmpv4Repr, IpAddress, Ipv4Address};

const IDENT: u16 = 0x6d66;

fn number(name: &str, default: &str) -> u64 {
    option(name, default)
        .parse()
        .unwrap_or_else(|_| fail(&format!("{name}: no number")))
}

/// The sequence number of an answer to us.
fn answered(packet: &[u8]) -> Option<u16> {
    let packet = Icmpv4Packet::new_checked(packet).ok()?;
    match Icmpv4Repr::parse(&packet, &ChecksumCapabilities::default()).ok()? {
        Icmpv4Repr::EchoReply {
            ident: IDENT,
            seq_no,
            ..
        } => Some(seq_no),
        _ => None,
    }
}

fn ping(mut host: Host<MemifDevice>, to: Ipv4Address) {
    let count = number("--count", "4") as u16;
    let interval = Duration::from_millis(number("--interval-ms", "10"));
    let memory = || icmp::PacketBuffer::new(vec![icmp::PacketMetadata::EMPTY; 64], vec![0; 65_536]);
    let mut socket = icmp::Socket::new(memory(), memory());
    socket.bind(icmp::Endpoint::Ident(IDENT)).unwrap();
    let handle = host.sockets.add(socket);

    let mut sent_at = Vec::new();
    let (mut answers, mut total) = (0, 0.0);
    let mut next = Instant::now();
    // No answer is expected later than a second after the last request.
    while answers < count && (sent_at.len() < count.into() || Instant::now() < next) {
        host.poll();
        let socket = host.sockets.get_mut::<icmp::Socket>(handle);
        while let Ok((packet, from)) = socket.recv() {
            if let Some(time) = answered(packet).and_then(|n| sent_at.get(usize::from(n))) {
                let micros = StdInstant::now().duration_since(*time).as_secs_f64() * 1e6;
                println!("{} bytes from {from}: {micros:.0} µs", packet.len());
                (answers, total) = (answers + 1, total + micros);
            }
        }
        if sent_at.len() < count.into() && Instant::now() >= next {
            let request = Icmpv4Repr::EchoRequest {
                ident: IDENT,
                seq_no: sent_at.len() as u16,
                data: &[0x2a; 56],
            };
            let room = socket
                .send(request.buffer_len(), IpAddress::Ipv4(to))
                .unwrap();
            request.emit(
                &mut Icmpv4Packet::new_unchecked(room),
                &ChecksumCapabilities::default(),
            );
            sent_at.push(StdInstant::now());
            let last = sent_at.len() == usize::from(count);
            next = Instant::now()
                + if last {
                    Duration::from_secs(1)
                } else {
                    interval
                };
        }
        if answers < count && !host.wait_until(next) {
            fail("closed");
        }
    }
    println!(
        "{count} sent, {answers} received, {:.0} µs on average",
        total / f64::from(answers.max(1))
    );
    if answers < count {
        fail("some were lost");
    }
}

fn main() -> Result<(), Error> {
    let to = option("--to", "10.9.0.1")
        .parse()
        .unwrap_or_else(|_| fail("--to: no IPv4 address"));
    let mode = option("--mode", "ethernet")
        .parse()
        .unwrap_or_else(|e: String| fail(&e));
    let context = Context::new("ping")?;
    let (near, far) = ends(&context, |socket| MemifConfig::new(socket).mode(mode))?;
    // The stack answers by itself.
    let answering = far.clone().map(|far| {
        let mut host = Host::new(MemifDevice::new(&far, 0).unwrap(), 1);
        std::thread::spawn(move || {
            while host.wait() {
                host.poll();
            }
        })
    });
    ping(Host::new(MemifDevice::new(&near, 0)?, 2), to);
    if let (Some(far), Some(answering)) = (far, answering) {
        far.close();
        answering.join().unwrap();
    }
    Ok(())
}

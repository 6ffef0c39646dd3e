//! `memif bench`: how fast it is on this machine, for people and for scripts.

mod files;
mod pair;
mod rtt;

use std::fmt::{self, Write};
use std::process;
use std::time::{Duration, Instant};

use clap::Subcommand;
use memif::{Context, Error, Memif, MemifConfig, PacketHandle, Role, RxMode};

use crate::Failure;

/// Measure packets per second, round trips, capture and replay
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// One JSON object instead of text
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Both ends in one thread: the cost of sending plus receiving a packet
    Loop(Load),
    /// Send numbered packets to `bench recv` in another process
    Send(pair::SendArgs),
    /// Receive what `bench send` sends, and check that none is missing
    Recv(pair::RecvArgs),
    /// Send packets one at a time to `bench pong`, and measure until they come back
    Ping(rtt::PingArgs),
    /// Send every packet back
    Pong(rtt::PongArgs),
    /// From the ring to a pcap file, in one process
    Capture(files::Args),
    /// From a pcap file to the ring, in one process
    Replay(files::Args),
}

/// What is sent.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct Load {
    /// Bytes of a packet, at least 8 for its number
    #[arg(long, default_value_t = 64, value_name = "BYTES",
          value_parser = clap::value_parser!(u16).range(8..))]
    len: u16,
    /// Packets sent and taken at a time
    #[arg(long, default_value_t = 32, value_name = "N",
          value_parser = clap::value_parser!(u16).range(1..=1024))]
    burst: u16,
    /// How long
    #[arg(long, default_value = "1", value_name = "SECONDS", value_parser = crate::endpoint::some_seconds)]
    secs: Duration,
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let report = match &args.what {
        What::Loop(load) => one_thread(load)?,
        What::Send(args) => pair::send(args)?,
        What::Recv(args) => pair::receive(args)?,
        What::Ping(args) => rtt::ping(args)?,
        What::Pong(args) => rtt::pong(args)?,
        What::Capture(args) => files::capture(args)?,
        What::Replay(args) => files::replay(args)?,
    };
    println!("{}", report.show(args.json));
    Ok(())
}

/// Numbers by name, in order.
#[derive(Debug)]
pub(crate) struct Report {
    bench: &'static str,
    fields: Vec<(&'static str, f64)>,
}

impl Report {
    fn new(bench: &'static str) -> Self {
        Self {
            bench,
            fields: Vec::new(),
        }
    }

    fn with(mut self, name: &'static str, value: impl Into<f64>) -> Self {
        self.fields.push((name, value.into()));
        self
    }

    fn load(self, load: &Load) -> Self {
        self.with("len", load.len).with("burst", load.burst)
    }

    fn show(&self, json: bool) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = if json {
            self.write_json(&mut text)
        } else {
            self.write_text(&mut text)
        };
        text
    }

    fn write_json(&self, out: &mut String) -> fmt::Result {
        write!(out, "{{\"bench\":\"{}\"", self.bench)?;
        for (name, value) in &self.fields {
            write!(out, ",\"{name}\":{}", rounded(*value))?;
        }
        write!(out, "}}")
    }

    fn write_text(&self, out: &mut String) -> fmt::Result {
        write!(out, "{}", self.bench)?;
        for (name, value) in &self.fields {
            write!(out, " {name} {}", rounded(*value))?;
        }
        Ok(())
    }
}

/// Counts whole, other values to a thousandth.
fn rounded(value: f64) -> String {
    if value.fract() == 0.0 && value.abs() < 1e15 {
        format!("{value:.0}")
    } else {
        format!("{value:.3}")
    }
}

/// Numbered packets that share their memory, so that the source stays in the nearest cache: each
/// begins eight bytes after the one before, with its number.
pub(crate) struct Numbered {
    memory: Vec<u8>,
    len: usize,
    next: u64,
}

impl Numbered {
    pub(crate) fn new(load: &Load) -> Self {
        Self {
            memory: vec![0; usize::from(load.burst) * 8 + usize::from(load.len)],
            len: load.len.into(),
            next: 0,
        }
    }

    /// The next packet.
    #[inline]
    fn one(&mut self) -> &[u8] {
        self.memory[..8].copy_from_slice(&self.next.to_ne_bytes());
        self.next += 1;
        &self.memory[..self.len]
    }

    /// Fills the packets with the numbers from `first` on.
    pub(crate) fn burst<'a>(&'a mut self, packets: &mut Vec<&'a [u8]>, count: usize) {
        for (i, number) in self.memory.chunks_exact_mut(8).take(count).enumerate() {
            number.copy_from_slice(&(self.next + i as u64).to_ne_bytes());
        }
        self.next += count as u64;
        packets.clear();
        packets.extend((0..count).map(|i| &self.memory[i * 8..i * 8 + self.len]));
    }
}

/// The number of a packet.
#[inline]
pub(crate) fn number(packet: &[u8]) -> Option<u64> {
    Some(u64::from_ne_bytes(*packet.first_chunk::<8>()?))
}

/// A master and a slave in this process.
pub(crate) struct Both {
    pub(crate) receiver: PacketHandle,
    pub(crate) sender: PacketHandle,
    _interfaces: [Memif; 2],
    _context: Context,
}

impl Both {
    pub(crate) fn new(burst: u16) -> Result<Self, Error> {
        let context = Context::new("memif bench")?;
        let socket = format!("@memif-bench-{}", process::id());
        let master = context.create_interface(MemifConfig::new(&socket).role(Role::Master))?;
        let slave = context.create_interface(MemifConfig::new(&socket))?;
        slave.wait_link_up(None)?;
        master.wait_link_up(None)?;
        let mut receiver = master.packet_handle(0, burst)?;
        receiver.set_rx_mode(RxMode::Polling)?;
        Ok(Self {
            receiver,
            sender: slave.packet_handle(0, burst)?,
            _interfaces: [master, slave],
            _context: context,
        })
    }
}

fn one_thread(load: &Load) -> Result<Report, Failure> {
    let mut both = Both::new(load.burst)?;
    let mut numbered = Numbered::new(load);
    let burst = usize::from(load.burst);
    let (mut packets, mut received, mut wrong) = (0u64, 0u64, 0u64);
    let start = Instant::now();
    let mut time = Duration::ZERO;
    let mut slices: Vec<&[u8]> = Vec::with_capacity(burst);
    while time < load.secs {
        for _ in 0..256 {
            if burst == 1 {
                both.sender.write_packet(numbered.one())?;
                packets += 1;
            } else {
                let mut list = recycle(slices);
                numbered.burst(&mut list, burst);
                packets += both.sender.write_packets(&list)? as u64;
                slices = recycle(list);
            }
            loop {
                match both.receiver.read_packet() {
                    Ok(packet) => {
                        wrong += u64::from(number(&packet) != Some(received));
                        received += 1;
                    }
                    Err(Error::Eof(_)) => break,
                    Err(e) => return Err(e.into()),
                }
                if received == packets {
                    break;
                }
            }
        }
        time = start.elapsed();
    }
    if packets != received || wrong > 0 {
        return Err(Failure::Failed(format!(
            "{packets} packets sent, {received} received, {wrong} out of order"
        )));
    }
    Ok(Report::new("loop")
        .load(load)
        .with("packets", packets as f64)
        .with("ns_per_packet", time.as_nanos() as f64 / packets as f64))
}

/// An empty list with the memory of another, for references of another lifetime.
pub(crate) fn recycle<'b>(mut list: Vec<&[u8]>) -> Vec<&'b [u8]> {
    list.clear();
    list.into_iter().map(|_| -> &[u8] { &[] }).collect()
}

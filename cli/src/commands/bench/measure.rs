//! What the benches share: what is sent, numbered packets, both ends in one process, the report.

use std::fmt::{self, Write};
use std::process;
use std::time::Duration;

use memif::{Context, Error, Memif, MemifConfig, PacketHandle, Role, RxMode};

/// What is sent.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct Load {
    /// Packet size in bytes, at least 8
    #[arg(long, default_value_t = 64, value_name = "BYTES",
          value_parser = clap::value_parser!(u16).range(8..))]
    pub(crate) len: u16,
    /// Packets per burst
    #[arg(long, default_value_t = 32, value_name = "N",
          value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) burst: u16,
    /// Duration in seconds
    #[arg(long, default_value = "1", value_name = "SECONDS", value_parser = crate::values::some_seconds)]
    pub(crate) secs: Duration,
    /// Read the clock for each burst received, as a capture does
    #[arg(long)]
    pub(crate) timestamps: bool,
}

/// Numbers by name, in order.
#[derive(Debug)]
pub(crate) struct Report {
    bench: &'static str,
    fields: Vec<(&'static str, f64)>,
}

impl Report {
    pub(crate) fn new(bench: &'static str) -> Self {
        Self {
            bench,
            fields: Vec::new(),
        }
    }

    pub(crate) fn with(mut self, name: &'static str, value: impl Into<f64>) -> Self {
        self.fields.push((name, value.into()));
        self
    }

    pub(crate) fn load(self, load: &Load) -> Self {
        self.with("len", load.len).with("burst", load.burst)
    }

    pub(crate) fn show(&self, json: bool) -> String {
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
    pub(crate) fn one(&mut self) -> &[u8] {
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
    pub(crate) fn new(load: &Load) -> Result<Self, Error> {
        let context = Context::new("memif bench")?;
        let socket = format!("@memif-bench-{}", process::id());
        let master = context.create_interface(MemifConfig::new(&socket).role(Role::Master))?;
        // A buffer for a packet, so that a burst of any length fits into the ring.
        let config = MemifConfig::new(&socket).buffer_size(load.len.max(2048));
        let slave = context.create_interface(config)?;
        slave.wait_link_up(None)?;
        master.wait_link_up(None)?;
        let mut receiver = master.packet_handle(0)?.with_burst(load.burst);
        receiver = receiver.with_timestamps(load.timestamps);
        receiver.set_rx_mode(RxMode::Polling)?;
        Ok(Self {
            receiver,
            sender: slave.packet_handle(0)?,
            _interfaces: [master, slave],
            _context: context,
        })
    }
}

/// An empty list with the memory of another, for references of another lifetime.
pub(crate) fn recycle<'b>(mut list: Vec<&[u8]>) -> Vec<&'b [u8]> {
    list.clear();
    list.into_iter().map(|_| -> &[u8] { &[] }).collect()
}

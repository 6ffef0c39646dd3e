//! What the benches share: what is sent, numbered packets, both ends in one process, the report.

use std::fmt::{self, Write};
use std::time::Duration;
use std::{process, thread};

use hdrhistogram::Histogram;
use memif::{Context, Error, Memif, MemifConfig, PacketHandle, Role, RxMode};

use crate::failure::Failure;

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

    /// Nanoseconds, as they are distributed.
    pub(crate) fn times(self, times: &Histogram<u64>) -> Self {
        let at = |share| times.value_at_quantile(share) as f64;
        self.with("p50_ns", at(0.5))
            .with("p99_ns", at(0.99))
            .with("p999_ns", at(0.999))
            .with("max_ns", times.max() as f64)
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

/// For nanoseconds: up to a minute, to a thousandth.
pub(crate) fn histogram() -> Result<Histogram<u64>, Failure> {
    const MINUTE: u64 = 60_000_000_000;
    Histogram::new_with_max(MINUTE, 3).map_err(|e| Failure::Failed(e.to_string()))
}

/// Runs this for each, in a thread of its own; the first in this one.
pub(crate) fn side_by_side<I: Send, T: Send>(
    items: impl IntoIterator<Item = I>,
    run: impl Fn(I) -> Result<T, Failure> + Sync,
) -> Result<Vec<T>, Failure> {
    let mut items = items.into_iter();
    let first = items.next();
    thread::scope(|scope| {
        let run = &run;
        let others: Vec<_> = items.map(|item| scope.spawn(move || run(item))).collect();
        let first = first.map(run);
        let others = others.into_iter().map(|thread| {
            let panicked = |_| {
                Err(Failure::Failed(
                    "a thread of the measurement panicked".into(),
                ))
            };
            thread.join().unwrap_or_else(panicked)
        });
        first
            .into_iter()
            .chain(others.collect::<Vec<_>>())
            .collect()
    })
}

/// Numbered packets that share their memory, so that the source stays in the nearest cache: each
/// begins eight bytes after the one before, with its number. With times it begins sixteen bytes
/// after it, and the time follows its number.
pub(crate) struct Numbered {
    memory: Vec<u8>,
    len: usize,
    next: u64,
}

const NUMBER: usize = 8;
const NUMBER_AND_TIME: usize = 16;

impl Numbered {
    pub(crate) fn new(load: &Load) -> Self {
        Self {
            memory: vec![0; usize::from(load.burst) * NUMBER_AND_TIME + usize::from(load.len)],
            len: load.len.into(),
            next: 0,
        }
    }

    /// The next packet.
    #[inline]
    pub(crate) fn one(&mut self) -> &[u8] {
        self.memory[..NUMBER].copy_from_slice(&self.next.to_ne_bytes());
        self.next += 1;
        &self.memory[..self.len]
    }

    /// The next packets.
    pub(crate) fn burst<'a>(&'a mut self, packets: &mut Vec<&'a [u8]>, count: usize) {
        for (i, number) in self.memory.chunks_exact_mut(NUMBER).take(count).enumerate() {
            number.copy_from_slice(&(self.next + i as u64).to_ne_bytes());
        }
        self.list::<NUMBER>(packets, count);
    }

    /// The next packets, with this time in them.
    pub(crate) fn timed<'a>(&'a mut self, packets: &mut Vec<&'a [u8]>, count: usize, time: u64) {
        let places = self.memory.chunks_exact_mut(NUMBER_AND_TIME);
        for (i, place) in places.take(count).enumerate() {
            place[..NUMBER].copy_from_slice(&(self.next + i as u64).to_ne_bytes());
            place[NUMBER..].copy_from_slice(&time.to_ne_bytes());
        }
        self.list::<NUMBER_AND_TIME>(packets, count);
    }

    #[inline]
    fn list<'a, const APART: usize>(&'a mut self, packets: &mut Vec<&'a [u8]>, count: usize) {
        self.next += count as u64;
        packets.clear();
        packets.extend((0..count).map(|i| &self.memory[i * APART..i * APART + self.len]));
    }
}

/// The time in a packet.
#[inline]
pub(crate) fn time_of(packet: &[u8]) -> Option<u64> {
    Some(u64::from_ne_bytes(*packet.get(NUMBER..)?.first_chunk()?))
}

/// The number of a packet.
#[inline]
pub(crate) fn number(packet: &[u8]) -> Option<u64> {
    Some(u64::from_ne_bytes(*packet.first_chunk::<8>()?))
}

/// A master and a slave in this process.
pub(crate) struct Both {
    master: Memif,
    slave: Memif,
    _context: Context,
}

/// Both ends of a queue.
pub(crate) struct Ends {
    pub(crate) receiver: PacketHandle,
    pub(crate) sender: PacketHandle,
}

impl Both {
    pub(crate) fn new(load: &Load, queues: u8) -> Result<Self, Error> {
        let context = Context::new("memif bench")?;
        let socket = format!("@memif-bench-{}", process::id());
        let config = MemifConfig::new(&socket).queues(queues, queues);
        let master = context.create_interface(config.clone().role(Role::Master))?;
        // A buffer for a packet, so that a burst of any length fits into the ring.
        let slave = context.create_interface(config.buffer_size(load.len.max(2048)))?;
        slave.wait_link_up(None)?;
        master.wait_link_up(None)?;
        Ok(Self {
            master,
            slave,
            _context: context,
        })
    }

    pub(crate) fn ends(&self, load: &Load, queue: u8) -> Result<Ends, Error> {
        let receiver = self.master.packet_handle(queue)?.with_burst(load.burst);
        let mut receiver = receiver.with_timestamps(load.timestamps);
        receiver.set_rx_mode(RxMode::Polling)?;
        Ok(Ends {
            receiver,
            sender: self.slave.packet_handle(queue)?,
        })
    }
}

/// An empty list with the memory of another, for references of another lifetime.
pub(crate) fn recycle<'b>(mut list: Vec<&[u8]>) -> Vec<&'b [u8]> {
    list.clear();
    list.into_iter().map(|_| -> &[u8] { &[] }).collect()
}

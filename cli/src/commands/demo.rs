//! `memif demo`: a master and a slave in one process, so that one sees it work without a peer.

use std::path::PathBuf;
use std::process;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use memif::pcap::{CaptureReader, PcapWriter};
use memif::{
    Context, Eof, Error, LinkType, MemifConfig, PacketBuf, PacketHandle, PacketSink, PacketSource,
    Role,
};

use crate::failure::Failure;
use crate::output::print;
use crate::pace::{Pacer, Rate};
use crate::print::Printer;
use crate::report::{count, rate};

/// Replay a small capture through a memif inside this process, capture it at the other end, compare
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Capture file to write
    #[arg(short, long, default_value = "demo.pcap", value_name = "FILE")]
    write: PathBuf,
    /// Seconds to measure at top speed afterwards
    #[arg(long, default_value = "1", value_name = "SECONDS", value_parser = crate::values::seconds)]
    measure: Duration,
}

/// The capture that is replayed.
const CAPTURE: &[u8] = include_bytes!("demo.pcap");

/// How long anything may take that should take no time at all.
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let packets = load(CaptureReader::new(CAPTURE)?)?;
    // Opened first: a folder that can't be written to is known before anything else.
    let mut file = PcapWriter::create(&args.write, LinkType::ETHERNET, None)?;

    let context = Context::new("memif demo")?;
    let socket = format!("@memif-demo-{}", process::id());
    let master = context.create_interface(
        MemifConfig::new(&socket)
            .role(Role::Master)
            .name("demo-master"),
    )?;
    let slave = context.create_interface(MemifConfig::new(&socket).name("demo-slave"))?;
    slave.wait_link_up(Some(PATIENCE))?;
    master.wait_link_up(Some(PATIENCE))?;
    let details = master.details()?;
    let ring = details.rx_queues.first();
    say(format_args!(
        "A master and a slave are connected over {socket}: {} slots, {} bytes a buffer, {} memory regions.",
        ring.map_or(0, |q| q.ring_size),
        ring.map_or(0, |q| q.buffer_size),
        details.regions.len(),
    ))?;
    say("The slave replays testdata/mixed.pcap with its original timing; the master captures:\n")?;

    let mut sender = slave.packet_handle(0)?;
    let mut receiver = master.packet_handle(0)?;
    let start = Instant::now();
    let captured = thread::scope(|scope| {
        let sending = scope.spawn(|| replay(&mut sender, &packets));
        let captured = capture(&mut receiver, packets.len(), &mut file);
        let sent = sending
            .join()
            .unwrap_or_else(|_| Err(Failure::Failed("the sender panicked".into())));
        sent.and(captured)
    })?;
    let time = start.elapsed();
    file.close()?;

    let written = load(CaptureReader::open(&args.write)?)?;
    compare(&packets, &captured, "captured")?;
    compare(&packets, &written, "written")?;
    let bytes: u64 = packets.iter().map(|p| p.len() as u64).sum();
    let chains = packets.iter().filter(|p| p.len() > 2048).count() as u64;
    say(format_args!(
        "\nReplayed {}, and captured the same bytes in the same order; {} crossed as a chain of buffers.",
        rate(packets.len() as u64, bytes, time),
        count(chains, "packet"),
    ))?;
    say(format_args!(
        "The capture is in {}: open it with Wireshark, or with tcpdump -r.",
        args.write.display()
    ))?;
    if !args.measure.is_zero() {
        measure(&mut sender, &mut receiver, &packets, args.measure)?;
    }
    Ok(())
}

fn load(mut reader: impl PacketSource) -> Result<Vec<PacketBuf>, Failure> {
    let mut packets = Vec::new();
    loop {
        match reader.read_packet() {
            Ok(packet) => packets.push(packet.into()),
            Err(Error::Eof(_)) => return Ok(packets),
            Err(e) => return Err(e.into()),
        }
    }
}

fn replay(sender: &mut PacketHandle, packets: &[PacketBuf]) -> Result<(), Failure> {
    let mut pacer = Pacer::new(Rate::Original { speed: 1.0 })?;
    for packet in packets {
        if let Some(due) = pacer.deadline(packet.info().timestamp, packet.len()) {
            pacer.wait_until(due, || false);
        }
        sender.write_packet_timeout(packet, Some(PATIENCE))?;
    }
    Ok(())
}

fn capture(
    receiver: &mut PacketHandle,
    count: usize,
    file: &mut PcapWriter<std::fs::File>,
) -> Result<Vec<PacketBuf>, Failure> {
    let mut printer = Printer::new(LinkType::ETHERNET);
    let mut captured = Vec::new();
    while captured.len() < count {
        let packet = receiver.read_packet_timeout(Some(PATIENCE))?;
        file.write_packet(&packet)?;
        let line = printer.line(&packet).to_owned();
        captured.push(packet.into());
        say(line)?;
    }
    Ok(captured)
}

fn compare(sent: &[PacketBuf], got: &[PacketBuf], what: &str) -> Result<(), Failure> {
    if sent.len() != got.len() {
        return Err(Failure::Failed(format!(
            "{} sent, {} {what}",
            count(sent.len() as u64, "packet"),
            got.len()
        )));
    }
    match sent.iter().zip(got).position(|(a, b)| a[..] != b[..]) {
        Some(n) => Err(Failure::Failed(format!(
            "packet {} was {what} with other bytes",
            n + 1
        ))),
        None => Ok(()),
    }
}

/// The same packets again and again, without printing.
fn measure(
    sender: &mut PacketHandle,
    receiver: &mut PacketHandle,
    packets: &[PacketBuf],
    time: Duration,
) -> Result<(), Failure> {
    let done = AtomicBool::new(false);
    let start = Instant::now();
    let (sent, received, bytes) = thread::scope(|scope| {
        let sending = scope.spawn(|| {
            let mut sent = 0u64;
            while start.elapsed() < time {
                let mut left = packets;
                while !left.is_empty() {
                    match sender.write_packets(left) {
                        Ok(n) => {
                            sent += n as u64;
                            left = &left[n..];
                        }
                        Err(Error::Full) => {
                            sender
                                .wait_writable(left[0].len(), Some(PATIENCE))?
                                .ready()?;
                        }
                        Err(e) => return Err(e),
                    }
                }
            }
            done.store(true, Ordering::Release);
            Ok(sent)
        });
        let (mut received, mut bytes) = (0u64, 0u64);
        let mut result = Ok(());
        loop {
            // Looked at before the ring, so that nothing sent before it is missed.
            let last = done.load(Ordering::Acquire) || sending.is_finished();
            match receiver.read_packet() {
                Ok(packet) => {
                    received += 1;
                    bytes += packet.len() as u64;
                }
                Err(Error::Eof(_)) if last => break,
                Err(Error::Eof(_)) => {
                    if let Err(e) = receiver.wait(Some(Duration::from_millis(10)))
                        && e != Error::TimedOut
                    {
                        result = Err(e);
                        break;
                    }
                }
                Err(e) => {
                    result = Err(e);
                    break;
                }
            }
        }
        let sent = sending.join().unwrap_or(Err(Error::Eof(Eof::Closed)));
        result.and(sent).map(|sent| (sent, received, bytes))
    })?;
    let took = start.elapsed();
    if sent != received {
        return Err(Failure::Failed(format!(
            "{sent} packets sent, {received} received"
        )));
    }
    say(format_args!(
        "At top speed, printing nothing: {}, none lost.",
        rate(received, bytes, took)
    ))
}

/// Where nobody reads it, there is nothing left to do.
fn say(line: impl std::fmt::Display) -> Result<(), Failure> {
    let printed = print(format!("{line}\n"));
    if let Err(Failure::NobodyReads) = printed {
        process::exit(0);
    }
    printed
}

//! `memif bench`: how fast it is on this machine, for people and for scripts.

mod files;
mod measure;
mod pair;
mod rtt;

use std::time::{Duration, Instant};

use clap::Subcommand;
use memif::Error;

use crate::failure::Failure;
use crate::output::print;
use measure::{Both, Ends, Load, Numbered, Report, number, recycle, side_by_side};

/// Measure packets per second, round trips, capture and replay
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Print one JSON object instead of text
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Both ends in one thread: the cost of sending plus receiving a packet
    Loop(LoopArgs),
    /// Send numbered packets to `bench recv` in another process
    Send(pair::SendArgs),
    /// Receive the packets of `bench send`, and check that none is missing
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

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let report = match &args.what {
        What::Loop(args) => both_ends(args)?,
        What::Send(args) => pair::send(args)?,
        What::Recv(args) => pair::receive(args)?,
        What::Ping(args) => rtt::ping(args)?,
        What::Pong(args) => rtt::pong(args)?,
        What::Capture(args) => files::with_file(args, files::capture)?,
        What::Replay(args) => files::with_file(args, files::replay)?,
    };
    print(format!("{}\n", report.show(args.json)))
}

#[derive(Debug, clap::Args)]
struct LoopArgs {
    #[command(flatten)]
    load: Load,
    /// Queues, each with a thread of its own
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u8).range(1..))]
    queues: u8,
}

fn both_ends(args: &LoopArgs) -> Result<Report, Failure> {
    let (load, queues) = (&args.load, args.queues);
    let both = Both::new(load, queues)?;
    let ends: Result<Vec<_>, _> = (0..queues).map(|queue| both.ends(load, queue)).collect();
    let all = side_by_side(ends?, |ends| one_queue(load, ends))?;
    let packets: u64 = all.iter().map(|(packets, _)| packets).sum();
    let time: Duration = all.iter().map(|(_, time)| time).sum();
    let rate = |(packets, time): &(u64, Duration)| *packets as f64 / time.as_secs_f64() / 1e6;
    Ok(Report::new("loop")
        .load(load)
        .with("queues", queues)
        .with("packets", packets as f64)
        .with("ns_per_packet", time.as_nanos() as f64 / packets as f64)
        .with("mpps", all.iter().map(rate).sum::<f64>()))
}

/// How many packets went through a queue, and in which time.
fn one_queue(load: &Load, mut ends: Ends) -> Result<(u64, Duration), Failure> {
    let mut numbered = Numbered::new(load);
    let burst = usize::from(load.burst);
    let (mut packets, mut received, mut wrong) = (0u64, 0u64, 0u64);
    let start = Instant::now();
    let mut time = Duration::ZERO;
    let mut slices: Vec<&[u8]> = Vec::with_capacity(burst);
    while time < load.secs {
        for _ in 0..256 {
            if burst == 1 {
                ends.sender.write_packet(numbered.one())?;
                packets += 1;
            } else {
                let mut list = recycle(slices);
                numbered.burst(&mut list, burst);
                packets += ends.sender.write_packets(&list)? as u64;
                slices = recycle(list);
            }
            loop {
                match ends.receiver.read_packet() {
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
    Ok((packets, time))
}

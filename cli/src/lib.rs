//! The `memif` command as a library: `main.rs` only calls [`main`], so that tests and fuzz targets
//! reach what they need.
//!
//! Imports run downwards: from here to `commands`, `metrics`, `print`, `link` and `files`, and from
//! each of them to the ground (`events`, `failure`, `link_type`, `lock`, `mac`, `netns`, `output`, `pace`,
//! `report`, `values`).

mod commands;
mod events;
mod failure;
mod files;
mod link;
mod link_type;
mod lock;
mod mac;
mod metrics;
mod netns;
mod output;
mod pace;
pub mod print;
mod report;
mod values;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use crate::commands::{
    bench, bridge, capture, demo, extcap, info, list, pages, replay, respond, stats,
};
use crate::failure::{Failure, finish};
use crate::report::start_log;

/// Packets over shared memory: what tcpdump and tcpreplay do for network cards, for memif.
#[derive(Debug, Parser)]
#[command(name = "memif", version, max_term_width = 100)]
pub struct Args {
    /// More output: -v logs the control channel, -vv everything
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
    /// Do everything of the network in another namespace: a name of `ip netns`, a process, or a
    /// file. Abstract sockets and TAP devices belong to one. Needs CAP_SYS_ADMIN
    #[arg(long, global = true, value_name = "NAME|PID|PATH")]
    netns: Option<String>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Demo(demo::Args),
    Capture(capture::Args),
    Replay(replay::Args),
    Bench(bench::Args),
    Bridge(bridge::Args),
    Respond(respond::Args),
    Extcap(extcap::Args),
    Info(info::Args),
    List(list::Args),
    Stats(stats::Args),
    Completions(pages::CompletionsArgs),
    Man(pages::ManArgs),
}

/// Runs the command line of this process to its end.
pub fn main() -> ExitCode {
    // Wireshark names no subcommand.
    if let Some(code) = extcap::asked(std::env::args_os().skip(1), capture_as_told) {
        return code;
    }
    let args = Args::parse();
    start_log(match &args.command {
        // Printed packets have the first use for it.
        Command::Capture(capture) if capture.prints() => args.verbose.saturating_sub(1),
        _ => args.verbose,
    });
    if let Some(Err(failure)) = args.netns.as_deref().map(netns::enter) {
        return finish(Err(failure));
    }
    let result = match args.command {
        Command::Demo(args) => demo::run(&args),
        Command::Capture(capture) => capture::run(&capture, args.verbose),
        Command::Replay(args) => replay::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Bridge(args) => bridge::run(&args),
        Command::Respond(args) => respond::run(&args),
        Command::Extcap(args) => extcap::run(&args),
        Command::Info(args) => info::run(&args),
        Command::List(args) => list::run(&args),
        Command::Stats(args) => stats::run(&args),
        Command::Completions(args) => pages::completions(&args, Args::command()),
        Command::Man(args) => pages::man(&args, Args::command()),
    };
    finish(result)
}

/// Runs `memif capture` with these arguments.
fn capture_as_told(arguments: Vec<String>) -> Result<(), Failure> {
    let words = ["memif", "capture"].map(str::to_owned);
    let args = Args::try_parse_from(words.into_iter().chain(arguments)).map_err(|e| {
        let text = e.to_string();
        let line = text.lines().next().unwrap_or_default();
        Failure::Usage(line.trim_start_matches("error: ").to_owned())
    })?;
    match args.command {
        Command::Capture(args) => capture::run(&args, 0),
        _ => unreachable!("its name is the second word"),
    }
}

//! The `memif` command: capture, replay and try out shared-memory packet interfaces.

mod bench;
mod bridge;
mod capture;
mod demo;
mod endpoint;
mod pace;
mod print;
mod replay;
mod report;
mod respond;
mod stop;
mod tap;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Packets over shared memory: what tcpdump and tcpreplay do for network cards, for memif.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
struct Args {
    /// Tell more: -v what happens on the control channel, -vv all of it
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
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
}

/// Why a command ends without success: 1 failed, 2 wrong usage.
#[derive(Debug)]
enum Failure {
    Failed(String),
    Usage(String),
}

impl From<memif::Error> for Failure {
    fn from(error: memif::Error) -> Self {
        match error {
            memif::Error::Config { .. } => Self::Usage(error.to_string()),
            _ => Self::Failed(error.to_string()),
        }
    }
}

fn main() -> ExitCode {
    let args = Args::parse();
    start_log(args.verbose);
    let result = match args.command {
        Command::Demo(args) => demo::run(&args),
        Command::Capture(args) => capture::run(&args),
        Command::Replay(args) => replay::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Bridge(args) => bridge::run(&args),
        Command::Respond(args) => respond::run(&args),
    };
    let (message, code) = match result {
        Ok(()) => return ExitCode::SUCCESS,
        Err(Failure::Failed(message)) => (message, 1),
        Err(Failure::Usage(message)) => (message, 2),
    };
    report::notice(&message);
    ExitCode::from(code)
}

/// The library's log goes to standard error, in the command's own form.
fn start_log(verbose: u8) {
    use std::io::Write;

    let level = match verbose {
        0 => log::LevelFilter::Warn,
        1 => log::LevelFilter::Info,
        _ => log::LevelFilter::Debug,
    };
    env_logger::Builder::new()
        .filter_level(level)
        .parse_default_env()
        .format(|out, record| writeln!(out, "memif: {}", record.args()))
        .init();
}

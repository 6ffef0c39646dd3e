//! The `memif` command: capture, replay and try out shared-memory packet interfaces.

pub(crate) mod access;
pub(crate) mod bench;
pub(crate) mod bridge;
pub(crate) mod capture;
pub(crate) mod demo;
pub(crate) mod endpoint;
pub(crate) mod extcap;
pub(crate) mod filter;
pub(crate) mod info;
pub(crate) mod input;
pub(crate) mod metrics;
pub(crate) mod pace;
pub(crate) mod pages;
pub(crate) mod print;
pub(crate) mod record;
pub(crate) mod replay;
pub(crate) mod report;
pub(crate) mod respond;
pub(crate) mod stats;
pub(crate) mod stop;
pub(crate) mod tap;

use std::process::ExitCode;
use std::time::Instant;

use clap::{Parser, Subcommand};

/// Packets over shared memory: what tcpdump and tcpreplay do for network cards, for memif.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
pub(crate) struct Args {
    /// Tell more: -v what happens on the control channel, -vv all of it
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Demo(demo::Args),
    Capture(capture::Args),
    Replay(replay::Args),
    Bench(bench::Args),
    Bridge(bridge::Args),
    Respond(respond::Args),
    Extcap(extcap::Args),
    Info(info::Args),
    Stats(stats::Args),
    Completions(pages::CompletionsArgs),
    Man(pages::ManArgs),
}

/// Why a command ends before its work is done.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Exit code 1.
    Failed(String),
    /// Exit code 2.
    Usage(String),
    /// Whoever read the output has gone, and is no failure: `| head`.
    NobodyReads,
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
    // Wireshark names no subcommand.
    if let Some(code) = extcap::asked(std::env::args_os().skip(1)) {
        return code;
    }
    let args = Args::parse();
    start_log(match &args.command {
        // Printed packets have the first use for it.
        Command::Capture(capture) if capture.prints() => args.verbose.saturating_sub(1),
        _ => args.verbose,
    });
    let result = match args.command {
        Command::Demo(args) => demo::run(&args),
        Command::Capture(capture) => capture::run(&capture, args.verbose),
        Command::Replay(args) => replay::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Bridge(args) => bridge::run(&args),
        Command::Respond(args) => respond::run(&args),
        Command::Extcap(args) => extcap::run(&args),
        Command::Info(args) => info::run(&args),
        Command::Stats(args) => stats::run(&args),
        Command::Completions(args) => pages::completions(&args),
        Command::Man(args) => pages::man(&args),
    };
    finish(result)
}

/// Tells what went wrong, and how the process is to end.
pub(crate) fn finish(result: Result<(), Failure>) -> ExitCode {
    let (message, code) = match result {
        Ok(()) | Err(Failure::NobodyReads) => return ExitCode::SUCCESS,
        Err(Failure::Failed(message)) => (message, 1),
        Err(Failure::Usage(message)) => (message, 2),
    };
    report::notice(&message);
    ExitCode::from(code)
}

/// The library's log goes to standard error, in the command's own form.
pub(crate) fn start_log(verbose: u8) {
    use std::io::Write;

    let level = match verbose {
        0 => log::LevelFilter::Warn,
        1 => log::LevelFilter::Info,
        _ => log::LevelFilter::Debug,
    };
    let repeats = report::Repeats::default();
    env_logger::Builder::new()
        .filter_level(level)
        .parse_default_env()
        .format(move |out, record| {
            let line = record.args().to_string();
            if record.level() <= log::Level::Warn && !repeats.is_new(&line, Instant::now()) {
                return Ok(());
            }
            writeln!(out, "memif: {line}")
        })
        .init();
}

//! The `memif` command: capture, replay and try out shared-memory packet interfaces.

use std::process::ExitCode;

fn main() -> ExitCode {
    memif_cli::main()
}

//! Why a command ends before its work is done, and the exit code that says so.

use std::process::ExitCode;

use crate::report::{flush, notice};

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

impl Failure {
    pub(crate) fn hint(self, hint: &str) -> Self {
        match self {
            Self::Failed(text) if !hint.is_empty() => Self::Failed(format!("{text}; {hint}")),
            other => other,
        }
    }
}

/// Tells what went wrong, and how the process is to end.
pub(crate) fn finish(result: Result<(), Failure>) -> ExitCode {
    let (message, code) = match result {
        Ok(()) | Err(Failure::NobodyReads) => {
            flush();
            return ExitCode::SUCCESS;
        }
        Err(Failure::Failed(message)) => (message, 1),
        Err(Failure::Usage(message)) => (message, 2),
    };
    notice(&message);
    ExitCode::from(code)
}

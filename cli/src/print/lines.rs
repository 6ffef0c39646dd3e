//! Packets on standard output.

use std::io::{self, BufWriter, IsTerminal, Write};
use std::os::fd::OwnedFd;

use memif::{LinkType, Packet};

use super::json;
use super::options::PrintArgs;
use super::options::{Style, Time, What};
use super::printer::Printer;
use crate::failure::Failure;
use crate::files::record::pipe_of;

/// Prints packets, or counts them.
pub(crate) struct Lines {
    printer: Printer,
    link_type: LinkType,
    what: What,
    each_line: bool,
    out: BufWriter<io::Stdout>,
    packets: u64,
}

impl Lines {
    pub(crate) fn new(link_type: LinkType, args: &PrintArgs, verbose: u8, quiet: bool) -> Self {
        let what = args.what();
        let style = match what {
            What::Json => Style {
                time: Time::None,
                ..Style::default()
            },
            _ => args.style(verbose, quiet),
        };
        Self {
            printer: Printer::styled(link_type, style),
            link_type,
            what,
            each_line: args.line_buffered(),
            out: BufWriter::with_capacity(64 << 10, io::stdout()),
            packets: 0,
        }
    }

    pub(crate) fn put(&mut self, packet: &Packet<'_>) -> Result<(), Failure> {
        let written = match self.what {
            What::Nothing => Ok(()),
            What::Text => writeln!(self.out, "{}", self.printer.lines(packet)),
            What::Json => json::write(&mut self.out, &mut self.printer, self.link_type, packet),
        };
        written.map_err(failure)?;
        self.packets += 1;
        if self.each_line {
            self.flush()?;
        }
        Ok(())
    }

    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        self.out.flush().map_err(failure)
    }

    /// Whether somebody looks on.
    pub(crate) fn is_read_along(&self) -> bool {
        io::stdout().is_terminal()
    }

    pub(crate) fn pipe(&self) -> Option<OwnedFd> {
        pipe_of(self.out.get_ref())
    }

    /// How many packets there were.
    pub(crate) fn packets(&self) -> u64 {
        self.packets
    }

    pub(crate) fn what_was_done(&self) -> &'static str {
        match self.what {
            What::Nothing => "counted",
            _ => "printed",
        }
    }

    /// The count, where that is all that was wanted.
    pub(crate) fn end(&mut self) -> Result<(), Failure> {
        if self.what == What::Nothing {
            writeln!(self.out, "{}", self.packets).map_err(failure)?;
        }
        self.flush()
    }
}

fn failure(error: io::Error) -> Failure {
    if error.kind() == io::ErrorKind::BrokenPipe {
        return Failure::NobodyReads;
    }
    Failure::Failed(format!("standard output: {error}"))
}

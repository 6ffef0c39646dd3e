//! Packets on standard output.

use std::fs::File;
use std::io::{IsTerminal, Write};
use std::os::fd::OwnedFd;

use memif::Direction;
use memif::{LinkType, Packet};

use super::json;
use super::options::{PrintArgs, Style, Time, What};
use super::printer::Printer;
use crate::failure::Failure;
use crate::files::record::{Output, Put};
use crate::output::{failure, pipe_of, standard_output};

/// So many bytes are written together.
const TOGETHER: usize = 64 << 10;

/// Prints packets, or counts them.
pub(crate) struct Lines {
    printer: Printer,
    link_type: LinkType,
    what: What,
    each_line: bool,
    out: File,
    is_terminal: bool,
    /// Not written yet, and where in it each packet ends.
    held: Vec<u8>,
    ends: Vec<usize>,
    taken: u64,
    written: u64,
    cut_off: bool,
}

impl Lines {
    pub(crate) fn new(
        link_type: LinkType,
        args: &PrintArgs,
        verbose: u8,
        quiet: bool,
    ) -> Result<Self, Failure> {
        let what = args.what();
        let style = match what {
            What::Json => Style {
                time: Time::None,
                ..Style::default()
            },
            _ => args.style(verbose, quiet),
        };
        let out = standard_output()?;
        Ok(Self {
            printer: Printer::styled(link_type, style),
            link_type,
            what,
            each_line: args.line_buffered(),
            is_terminal: out.is_terminal(),
            out,
            held: Vec::with_capacity(TOGETHER + 4096),
            ends: Vec::new(),
            taken: 0,
            written: 0,
            cut_off: false,
        })
    }
}

impl Output for Lines {
    fn put(&mut self, packet: &Packet<'_>, _from: u32, _way: Direction) -> Result<Put, Failure> {
        self.taken += 1;
        let written = match self.what {
            What::Nothing => {
                self.written += 1;
                return Ok(Put::Taken);
            }
            What::Text => {
                self.held.extend(self.printer.lines(packet).as_bytes());
                self.held.push(b'\n');
                Ok(())
            }
            What::Json => json::write(&mut self.held, &mut self.printer, self.link_type, packet),
        };
        written.map_err(failure)?;
        self.ends.push(self.held.len());
        if self.each_line || self.held.len() >= TOGETHER {
            self.flush()?;
        }
        Ok(Put::Taken)
    }

    fn flush(&mut self) -> Result<(), Failure> {
        let mut done = 0;
        let mut result = Ok(());
        while done < self.held.len() && result.is_ok() {
            match self.out.write(&self.held[done..]) {
                Ok(count) => done += count,
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                Err(e) => result = Err(failure(e)),
            }
        }
        self.written += self.ends.partition_point(|end| *end <= done) as u64;
        self.cut_off |= matches!(result, Err(Failure::NobodyReads));
        self.held.clear();
        self.ends.clear();
        result
    }

    fn is_read_along(&self) -> bool {
        self.is_terminal
    }

    fn pipe(&self) -> Option<OwnedFd> {
        pipe_of(&self.out)
    }

    /// With the count, where that is all that was wanted.
    fn end(&mut self, failed: bool) -> Result<(), Failure> {
        if failed {
            return Ok(());
        }
        if self.what == What::Nothing {
            self.held = format!("{}\n", self.taken).into();
        }
        self.flush()
    }

    fn packets(&self) -> (u64, u64) {
        (self.taken, self.written)
    }

    fn what_was_done(&self) -> String {
        match self.what {
            What::Nothing => "counted".into(),
            // What a pipe holds is lost with its reader.
            _ if self.cut_off => "printed at most; the reader has closed the pipe".into(),
            _ => "printed".into(),
        }
    }
}

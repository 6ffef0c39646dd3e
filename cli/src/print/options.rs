//! The options that say how packets are printed.

use std::io::{self, IsTerminal};

use clap::ValueEnum;

#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Printing")]
pub(crate) struct PrintArgs {
    /// Print the link header
    #[arg(short = 'e', long)]
    link_level: bool,
    /// Accepted for compatibility with tcpdump; names are never resolved
    #[arg(short = 'n', action = clap::ArgAction::Count)]
    numeric: u8,
    /// -t no time, -tt seconds since 1970, -ttt since the previous packet, -tttt with the date,
    /// -ttttt since the first packet
    #[arg(short = 't', action = clap::ArgAction::Count)]
    time: u8,
    /// Absolute TCP sequence numbers
    #[arg(short = 'S', long)]
    absolute_tcp_sequence_numbers: bool,
    /// Print the bytes in hex, -xx with the link header
    #[arg(short = 'x', action = clap::ArgAction::Count)]
    hex: u8,
    /// Print the bytes in hex and ASCII, -XX with the link header
    #[arg(short = 'X', action = clap::ArgAction::Count)]
    hex_and_ascii: u8,
    /// Print the bytes in ASCII
    #[arg(short = 'A')]
    ascii: bool,
    /// Print the number of each packet
    #[arg(long, visible_short_alias = '#')]
    number: bool,
    /// Colours: auto uses them on a terminal unless NO_COLOR is set
    #[arg(long, default_value = "auto", value_name = "WHEN")]
    color: When,
    /// Write each line immediately, also into a pipe
    #[arg(short = 'l', long)]
    line_buffered: bool,
    /// One JSON object per packet, one per line
    #[arg(long, conflicts_with_all = ["write", "count_only"])]
    json: bool,
    /// Print only the number of packets, at the end
    #[arg(long, conflicts_with = "write")]
    count_only: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum When {
    Auto,
    Always,
    Never,
}

/// What is printed of each packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    Text,
    Json,
    Nothing,
}

/// Which time stands before a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Time {
    #[default]
    OfDay,
    None,
    Epoch,
    SinceLast,
    Date,
    SinceFirst,
}

/// Bytes in hex.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Dump {
    pub(super) link: bool,
    pub(super) ascii: bool,
    /// No hex.
    pub(super) only_ascii: bool,
}

/// How much a line says, and how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Style {
    pub(super) link_level: bool,
    pub(super) verbose: bool,
    pub(super) quiet: bool,
    /// TCP's numbers are counted from the beginning of their connection.
    pub(super) relative: bool,
    pub(super) time: Time,
    pub(super) dump: Option<Dump>,
    pub(super) number: bool,
    pub(super) color: bool,
}

impl PrintArgs {
    pub(super) fn what(&self) -> What {
        match (self.json, self.count_only) {
            (true, _) => What::Json,
            (_, true) => What::Nothing,
            _ => What::Text,
        }
    }

    pub(super) fn line_buffered(&self) -> bool {
        self.line_buffered
    }

    pub(super) fn style(&self, verbose: u8, quiet: bool) -> Style {
        let dump = |count: u8, ascii| {
            (count > 0).then_some(Dump {
                link: count > 1,
                ascii,
                only_ascii: false,
            })
        };
        let ascii = self.ascii.then_some(Dump {
            link: false,
            ascii: true,
            only_ascii: true,
        });
        Style {
            link_level: self.link_level,
            verbose: verbose > 0,
            quiet,
            relative: !self.absolute_tcp_sequence_numbers,
            time: match self.time {
                0 => Time::OfDay,
                1 => Time::None,
                2 => Time::Epoch,
                3 => Time::SinceLast,
                4 => Time::Date,
                _ => Time::SinceFirst,
            },
            dump: dump(self.hex_and_ascii, true)
                .or(dump(self.hex, false))
                .or(ascii),
            number: self.number,
            color: match self.color {
                When::Always => true,
                When::Never => false,
                When::Auto => io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none(),
            },
        }
    }
}

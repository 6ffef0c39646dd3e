//! The options that say where packets are written, and when a file is full.

use std::io;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::thread;
use std::time::Duration;

use memif::LinkType;
use memif::pcap::{Compression, Effort, PcapWriter, RecordFormat};

use super::names::{Names, of_queue};
use crate::failure::Failure;
use crate::values::some_seconds;

#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Files")]
pub(crate) struct RecordArgs {
    /// Write the packets to a file, to standard output ('-'), to a reader at tcp:HOST:PORT, or to
    /// all that connect to tcp-listen:[ADDRESS:]PORT. The format is pcapng unless the name
    /// ends in .pcap; names ending in .gz or .zst are compressed
    #[arg(short, long, value_name = "FILE")]
    pub(crate) write: Option<PathBuf>,
    /// Write classic pcap with nanoseconds, whatever the name
    #[arg(long, requires = "write", conflicts_with = "pcapng")]
    pcap: bool,
    /// Write pcapng, whatever the name
    #[arg(long, requires = "write")]
    pcapng: bool,
    /// Start a new file after filesize:KB (1000 bytes, before compression), duration:SECONDS,
    /// interval:SECONDS (aligned to the clock) or packets:N; files:N keeps only the newest N. May
    /// be repeated. Files are named NAME_00001_YYYYMMDDhhmmss.EXT, or by strftime if the name has a
    /// '%'; existing files are kept
    #[arg(short = 'b', long, value_name = "KEY:VALUE", requires = "write")]
    ring_buffer: Vec<Limit>,
    /// Stop after duration:SECONDS, filesize:KB, packets:N or files:N. May be repeated
    #[arg(short = 'a', long, value_name = "KEY:VALUE")]
    autostop: Vec<Limit>,
    /// Same as -b filesize:, in millions of bytes, or with k, m, g in KiB, MiB, GiB (tcpdump)
    #[arg(short = 'C', value_name = "SIZE", requires = "write", value_parser = tcpdump_size)]
    file_bytes: Option<u64>,
    /// Same as -b duration:SECONDS (tcpdump)
    #[arg(short = 'G', value_name = "SECONDS", requires = "write", value_parser = some_seconds)]
    file_time: Option<Duration>,
    /// Same as -b files:N (tcpdump); to stop after N files use -a files:N
    #[arg(short = 'W', value_name = "N", requires = "write",
          value_parser = clap::value_parser!(u32).range(1..))]
    file_count: Option<u32>,
    /// Write a file for each queue, by a thread of its own: NAME_q0.EXT, NAME_q1.EXT
    #[arg(long, value_name = "WHAT", requires = "write")]
    pub(crate) split: Option<Split>,
    /// Run sh -c 'CMD FILE' in the background after each completed file
    #[arg(long, value_name = "CMD", requires = "write")]
    after_file: Option<String>,
    /// Memory for packets that wait to be written; with k, m or g. When it is full, packets wait in
    /// the ring
    #[arg(long, default_value = "64m", value_name = "SIZE", value_parser = buffer_size)]
    buffer: usize,
    /// Threads that compress a file; 0: the one that writes it [default: one less than there are
    /// CPUs, 1 to 8]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(..=64))]
    write_threads: Option<u32>,
    /// How hard to compress: 0 to 9 for .gz; for .zst 1 to 22, or below 0 to be faster still
    #[arg(
        long,
        value_name = "N",
        default_value_t = 1,
        allow_negative_numbers = true
    )]
    level: i32,
    /// Write each packet to the file immediately
    #[arg(short = 'U', long)]
    packet_buffered: bool,
}

/// `filesize:1000` and the like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Limit {
    Bytes(u64),
    Duration(Duration),
    Interval(Duration),
    Packets(u64),
    Files(u32),
}

impl FromStr for Limit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const KEYS: &str = "filesize:KB, duration:SECONDS, interval:SECONDS, packets:N or files:N";
        let (key, value) = text
            .split_once(':')
            .ok_or_else(|| format!("a limit has the form {KEYS}"))?;
        let number = || match value.parse::<u64>() {
            Ok(n) if n > 0 => Ok(n),
            _ => Err(format!("'{value}' is not a whole number above 0")),
        };
        Ok(match key {
            "filesize" => Self::Bytes(number()?.saturating_mul(1000)),
            "duration" => Self::Duration(some_seconds(value)?),
            "interval" => Self::Interval(Duration::from_secs(number()?)),
            "packets" => Self::Packets(number()?),
            "files" => Self::Files(
                u32::try_from(number()?).map_err(|_| format!("{value} is too many files"))?,
            ),
            _ => return Err(format!("'{key}' is not a limit: {KEYS}")),
        })
    }
}

/// From the least that works well on.
fn buffer_size(text: &str) -> Result<usize, String> {
    const LEAST: u64 = 256 << 10;
    const MOST: u64 = 1 << 40;
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &text[digits.len()..].to_ascii_lowercase()[..] {
        "" => Some(1),
        "k" => Some(1 << 10),
        "m" => Some(1 << 20),
        "g" => Some(1 << 30),
        _ => None,
    };
    let bytes = unit.and_then(|unit| digits.parse::<u64>().ok()?.checked_mul(unit));
    match bytes.filter(|bytes| (LEAST..=MOST).contains(bytes)) {
        Some(bytes) => usize::try_from(bytes).map_err(|e| e.to_string()),
        None => Err(format!(
            "'{text}' is not a size from 256k to 1024g: a number of bytes, or a number with k, m or g"
        )),
    }
}

fn tcpdump_size(text: &str) -> Result<u64, String> {
    let (digits, unit) = match text.chars().last().map(|c| c.to_ascii_lowercase()) {
        Some('k') => (&text[..text.len() - 1], 1 << 10),
        Some('m') => (&text[..text.len() - 1], 1 << 20),
        Some('g') => (&text[..text.len() - 1], 1 << 30),
        _ => (text, 1_000_000),
    };
    match digits.parse::<u64>() {
        Ok(n) if n > 0 => Ok(n.saturating_mul(unit)),
        _ => Err(format!(
            "'{text}' is not a size: a number of megabytes, or a number with k, m or g"
        )),
    }
}

/// What has a file of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Split {
    Queue,
}

/// When a file is full, and when all is done.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(super) names: Names,
    pub(super) format: RecordFormat,
    pub(super) compression: Compression,
    pub(super) each_packet: bool,
    pub(super) effort: Effort,
    pub(super) after_file: Option<String>,
    /// Of one file; without limits `u64::MAX`.
    pub(super) bytes: u64,
    pub(super) packets: u64,
    pub(super) duration: Option<Duration>,
    pub(super) interval: Option<Duration>,
    /// Files that are kept.
    pub(super) keep: Option<usize>,
    /// The last file, counted from 1.
    pub(super) last: u64,
}

/// When a recording ends by itself.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Limits {
    pub(crate) packets: Option<u64>,
    pub(crate) duration: Option<Duration>,
}

impl RecordArgs {
    /// Where and how files are written; `None` without a name.
    pub(crate) fn plan(&self) -> Result<Option<Plan>, Failure> {
        self.plan_for(None)
    }

    /// As `plan`, of the file of this queue.
    pub(crate) fn plan_for(&self, queue: Option<u8>) -> Result<Option<Plan>, Failure> {
        let stop_at_size = self.autostop.iter().find_map(|limit| match limit {
            Limit::Bytes(n) => Some(*n),
            _ => None,
        });
        let stop_at_files = self.autostop.iter().find_map(|limit| match limit {
            Limit::Files(n) => Some(u64::from(*n)),
            _ => None,
        });
        if let Some(interval) = self.autostop.iter().find_map(|limit| match limit {
            Limit::Interval(time) => Some(time.as_secs()),
            _ => None,
        }) {
            return Err(Failure::Usage(format!(
                "-a interval:{interval} is not possible; use -a duration: to stop, or -b interval: to start files"
            )));
        }
        if let Some(name) = &self.write
            && self.split.is_some()
            && Names::is_stream(name)
        {
            return Err(Failure::Usage(format!(
                "--split needs a file name, not '-w {}'",
                name.display()
            )));
        }
        let own = self.write.as_ref().zip(queue);
        let own = own.map(|(name, queue)| of_queue(name, queue));
        let Some(name) = own.as_ref().or(self.write.as_ref()) else {
            if stop_at_size.is_some() || stop_at_files.is_some() {
                return Err(Failure::Usage(
                    "-a filesize: and -a files: need a file: -w FILE".into(),
                ));
            }
            return Ok(None);
        };
        let (mut bytes, mut packets) = (self.file_bytes, None);
        let (mut duration, mut interval) = (self.file_time, None);
        let mut keep = self.file_count;
        for limit in &self.ring_buffer {
            match *limit {
                Limit::Bytes(n) => bytes = Some(n),
                Limit::Duration(time) => duration = Some(time),
                Limit::Interval(time) => interval = Some(time),
                Limit::Packets(n) => packets = Some(n),
                Limit::Files(n) => keep = Some(n),
            }
        }
        let rotates =
            bytes.is_some() || packets.is_some() || duration.is_some() || interval.is_some();
        if !rotates && keep.is_some() {
            return Err(Failure::Usage(
                "files:N needs a limit for each file: -b filesize:, duration:, interval: or packets:"
                    .into(),
            ));
        }
        if !rotates && stop_at_files.is_some() {
            return Err(Failure::Usage(
                "-a files: needs a limit for each file: -b filesize:, duration:, interval: or packets:".into(),
            ));
        }
        if rotates && Names::is_stream(name) {
            return Err(Failure::Usage(format!(
                "-b, -C, -G and -W need a file name, not '-w {}'",
                name.display()
            )));
        }
        let compression = Compression::of_name(name);
        let extension = |path: &Path| path.extension().unwrap_or_default().to_owned();
        let unknown = ["xz", "bz2", "lz4", "lzma", "lzo", "zip", "Z"];
        if let Some(end) = unknown.into_iter().find(|end| extension(name) == *end) {
            return Err(Failure::Usage(format!(
                "{}: files can't be written as .{end}, only as .gz and .zst",
                name.display()
            )));
        }
        let plain = match compression {
            Compression::None => name.clone(),
            _ => name.with_extension(""),
        };
        let classic = self.pcap || (!self.pcapng && extension(&plain) == "pcap");
        let last = match (rotates, stop_at_files) {
            (true, None) => u64::MAX,
            (true, Some(files)) => files,
            (false, _) => 1,
        };
        // Before there is a file that would be emptied in vain.
        let mut effort = self.effort();
        effort.threads = 0;
        PcapWriter::compressed_by(effort, io::sink(), compression, LinkType::ETHERNET, None)
            .map_err(|e| Failure::Usage(format!("--level: {e}")))?;
        Ok(Some(Plan {
            names: Names::new(name, rotates)?,
            format: if classic {
                RecordFormat::Pcap
            } else {
                RecordFormat::PcapNg
            },
            compression,
            each_packet: self.packet_buffered,
            effort: self.effort(),
            after_file: self.after_file.clone(),
            bytes: bytes.or(stop_at_size).unwrap_or(u64::MAX),
            packets: packets.unwrap_or(u64::MAX),
            duration,
            interval,
            keep: keep.map(|n| n as usize),
            last,
        }))
    }

    fn effort(&self) -> Effort {
        let mut effort = Effort::default();
        effort.level = Some(self.level);
        effort.threads = self.write_threads.unwrap_or_else(|| {
            let cpus = thread::available_parallelism().map_or(1, NonZero::get);
            cpus.saturating_sub(1).clamp(1, 8) as u32
        });
        effort
    }

    /// Bytes that may wait to be written to files; what is printed is written at once.
    pub(crate) fn buffer(&self) -> Option<usize> {
        self.write.as_ref().map(|_| self.buffer)
    }

    pub(crate) fn limits(&self) -> Limits {
        let mut stop = Limits::default();
        for limit in &self.autostop {
            match *limit {
                Limit::Packets(n) => stop.packets = Some(n),
                Limit::Duration(time) => stop.duration = Some(time),
                _ => {}
            }
        }
        stop
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_understood_or_refused() {
        let limit = |text: &str| text.parse::<Limit>();
        assert_eq!(limit("filesize:5"), Ok(Limit::Bytes(5000)));
        assert_eq!(
            limit("duration:0.5"),
            Ok(Limit::Duration(Duration::from_millis(500)))
        );
        assert_eq!(
            limit("interval:60"),
            Ok(Limit::Interval(Duration::from_secs(60)))
        );
        assert_eq!(limit("packets:7"), Ok(Limit::Packets(7)));
        assert_eq!(limit("files:3"), Ok(Limit::Files(3)));
        for text in [
            "filesize",
            "filesize:0",
            "size:1",
            "files:-1",
            "duration:0",
            "packets:1.5",
        ] {
            assert!(limit(text).is_err(), "{text}");
        }
        assert_eq!(buffer_size("256k"), Ok(256 << 10));
        assert_eq!(buffer_size("1000000"), Ok(1_000_000));
        assert_eq!(buffer_size("2G"), Ok(2 << 30));
        for text in [
            "",
            "m",
            "1",
            "255k",
            "1t",
            "1mm",
            "-1m",
            "99999999999999999999g",
        ] {
            assert!(buffer_size(text).is_err(), "{text}");
        }
        assert_eq!(tcpdump_size("3"), Ok(3_000_000));
        assert_eq!(tcpdump_size("3k"), Ok(3072));
        assert_eq!(tcpdump_size("2G"), Ok(2 << 30));
        assert!(tcpdump_size("0").is_err() && tcpdump_size("x").is_err());
    }
}

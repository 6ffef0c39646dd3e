//! `memif capture`: what tcpdump does.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, IsTerminal, Write};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use memif::pcap::PcapWriter;
use memif::{Burst, Eof, Error, Packet, PacketSink, RxMode, RxQueue};

use crate::Failure;
use crate::endpoint::{Endpoint, Linked, Session};
use crate::print::Printer;
use crate::report::{count, notice};

/// Packets taken from the ring at a time.
const BURST: u16 = 256;

/// Capture packets that a peer sends: print them, or write them to a pcap file
///
/// Waits for the peer, and goes on when it leaves and comes back. Ctrl-C ends the capture with a
/// summary.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    endpoint: Endpoint,
    /// End after this many packets
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// Bytes kept of a packet, 1 to 262144
    #[arg(long, default_value_t = memif::DEFAULT_SNAPLEN, value_name = "BYTES",
          value_parser = clap::value_parser!(u32).range(1..=262_144))]
    snaplen: u32,
    /// Write a pcap file with nanoseconds instead of printing; '-' is standard output
    #[arg(short, long, value_name = "FILE")]
    write: Option<String>,
    /// End when the peer leaves
    #[arg(long)]
    once: bool,
    /// Fail when there is no link within so many seconds [default: wait for ever]
    #[arg(long, value_name = "SECONDS", value_parser = crate::endpoint::seconds)]
    timeout: Option<Duration>,
    /// How to wait for packets: interrupt sleeps, polling spins, adaptive does both
    #[arg(long, default_value = "interrupt", value_parser = rx_mode)]
    rx_mode: RxMode,
    /// Say nothing of peers that come and leave
    #[arg(short, long)]
    quiet: bool,
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    // Opened first: what can't be written must not cost a peer's packets.
    let output = Output::open(args)?;
    let session = args.endpoint.open(args.quiet)?;
    let queues = (0..args.endpoint.queues)
        .map(|q| session.memif.rx_queue(q))
        .collect::<Result<Vec<_>, _>>()?;

    let capture = Mutex::new(Capture {
        output,
        left: args.count,
        snaplen: args.snaplen,
        seen: Counts::default(),
        first: None,
        failure: None,
        finished: false,
    });
    if session.wait_link(args.timeout)? == Linked::Up {
        thread::scope(|scope| {
            for queue in queues {
                scope.spawn(|| {
                    let result = read_queue(args, &session, queue, &capture);
                    let mut capture = capture.lock().unwrap_or_else(PoisonError::into_inner);
                    if let Err(failure) = result {
                        capture.failure.get_or_insert(failure);
                    }
                    if capture.done() {
                        session.stop.set();
                        session.memif.close();
                    }
                });
            }
        });
    }
    let mut capture = capture.into_inner().unwrap_or_else(PoisonError::into_inner);
    capture.finish();
    capture.summary(args);
    capture.failure.map_or(Ok(()), Err)
}

fn read_queue(
    args: &Args,
    session: &Session,
    mut queue: RxQueue,
    capture: &Mutex<Capture>,
) -> Result<(), Failure> {
    queue.set_rx_mode(args.rx_mode)?;
    let mut burst = Burst::new(BURST).with_snaplen(args.snaplen);
    loop {
        if let Some(left) = args.count {
            // Near the end no more than is wanted, so that the rest stays with the peer.
            let taken = lock(capture).left.unwrap_or(left);
            if taken < u64::from(BURST) && taken > 0 && burst.capacity() as u64 != taken {
                burst = Burst::new(taken as u16).with_snaplen(args.snaplen);
            }
        }
        match queue.rx_burst(&mut burst) {
            Ok(0) => {
                lock(capture).idle();
                queue.wait(None)?;
            }
            Ok(_) => lock(capture).take(&burst),
            Err(Error::Eof(Eof::LinkDown)) => {
                lock(capture).idle();
                if args.once || session.wait_link(None)? == Linked::Stopped {
                    return Ok(());
                }
            }
            Err(Error::Eof(_)) => return Ok(()),
            // The link goes down; the capture goes on with the next.
            Err(e) if e.kind() == memif::ErrorKind::MalformedMessage => notice(&e),
            Err(e) => return Err(e.into()),
        }
        if lock(capture).done() {
            return Ok(());
        }
    }
}

fn lock(capture: &Mutex<Capture>) -> std::sync::MutexGuard<'_, Capture> {
    capture.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Debug, Default)]
struct Counts {
    received: u64,
    bytes: u64,
    cut: u64,
    beyond_count: u64,
    not_written: u64,
}

/// What the queues' threads share.
struct Capture {
    output: Output,
    left: Option<u64>,
    snaplen: u32,
    seen: Counts,
    first: Option<Instant>,
    failure: Option<Failure>,
    /// Whoever reads our output has gone.
    finished: bool,
}

impl Capture {
    fn take(&mut self, burst: &Burst) {
        if self.first.is_none() {
            self.first = Some(Instant::now());
        }
        for packet in burst {
            self.seen.received += 1;
            self.seen.bytes += packet.info().length as u64;
            if self.left == Some(0) {
                self.seen.beyond_count += 1;
                continue;
            }
            if self.failure.is_some() || self.finished {
                self.seen.not_written += 1;
                continue;
            }
            self.seen.cut += u64::from(packet.info().is_truncated());
            match self.output.put(&packet) {
                Ok(()) => self.left = self.left.map(|n| n - 1),
                Err(e) => {
                    self.seen.not_written += 1;
                    self.failed(e);
                }
            }
        }
        if self.output.each_burst() {
            self.idle();
        }
    }

    fn done(&self) -> bool {
        self.left == Some(0) || self.failure.is_some() || self.finished
    }

    /// Nothing is waiting: what is held back goes out.
    fn idle(&mut self) {
        if !self.done() || self.left == Some(0) {
            let flushed = self.output.flush();
            flushed.unwrap_or_else(|e| self.failed(e));
        }
    }

    fn finish(&mut self) {
        if self.failure.is_none() && !self.finished {
            let flushed = self.output.flush();
            flushed.unwrap_or_else(|e| self.failed(e));
        }
        if self.failure.is_some() {
            self.output.drop_half_record();
        }
    }

    fn failed(&mut self, error: Error) {
        // As when tcpdump's pipe is closed: nobody wants more.
        if let Error::Io { source, .. } = &error
            && source.kind() == io::ErrorKind::BrokenPipe
        {
            self.finished = true;
        } else if self.failure.is_none() {
            self.failure = Some(error.into());
        }
    }

    fn summary(&self, args: &Args) {
        let seen = &self.seen;
        let seconds = self.first.map_or(0.0, |t| t.elapsed().as_secs_f64());
        notice(format_args!(
            "{} received, {}, in {seconds:.3} s",
            count(seen.received, "packet"),
            count(seen.bytes, "byte"),
        ));
        let done = self.output.packets_done();
        match &args.write {
            Some(file) => notice(format_args!("{} written to {file}", count(done, "packet"))),
            None => notice(format_args!("{} printed", count(done, "packet"))),
        }
        notice(format_args!(
            "{} cut by the snap length of {}",
            count(seen.cut, "packet"),
            self.snaplen
        ));
        // Of those accepted some may not have reached the file.
        let kept_back = self.output.packets_lost();
        notice(format_args!(
            "{} dropped{}{}",
            count(seen.not_written + seen.beyond_count + kept_back, "packet"),
            reason(seen.not_written + kept_back, "the output failed"),
            reason(seen.beyond_count, "the count was reached"),
        ));
    }
}

fn reason(n: u64, why: &str) -> String {
    if n > 0 {
        format!("; {n} as {why}")
    } else {
        String::new()
    }
}

/// Where the packets go.
enum Output {
    Lines {
        printer: Printer,
        out: BufWriter<io::Stdout>,
        printed: u64,
    },
    File {
        writer: PcapWriter<Box<dyn Write + Send>>,
        /// Of a regular file, to cut it after its last whole record.
        path: Option<String>,
        pipe: bool,
    },
}

impl Output {
    fn open(args: &Args) -> Result<Self, Failure> {
        let link_type = args.endpoint.mode.link_type();
        let Some(path) = &args.write else {
            return Ok(Self::Lines {
                printer: Printer::new(link_type),
                out: BufWriter::new(io::stdout()),
                printed: 0,
            });
        };
        let (writer, regular): (Box<dyn Write + Send>, bool) = if path == "-" {
            if io::stdout().is_terminal() {
                return Err(Failure::Usage(
                    "a pcap file is not for a terminal: '-w - | …' or '-w FILE'".into(),
                ));
            }
            (Box::new(io::stdout()), false)
        } else {
            let file =
                File::create(path).map_err(|e| Failure::Failed(format!("creating {path}: {e}")))?;
            let regular = file.metadata().is_ok_and(|m| m.is_file());
            (Box::new(file), regular)
        };
        let writer = PcapWriter::new(writer, link_type, args.snaplen).map_err(|e| {
            if let Error::Io { source, .. } = &e {
                Failure::Failed(format!("writing {path}: {source}"))
            } else {
                e.into()
            }
        })?;
        Ok(Self::File {
            writer,
            path: regular.then(|| path.clone()),
            pipe: !regular,
        })
    }

    fn put(&mut self, packet: &Packet<'_>) -> Result<(), Error> {
        match self {
            Self::Lines {
                printer,
                out,
                printed,
            } => {
                let line = printer.line(packet);
                writeln!(out, "{line}").map_err(on_stdout)?;
                *printed += 1;
                Ok(())
            }
            Self::File { writer, .. } => writer.write_packet(packet),
        }
    }

    /// Whether somebody reads along.
    fn each_burst(&self) -> bool {
        match self {
            Self::Lines { .. } => io::stdout().is_terminal(),
            Self::File { pipe, .. } => *pipe,
        }
    }

    fn flush(&mut self) -> Result<(), Error> {
        match self {
            Self::Lines { out, .. } => out.flush().map_err(on_stdout),
            Self::File { writer, .. } => PacketSink::flush(writer),
        }
    }

    fn packets_done(&self) -> u64 {
        match self {
            Self::Lines { printed, .. } => *printed,
            Self::File { writer, .. } => writer.packets_written(),
        }
    }

    fn packets_lost(&self) -> u64 {
        match self {
            Self::Lines { .. } => 0,
            Self::File { writer, .. } => writer.packets_accepted() - writer.packets_written(),
        }
    }

    /// After a full disk: readers must not stumble over half a record.
    fn drop_half_record(&self) {
        if let Self::File {
            writer,
            path: Some(path),
            ..
        } = self
        {
            let cut = OpenOptions::new()
                .write(true)
                .open(path)
                .and_then(|file| file.set_len(writer.bytes_written()));
            if let Err(e) = cut {
                log::warn!("cutting {path} after its last whole packet: {e}");
            }
        }
    }
}

fn on_stdout(source: io::Error) -> Error {
    Error::Io {
        context: "standard output".into(),
        source,
    }
}

pub(crate) fn rx_mode(text: &str) -> Result<RxMode, String> {
    match text {
        "interrupt" => Ok(RxMode::Interrupt),
        "polling" => Ok(RxMode::Polling),
        "adaptive" => Ok(RxMode::Adaptive {
            spin: Duration::from_micros(50),
        }),
        _ => Err(format!(
            "'{text}' is no receive mode: interrupt, polling or adaptive"
        )),
    }
}

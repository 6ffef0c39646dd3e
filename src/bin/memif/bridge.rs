//! `memif bridge`: joins two endpoints, and looks at what passes between them.

use std::fs::File;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use memif::pcap::{Direction, PcapNgWriter};
use memif::{Burst, Eof, Error, IfMode, LinkType, Packet, RxMode, RxQueue, TxQueue, Wait};

use crate::Failure;
use crate::endpoint::{Endpoint, Linked, Session};
use crate::report::{count, notice};
use crate::stop::Stop;
use crate::tap::{Tap, TapReader};

/// Packets taken from a ring at a time.
const BURST: u16 = 256;
/// How long to wait for room before looking whether the bridge is to end.
const STEP: Duration = Duration::from_millis(200);

/// Join two endpoints, and record what passes between them
///
/// An endpoint is memif:SOCKET[,id=N][,role=master|slave][,secret=S][,mode=ethernet|ip]
/// [,ring-size=LOG2][,buffer-size=BYTES], or tap:NAME[,mtu=N], a TAP device that is created if it
/// is missing (needs CAP_NET_ADMIN). Packets pass once both ends have been up. A full ring holds the
/// other side back: nothing is dropped while both links are up. Ctrl-C ends the bridge with a
/// summary.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// One end
    #[arg(value_name = "A")]
    a: Spec,
    /// The other end
    #[arg(value_name = "B")]
    b: Spec,
    /// Record every packet once, where it arrives, into a pcapng file with an interface for each end
    #[arg(short, long, value_name = "FILE")]
    write: Option<String>,
    /// How to wait for packets: interrupt sleeps, polling spins, adaptive does both
    #[arg(long, default_value = "interrupt", value_parser = crate::endpoint::rx_mode)]
    rx_mode: RxMode,
    /// Say nothing of peers that come and leave
    #[arg(short, long)]
    quiet: bool,
}

/// An end as it is written on the command line.
#[derive(Clone, Debug)]
enum Spec {
    Memif { endpoint: Endpoint, name: String },
    Tap { name: String, mtu: Option<u16> },
}

impl FromStr for Spec {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (kind, rest) = text
            .split_once(':')
            .ok_or("an endpoint is memif:SOCKET… or tap:NAME…")?;
        let mut parts = rest.split(',');
        let name = parts.next().unwrap_or_default().to_owned();
        if name.is_empty() {
            return Err(format!("'{text}' names no socket or device"));
        }
        let mut options = parts.map(|option| {
            option
                .split_once('=')
                .ok_or_else(|| format!("'{option}' is no NAME=VALUE"))
        });
        match kind {
            "tap" => {
                let mut mtu = None;
                for option in options {
                    match option? {
                        ("mtu", value) => mtu = Some(number(value)?),
                        (other, _) => return Err(format!("a tap has no option '{other}'")),
                    }
                }
                Ok(Self::Tap { name, mtu })
            }
            "memif" => {
                let mut endpoint = Endpoint {
                    socket: name.clone(),
                    id: 0,
                    role: None,
                    secret: None,
                    mode: IfMode::Ethernet,
                    queues: 1,
                    ring_size: 10,
                    buffer_size: 2048,
                    name: "bridge".into(),
                    allow_unsealed: false,
                };
                options.try_for_each(|option| endpoint.set(option?))?;
                let name = format!("memif:{name}:{}", endpoint.id);
                Ok(Self::Memif { endpoint, name })
            }
            _ => Err(format!("'{kind}' is no kind of endpoint: memif or tap")),
        }
    }
}

fn number<N: FromStr>(text: &str) -> Result<N, String> {
    text.parse()
        .map_err(|_| format!("'{text}' is no number that fits"))
}

impl Endpoint {
    fn set(&mut self, (name, value): (&str, &str)) -> Result<(), String> {
        match name {
            "id" => self.id = number(value)?,
            "role" => self.role = Some(value.parse()?),
            "secret" => self.secret = Some(value.to_owned()),
            "mode" => self.mode = value.parse()?,
            "ring-size" => self.ring_size = number(value)?,
            "buffer-size" => self.buffer_size = number(value)?,
            "allow-unsealed" => {
                self.allow_unsealed = value
                    .parse()
                    .map_err(|_| format!("'{value}' is neither true nor false"))?;
            }
            other => return Err(format!("a memif has no option '{other}'")),
        }
        Ok(())
    }
}

impl Spec {
    fn name(&self) -> String {
        match self {
            Self::Memif { name, .. } => name.clone(),
            Self::Tap { name, .. } => format!("tap:{name}"),
        }
    }

    fn mode(&self) -> IfMode {
        match self {
            Self::Memif { endpoint, .. } => endpoint.mode,
            Self::Tap { .. } => IfMode::Ethernet,
        }
    }

    fn open(&self, quiet: bool) -> Result<Port, Failure> {
        Ok(match self {
            Self::Memif { endpoint, .. } => Port::Memif(endpoint.open(quiet)?),
            Self::Tap { name, mtu } => Port::Tap(Tap::open(name, *mtu)?),
        })
    }
}

/// An end that is open.
enum Port {
    Memif(Session),
    Tap(Tap),
}

impl Port {
    /// `false` when the bridge is to end first.
    fn wait_link(&self) -> Result<bool, Failure> {
        match self {
            Self::Memif(session) => Ok(session.wait_link(None)? == Linked::Up),
            Self::Tap(_) => Ok(true),
        }
    }

    fn close(&self) {
        match self {
            Self::Memif(session) => {
                session.stop.set();
                session.memif.close();
            }
            Self::Tap(tap) => tap.close(),
        }
    }

    fn source(&self, rx_mode: RxMode) -> Result<Source<'_>, Failure> {
        Ok(match self {
            Self::Memif(session) => {
                let mut queue = session.memif.rx_queue(0)?;
                queue.set_rx_mode(rx_mode)?;
                Source::Memif {
                    session,
                    queue,
                    burst: Burst::new(BURST),
                }
            }
            Self::Tap(tap) => Source::Tap(tap.reader()),
        })
    }

    fn sink(&self) -> Result<Sink<'_>, Failure> {
        Ok(match self {
            Self::Memif(session) => Sink::Memif {
                queue: session.memif.tx_queue(0)?,
                stop: &session.stop,
            },
            Self::Tap(tap) => Sink::Tap(tap),
        })
    }
}

enum Source<'a> {
    Memif {
        session: &'a Session,
        queue: RxQueue,
        burst: Burst,
    },
    Tap(TapReader),
}

impl Source<'_> {
    /// Takes what is waiting: how many, or `None` when there will be no more.
    fn fill(&mut self) -> Result<Option<usize>, Failure> {
        match self {
            Self::Memif { queue, burst, .. } => match queue.rx_burst(burst) {
                Ok(filled) => Ok(Some(filled)),
                Err(Error::Eof(Eof::LinkDown)) => Ok(Some(0)),
                Err(Error::Eof(_)) => Ok(None),
                // The link goes down; the bridge goes on with the next.
                Err(e) if e.kind() == memif::ErrorKind::MalformedMessage => {
                    notice(&e);
                    Ok(Some(0))
                }
                Err(e) => Err(e.into()),
            },
            Self::Tap(reader) => reader.fill().map(Some),
        }
    }

    /// Waits for more: `false` when there will be none.
    fn wait(&mut self) -> Result<bool, Failure> {
        match self {
            Self::Memif { session, queue, .. } => match queue.wait(None)? {
                Wait::LinkDown => Ok(session.wait_link(None)? == Linked::Up),
                wait => Ok(wait != Wait::Closed),
            },
            Self::Tap(reader) => reader.wait(),
        }
    }

    fn packets(&self) -> Vec<Packet<'_>> {
        match self {
            Self::Memif { burst, .. } => burst.iter().collect(),
            Self::Tap(reader) => reader.packets().collect(),
        }
    }
}

enum Sink<'a> {
    Memif { queue: TxQueue, stop: &'a Stop },
    Tap(&'a Tap),
}

impl Sink<'_> {
    /// Passes packets on, waiting for room; how many the other side got, and their bytes.
    fn send(&mut self, mut packets: &[Packet<'_>]) -> Result<(usize, usize), Failure> {
        let (queue, stop) = match self {
            Self::Tap(tap) => return Ok(tap.write(packets)),
            Self::Memif { queue, stop } => (queue, stop),
        };
        let (mut sent, mut bytes) = (0, 0);
        while !packets.is_empty() && !stop.is_set() {
            match queue.tx_burst(packets) {
                Ok(0) => {
                    queue.wait_writable(Some(STEP))?;
                }
                Ok(count) => {
                    sent += count;
                    bytes += packets[..count].iter().map(|p| p.len()).sum::<usize>();
                    packets = &packets[count..];
                }
                Err(Error::Eof(_)) => break,
                // Too long for the ring, or empty.
                Err(Error::Config { .. }) => packets = &packets[1..],
                Err(e) if e.kind() == memif::ErrorKind::MalformedMessage => {
                    notice(&e);
                    break;
                }
                Err(e) => return Err(e.into()),
            }
        }
        Ok((sent, bytes))
    }
}

/// What went one way.
#[derive(Default)]
struct Passed {
    packets: AtomicU64,
    bytes: AtomicU64,
    lost: AtomicU64,
}

type Recorder = Option<Mutex<PcapNgWriter<File>>>;

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let (a, b) = (&args.a, &args.b);
    if a.mode() != b.mode() {
        return Err(Failure::Usage(format!(
            "{} begins packets with {}, {} with {}: they can't be joined",
            a.name(),
            a.mode(),
            b.name(),
            b.mode()
        )));
    }
    let names = [a.name(), b.name()];
    // Opened first: what can't be written must not cost packets.
    let recorder = record(args, a.mode().link_type(), &names)?;
    let ports = [a.open(args.quiet)?, b.open(args.quiet)?];
    let taps: Vec<Tap> = ports
        .iter()
        .filter_map(|port| match port {
            Port::Tap(tap) => Some(tap.clone()),
            Port::Memif(_) => None,
        })
        .collect();
    // Each memif's session has its own handler, which closes it.
    let _stop = Stop::on_signals(move || taps.iter().for_each(Tap::close))?;

    // Whoever is there first waits, its packets on its ring, until somebody can take them.
    for port in &ports {
        if !port.wait_link()? {
            return Ok(());
        }
    }
    let passed = [Passed::default(), Passed::default()];
    let results = thread::scope(|scope| {
        let ways = [0, 1].map(|from| {
            let (ports, passed, recorder) = (&ports, &passed[from], &recorder);
            scope.spawn(move || {
                let way = Way {
                    from,
                    passed,
                    recorder,
                };
                let result = way.run(&ports[from], &ports[1 - from], args.rx_mode);
                ports.iter().for_each(Port::close);
                result
            })
        });
        ways.map(|way| {
            way.join()
                .unwrap_or_else(|_| Err(Failure::Failed("a direction panicked".into())))
        })
    });
    for (from, passed) in passed.iter().enumerate() {
        notice(format_args!(
            "{} to {}: {}, {}; {} dropped",
            names[from],
            names[1 - from],
            count(passed.packets.load(Ordering::Relaxed), "packet"),
            count(passed.bytes.load(Ordering::Relaxed), "byte"),
            passed.lost.load(Ordering::Relaxed),
        ));
    }
    if let Some(recorder) = recorder {
        let mut writer = recorder
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        writer.flush()?;
        let packets = count(writer.packets_accepted(), "packet");
        notice(format_args!("{packets} recorded"));
    }
    results.into_iter().collect()
}

fn record(args: &Args, link_type: LinkType, names: &[String; 2]) -> Result<Recorder, Failure> {
    let names = names.each_ref().map(String::as_str);
    let writer = args.write.as_ref();
    let writer = writer.map(|file| PcapNgWriter::create(file, link_type, &names));
    Ok(writer.transpose()?.map(Mutex::new))
}

/// One direction of a bridge.
struct Way<'a> {
    from: usize,
    passed: &'a Passed,
    recorder: &'a Recorder,
}

impl Way<'_> {
    fn run(&self, from: &Port, to: &Port, rx_mode: RxMode) -> Result<(), Failure> {
        let (mut source, mut sink) = (from.source(rx_mode)?, to.sink()?);
        loop {
            match source.fill()? {
                None => return Ok(()),
                Some(0) => {
                    self.record(&[], true)?;
                    if !source.wait()? {
                        return Ok(());
                    }
                }
                Some(_) => {
                    let packets = source.packets();
                    self.record(&packets, false)?;
                    let (sent, bytes) = sink.send(&packets)?;
                    self.passed
                        .packets
                        .fetch_add(sent as u64, Ordering::Relaxed);
                    self.passed.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
                    let lost = packets.len() - sent;
                    self.passed.lost.fetch_add(lost as u64, Ordering::Relaxed);
                }
            }
        }
    }

    fn record(&self, packets: &[Packet<'_>], idle: bool) -> Result<(), Failure> {
        let Some(recorder) = self.recorder else {
            return Ok(());
        };
        let mut writer = recorder.lock().unwrap_or_else(PoisonError::into_inner);
        for packet in packets {
            writer.write_packet(packet, self.from as u32, Direction::Inbound)?;
        }
        if idle {
            writer.flush()?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use memif::Role;

    use super::*;

    #[test]
    fn endpoints_are_understood_or_refused() {
        let spec: Spec = "memif:/run/x.sock,id=3,role=master,secret=a=b,mode=ip"
            .parse()
            .unwrap();
        let Spec::Memif { endpoint, .. } = &spec else {
            panic!("{spec:?}");
        };
        assert_eq!((endpoint.id, endpoint.role), (3, Some(Role::Master)));
        assert_eq!(endpoint.secret.as_deref(), Some("a=b"));
        assert_eq!(
            (spec.mode(), spec.name()),
            (IfMode::Ip, "memif:/run/x.sock:3".into())
        );
        let spec: Spec = "tap:mf0,mtu=9000".parse().unwrap();
        assert_eq!(
            (spec.mode(), spec.name()),
            (IfMode::Ethernet, "tap:mf0".into())
        );
        for (text, says) in [
            ("mf0", "memif:SOCKET"),
            ("tun:mf0", "'tun'"),
            ("tap:", "names no"),
            ("memif:,id=1", "names no"),
            ("memif:x,id", "NAME=VALUE"),
            ("memif:x,id=y", "'y'"),
            ("memif:x,role=boss", "'boss'"),
            ("memif:x,color=red", "'color'"),
            ("tap:x,id=1", "'id'"),
        ] {
            let error = text.parse::<Spec>().unwrap_err();
            assert!(error.contains(says), "{text}: {error}");
        }
    }
}

//! The interface that a command works on: its options, and getting a link.

use std::fmt;
use std::fs;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use clap::builder::RangedU64ValueParser;
use memif::pcap::InterfaceInfo;
use memif::{Context, Error, ErrorKind, IfMode, Memif, MemifConfig, Role, RxMode};

use crate::Failure;
use crate::access::Access;
use crate::report::notice;
use crate::stop::Stop;

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Endpoint {
    /// Control socket; a leading '@' makes it an abstract name
    #[arg(short, long, value_name = "PATH")]
    pub(crate) socket: Option<String>,
    /// Interface id, the same on both sides
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub(crate) id: u32,
    /// This side: master (server), which listens, or slave (client), which connects [default: slave, of `bench recv` and `bench pong` master]
    #[arg(long, value_name = "ROLE")]
    pub(crate) role: Option<Role>,
    /// Secret, at most 24 bytes; better given by the environment, where others can't see it
    #[arg(
        long,
        env = "MEMIF_SECRET",
        hide_env_values = true,
        value_name = "SECRET"
    )]
    pub(crate) secret: Option<Secret>,
    /// Read the secret from the first line of a file
    #[arg(long, value_name = "FILE", conflicts_with = "secret")]
    pub(crate) secret_file: Option<PathBuf>,
    /// What packets begin with: ethernet, ip
    #[arg(long, default_value = "ethernet", value_name = "MODE")]
    pub(crate) mode: IfMode,
    /// Queues in each direction, 1 to 255
    #[arg(long, default_value_t = 1, value_name = "N",
          value_parser = RangedU64ValueParser::<u16>::new().range(1..=255))]
    pub(crate) queues: u16,
    /// Slots of a ring as a power of two, 1 to 14; the slave's counts
    #[arg(long, default_value_t = 10, value_name = "LOG2",
          value_parser = RangedU64ValueParser::<u8>::new().range(1..=14))]
    pub(crate) ring_size: u8,
    /// Bytes of a buffer, 64 to 65535; the slave's counts
    #[arg(long, default_value_t = 2048, value_name = "BYTES",
          value_parser = RangedU64ValueParser::<u16>::new().range(64..=65535))]
    pub(crate) buffer_size: u16,
    /// Interface name told to the peer
    #[arg(long, default_value = "memif", value_name = "NAME")]
    pub(crate) name: String,
    /// Accept memory that the peer could take away, which would kill this process (DPDK zero-copy)
    #[arg(long)]
    pub(crate) allow_unsealed: bool,
    #[command(flatten)]
    pub(crate) access: Access,
}

/// A secret as it was typed. It is not shown.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Secret(String);

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

/// An interface whose control thread runs, and which tells when it connects and is left.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) memif: Memif,
    pub(crate) stop: Stop,
    quiet: bool,
    /// How many links there have been, the one that is up included.
    links: Arc<AtomicU64>,
    /// How many of them have gone down.
    lost: Arc<AtomicU64>,
    pub(crate) dropped: Dropped,
    _context: Context,
}

/// Packets of each receive queue that the command received, or was given, and did not pass on.
#[derive(Clone, Debug)]
pub(crate) struct Dropped(Arc<[AtomicU64]>);

impl Dropped {
    fn new(queues: u16) -> Self {
        Self((0..queues).map(|_| AtomicU64::new(0)).collect())
    }

    pub(crate) fn add(&self, queue: u16, packets: u64) {
        self.0[usize::from(queue)].fetch_add(packets, Ordering::Relaxed);
    }

    pub(crate) fn set(&self, queue: u16, packets: u64) {
        self.0[usize::from(queue)].store(packets, Ordering::Relaxed);
    }

    pub(crate) fn get(&self, queue: u16) -> u64 {
        self.0
            .get(usize::from(queue))
            .map_or(0, |n| n.load(Ordering::Relaxed))
    }
}

impl Endpoint {
    pub(crate) fn open(&self, quiet: bool) -> Result<Session, Failure> {
        self.open_as(Role::Slave, quiet)
    }

    fn secret(&self) -> Result<String, Failure> {
        let Some(path) = &self.secret_file else {
            return Ok(self.secret.clone().unwrap_or_default().0);
        };
        let text = fs::read_to_string(path)
            .map_err(|e| Failure::Failed(format!("the secret in {}: {e}", path.display())))?;
        Ok(text.lines().next().unwrap_or_default().to_owned())
    }

    /// In this role, unless another was asked for.
    pub(crate) fn open_as(&self, role: Role, quiet: bool) -> Result<Session, Failure> {
        let role = self.role.unwrap_or(role);
        let context = self.access.apply(Context::builder("memif")).build()?;
        let links = Arc::<AtomicU64>::default();
        let lost = Arc::<AtomicU64>::default();
        let (counted, gone) = (Arc::clone(&links), Arc::clone(&lost));
        let Some(socket) = &self.socket else {
            return Err(Failure::Usage(
                "which memif? --socket PATH is needed".into(),
            ));
        };
        let config = MemifConfig::new(socket)
            .id(self.id)
            .role(role)
            .secret(self.secret()?)
            .mode(self.mode)
            .queues(self.queues, self.queues)
            .log2_ring_size(self.ring_size)
            .buffer_size(self.buffer_size)
            .name(&self.name)
            .allow_unsealed_regions(self.allow_unsealed)
            .on_connect(move |memif| {
                counted.fetch_add(1, Ordering::Release);
                if !quiet && let Ok(details) = memif.details() {
                    notice(format_args!(
                        "{memif}: connected to {}, interface {}",
                        shown(&details.remote_name),
                        shown(&details.remote_interface_name)
                    ));
                }
            })
            .on_disconnect(move |memif| {
                gone.fetch_add(1, Ordering::Release);
                if !quiet && let Ok(details) = memif.details() {
                    notice(format_args!("{memif}: disconnected: {}", details.error));
                }
            });
        // Before a peer is told of: whoever sees that may send signals.
        let closing = Arc::<OnceLock<Memif>>::default();
        let created = Arc::clone(&closing);
        let stop = Stop::on_signals(move || {
            if let Some(memif) = closing.get() {
                memif.close();
            }
        })?;
        let memif = context.create_interface(config).map_err(|e| {
            let hint = match (role, e.kind()) {
                (Role::Slave, _) => "",
                (Role::Master, ErrorKind::Already) => {
                    "be its slave with --role slave, or give another path"
                }
                (Role::Master, _) => "a master needs a path of its own in a folder it may write to",
            };
            Failure::from(e).hint(hint)
        })?;
        if created.set(memif.clone()).is_ok() && stop.is_set() {
            memif.close();
        }
        Ok(Session {
            memif,
            stop,
            quiet,
            links,
            lost,
            dropped: Dropped::new(self.queues),
            _context: context,
        })
    }
}

/// What ended a wait for the link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Linked {
    Up,
    Stopped,
}

impl Session {
    /// How many links there have been so far.
    pub(crate) fn links(&self) -> u64 {
        self.links.load(Ordering::Acquire)
    }

    /// How many links have gone down so far. Never blocks.
    pub(crate) fn lost_links(&self) -> u64 {
        self.lost.load(Ordering::Acquire)
    }

    /// What a capture file says of the link's queues: with the peer's name, once there is one.
    pub(crate) fn interfaces(&self, queues: u16, snaplen: u32) -> Vec<InterfaceInfo> {
        let memif = &self.memif;
        let details = memif.details().ok();
        let peer = details.map(|d| (d.remote_name, d.remote_interface_name));
        let info = |queue: u16| {
            let several = queues > 1;
            let mut name = format!("memif{}", memif.id());
            let mut about = format!("memif id {} on {}", memif.id(), memif.socket());
            if several {
                name = format!("{name}/{queue}");
                about = format!("{about}, queue {queue}");
            }
            if let Some((program, interface)) = &peer
                && !(program.is_empty() && interface.is_empty())
            {
                about = format!("{about}, peer {} {}", shown(program), shown(interface));
            }
            let mut info = InterfaceInfo::new(name, memif.mode().link_type());
            info.description = about;
            info.snaplen = snaplen;
            info
        };
        (0..queues).map(info).collect()
    }

    /// Waits for the link, at most `limit`, and says what for. May be called by several threads.
    pub(crate) fn wait_link(&self, limit: Option<Duration>) -> Result<Linked, Failure> {
        self.wait_link_after(u64::MAX, limit)
    }

    /// As `wait_link`, for readers: content also with a link that is down again, where it came
    /// after so many others. It may have left packets.
    pub(crate) fn wait_link_after(
        &self,
        links: u64,
        limit: Option<Duration>,
    ) -> Result<Linked, Failure> {
        const STEP: Duration = Duration::from_millis(200);
        let start = Instant::now();
        let mut unknown_id_since = None;
        let mut told = None;
        loop {
            if self.links() > links {
                return Ok(Linked::Up);
            }
            if self.stop.is_set() {
                return Ok(Linked::Stopped);
            }
            let left = limit.map(|l| l.saturating_sub(start.elapsed()));
            match self
                .memif
                .wait_link_up(Some(left.map_or(STEP, |l| l.min(STEP))))
            {
                Ok(true) => return Ok(Linked::Up),
                Ok(false) => {}
                Err(Error::Eof(_)) => return Ok(Linked::Stopped),
                Err(e) => {
                    let passes = match refusal(e.kind(), &e.to_string()) {
                        Refusal::Busy => true,
                        // DPDK listens some time before its interfaces are there.
                        Refusal::UnknownId => {
                            unknown_id_since.get_or_insert_with(Instant::now).elapsed()
                                < UNKNOWN_ID_PATIENCE
                        }
                        _ => false,
                    };
                    if !passes {
                        return Err(refused(&e));
                    }
                }
            }
            let waiting_for = self.waiting_for();
            if left.is_some_and(|l| l.is_zero()) {
                let seconds = limit.unwrap_or_default().as_secs_f64();
                return Err(Failure::Failed(format!(
                    "no link within {seconds} s: {waiting_for}"
                )));
            }
            if !self.quiet && told.as_ref() != Some(&waiting_for) {
                notice(format_args!("waiting: {waiting_for}"));
                told = Some(waiting_for);
            }
        }
    }

    /// Why there is no link yet.
    pub(crate) fn waiting_for(&self) -> String {
        use ErrorKind::{ConnectionRefused, NotFound};

        let memif = &self.memif;
        let failure = memif.last_failure();
        match (memif.role(), failure) {
            (Role::Slave, Some(f)) if matches!(f.kind, ConnectionRefused | NotFound) => {
                nobody_listens(memif.socket())
            }
            (Role::Slave, Some(f)) if f.kind == ErrorKind::PermissionDenied => format!(
                "{memif}: {}; the user has to be one that both sides let in (--socket-mode, --socket-owner, --allow-user)",
                f.reason
            ),
            (Role::Slave, Some(f)) if f.refused => {
                let hint = refusal(f.kind, &f.reason).hint();
                let hint = if hint.is_empty() {
                    String::new()
                } else {
                    format!("; {hint}")
                };
                format!("{memif}: {}{hint}", f.reason)
            }
            (_, Some(f)) => format!("{memif}: {}", f.reason),
            (Role::Master, None) => format!("{memif}: no slave has connected"),
            (Role::Slave, None) => {
                format!("{memif}: the master has taken the connection but does not answer")
            }
        }
    }
}

/// With what is at the path instead, as the system's answer is the same.
fn nobody_listens(socket: &str) -> String {
    let nobody = format!("nobody listens on {socket}");
    if let Some(other) = namesake(socket) {
        return format!("{nobody}, but there is {other}: give that with --socket");
    }
    let path = Path::new(socket);
    let folder = path.parent().filter(|f| !f.as_os_str().is_empty());
    match folder.filter(|_| !socket.starts_with('@')) {
        Some(_) if fs::metadata(path).is_ok_and(|m| !m.file_type().is_socket()) => {
            format!("{nobody}, which is not a socket; give the master's path with --socket")
        }
        Some(folder) if !folder.exists() => format!(
            "{nobody}: there is no folder {}; give the master's path with --socket",
            folder.display()
        ),
        _ => format!("{nobody}; start the master first, or use --role master"),
    }
}

/// A path and an abstract name that differ by the '@' alone are two places, and easily mistaken.
fn namesake(socket: &str) -> Option<String> {
    if let Some(path) = socket.strip_prefix('@') {
        let found = fs::metadata(path).is_ok_and(|m| m.file_type().is_socket());
        return found.then(|| path.to_owned());
    }
    let name = format!("@{socket}");
    // DPDK pads its names with NULs, which are shown as more of these.
    let is_name = |line: &str| line.trim_end_matches('@').ends_with(&format!(" {name}"));
    let sockets = fs::read_to_string("/proc/net/unix").ok()?;
    sockets.lines().any(is_name).then_some(name)
}

impl Failure {
    pub(crate) fn hint(self, hint: &str) -> Self {
        match self {
            Self::Failed(text) if !hint.is_empty() => Self::Failed(format!("{text}; {hint}")),
            other => other,
        }
    }
}

/// How long a peer may say that it does not know the interface id.
const UNKNOWN_ID_PATIENCE: Duration = Duration::from_secs(5);

/// Why a peer refuses, as far as its words tell: only some give a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refusal {
    Busy,
    UnknownId,
    Secret,
    Mode,
    Other,
}

/// `text` has the peer's words after "the peer refuses" or "says"; what comes before may name our own socket.
fn refusal(kind: ErrorKind, text: &str) -> Refusal {
    let text = text.to_lowercase();
    let said = ["the peer refuses: ", "the peer says: "]
        .iter()
        .find_map(|before| text.split_once(before))
        .map_or("", |(_, said)| said);
    match kind {
        ErrorKind::AlreadyConnected => Refusal::Busy,
        ErrorKind::InterfaceId => Refusal::UnknownId,
        ErrorKind::WrongSecret | ErrorKind::SecretRequired => Refusal::Secret,
        ErrorKind::ModeMismatch => Refusal::Mode,
        _ if said.contains("already") => Refusal::Busy,
        _ if said.contains("secret") => Refusal::Secret,
        _ if said.contains("mode") => Refusal::Mode,
        // A word of its own: "invalid" has it too.
        _ if said
            .split(|c: char| !c.is_alphanumeric())
            .any(|word| word == "id") =>
        {
            Refusal::UnknownId
        }
        _ => Refusal::Other,
    }
}

/// With what to do about it.
pub(crate) fn refused(error: &Error) -> Failure {
    let text = error.to_string();
    let hint = refusal(error.kind(), &text).hint();
    Failure::Failed(text).hint(hint)
}

impl Refusal {
    fn hint(self) -> &'static str {
        match self {
            Self::Secret => "give the peer's secret with --secret",
            Self::Mode => "give the peer's mode with --mode",
            Self::UnknownId => "give the id that the peer has with --id",
            Self::Busy => "an interface has one link: end the other, or use another --id",
            Self::Other => "",
        }
    }
}

fn shown(name: &str) -> &str {
    if name.is_empty() { "(unnamed)" } else { name }
}

/// Seconds on the command line: so few that they can be added to any time.
pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
    const MOST: Duration = Duration::from_secs(1_000_000_000);
    text.parse::<f64>()
        .ok()
        .and_then(|s| Duration::try_from_secs_f64(s).ok())
        .filter(|time| *time <= MOST)
        .ok_or_else(|| {
            format!(
                "'{text}' is no number of seconds from 0 to {}",
                MOST.as_secs()
            )
        })
}

/// A limit to the wait for a link, of which 0 is none.
pub(crate) fn some_time(limit: Option<Duration>) -> Option<Duration> {
    limit.filter(|limit| !limit.is_zero())
}

/// As `seconds`, at least a millisecond.
pub(crate) fn some_seconds(text: &str) -> Result<Duration, String> {
    seconds(text)?
        .checked_sub(Duration::from_millis(1))
        .ok_or_else(|| format!("'{text}' s is too short a time"))?;
    seconds(text)
}

/// A receive mode on the command line.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_can_be_added_to_any_time() {
        for text in ["0", "0.5", "1e9"] {
            assert!(Instant::now().checked_add(seconds(text).unwrap()).is_some());
        }
        for text in ["", "-1", "nan", "inf", "1e10", "1e19", "1e300"] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }

    #[test]
    fn refusals_without_a_number_are_told_by_their_words() {
        for (words, is) in [
            ("ID not found", Refusal::UnknownId),
            ("unmatched interface id", Refusal::UnknownId),
            ("invalid ring size", Refusal::Other),
            ("Only ethernet mode supported", Refusal::Mode),
            ("Incorrect secret", Refusal::Secret),
            ("Already connected", Refusal::Busy),
        ] {
            for verb in ["refuses", "says"] {
                let text = format!("id 7 on /secret/mode: the peer {verb}: {words}");
                assert_eq!(refusal(ErrorKind::Disconnected, &text), is, "{text}");
            }
        }
        assert_eq!(
            refusal(ErrorKind::Disconnected, "id 7 on @secret"),
            Refusal::Other
        );
    }

    #[test]
    fn the_secret_is_not_shown() {
        #[derive(Debug, clap::Parser)]
        struct Line {
            #[command(flatten)]
            endpoint: Endpoint,
        }
        let line = ["memif", "-s", "x", "--secret", "hunter2"];
        let args = <Line as clap::Parser>::try_parse_from(line).unwrap();
        assert_eq!(args.endpoint.secret, Some(Secret("hunter2".into())));
        let shown = format!("{args:?}");
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}

//! Errors, and who is to blame for them.

mod eof;
mod io_error;
mod kind;
mod refusal;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

pub use self::eof::Eof;
pub use self::io_error::IoError;
pub use self::kind::ErrorKind;
pub use self::refusal::Refusal;

/// The errors of this crate. They can be compared and cloned, and their texts name the socket,
/// interface, queue or file, and say what was expected and what came.
///
/// What a program decides by:
///
/// | error | of | what to do |
/// |---|---|---|
/// | [`Eof`](Self::Eof) | reading; writing when nobody is there | stop for now, or for good: the reason says which |
/// | [`Full`](Self::Full) | writing | wait for room, or drop the packet |
/// | [`TimedOut`](Self::TimedOut) | everything that has a timeout | what the timeout was for |
/// | [`TooLong`](Self::TooLong), [`EmptyPacket`](Self::EmptyPacket) | writing | leave the packet out |
/// | [`Refused`](Self::Refused) | waiting for the link | change the secret, the id or the mode |
/// | [`Config`](Self::Config) | creating things | give another value |
///
/// ```
/// use memif::{Eof, Error};
///
/// let error = Error::from(Eof::Empty);
/// assert!(error.is_eof());
/// assert_eq!(error, Error::Eof(Eof::Empty));
/// assert_eq!(error.to_string(), "end of file for now: no packet is waiting");
/// assert!(!Error::Full.is_eof());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is nothing to read, or nobody to write to, for now or for good. The reason says which.
    /// This is not a failure.
    #[error(transparent)]
    Eof(#[from] Eof),

    /// The ring has no room, and nothing was sent. The link is up: try again when the peer has read
    /// packets.
    #[error("the ring is full")]
    Full,

    /// The time is over. Every call with a timeout says it in this way.
    #[error("the time is over")]
    TimedOut,

    /// A packet can't be sent because it is longer than the whole transmit ring.
    #[error("a packet of {length} bytes does not fit: {}", room(*buffers, *buffer_size, *offered))]
    #[non_exhaustive]
    TooLong {
        /// The bytes of the packet.
        length: usize,
        /// The number of buffers.
        buffers: usize,
        /// The bytes of the largest buffer.
        buffer_size: usize,
        /// Whether the peer offers the buffers, as a slave does to a master.
        offered: bool,
    },

    /// A packet can't be sent because it has no bytes.
    #[error("an empty packet can't be sent")]
    EmptyPacket,

    /// The peer refuses the link.
    #[error(transparent)]
    Refused(Arc<Refusal>),

    /// The C core refused or failed. The kind says whether the caller, the peer or the system is to
    /// blame.
    #[error("{}", in_words(kind, context))]
    #[non_exhaustive]
    Memif {
        /// What was wrong.
        kind: ErrorKind,
        /// What was being done, and with which socket, interface and queue.
        context: String,
    },

    /// The caller gave an invalid setting.
    #[error("{what}: {problem}")]
    #[non_exhaustive]
    Config {
        /// The setting, for example `secret`.
        what: &'static str,
        /// What was given, and what is allowed.
        problem: String,
    },

    /// A system call failed. The text includes the system's, so there is no
    /// [`source`](std::error::Error::source) that would repeat it.
    #[error("{context}: {error}")]
    #[non_exhaustive]
    Io {
        /// What was being done, and with which file or socket.
        context: String,
        /// The system's error.
        error: IoError,
    },

    /// A capture file is truncated or damaged, or is not a capture file.
    #[error("{}: at byte {offset}: {problem}", path.as_deref().unwrap_or(std::path::Path::new("capture")).display())]
    #[non_exhaustive]
    Capture {
        /// The file, if its name is known.
        path: Option<PathBuf>,
        /// Where the record that can't be read begins, in bytes from the start of the file.
        offset: u64,
        /// What was expected, and what was found.
        problem: String,
    },
}

fn room(buffers: usize, size: usize, offered: bool) -> String {
    let whose = match offered {
        true => "the peer offers",
        false => "the transmit ring has",
    };
    let s = if size == 1 { "" } else { "s" };
    format!("{whose} {buffers} buffers of at most {size} byte{s}")
}

fn in_words(kind: &ErrorKind, context: &str) -> String {
    let kind = kind.to_string();
    if context.contains(&kind) {
        context.into()
    } else {
        format!("{context}: {kind}")
    }
}

/// For programs and traits that use [`io::Error`]. An end of file that is not final, and a full
/// ring, become `WouldBlock`.
///
/// ```
/// use std::io::{self, ErrorKind};
///
/// use memif::{Eof, Error};
///
/// let error = io::Error::from(Error::from(Eof::Empty));
/// assert_eq!(error.kind(), ErrorKind::WouldBlock);
/// ```
impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        use io::ErrorKind as Kind;

        let kind = match &error {
            Error::Eof(Eof::Empty) | Error::Full => Kind::WouldBlock,
            Error::Eof(Eof::LinkDown | Eof::Closed) => Kind::NotConnected,
            Error::Eof(Eof::EndOfFile) => Kind::UnexpectedEof,
            Error::TimedOut => Kind::TimedOut,
            Error::Config { .. } | Error::EmptyPacket | Error::TooLong { .. } => Kind::InvalidInput,
            Error::Capture { .. } => Kind::InvalidData,
            Error::Io { error, .. } => error.kind(),
            Error::Refused(_) => Kind::ConnectionRefused,
            Error::Memif { kind, .. } => match kind {
                ErrorKind::ConnectionRefused => Kind::ConnectionRefused,
                ErrorKind::PermissionDenied => Kind::PermissionDenied,
                ErrorKind::NotFound => Kind::NotFound,
                ErrorKind::NoMemory => Kind::OutOfMemory,
                ErrorKind::MalformedMessage => Kind::InvalidData,
                _ => Kind::Other,
            },
        };
        Self::new(kind, error)
    }
}

impl Error {
    /// A system call's error and what was being done, for a [`PacketSource`](crate::PacketSource)
    /// or [`PacketSink`](crate::PacketSink) of one's own.
    pub fn io(context: impl Into<String>, error: io::Error) -> Self {
        Self::Io {
            context: context.into(),
            error: error.into(),
        }
    }

    /// Whether this is an end of file. Then nothing has failed: there is nothing to read, or nobody
    /// to write to. A full ring is none, as a writer is to go on.
    pub fn is_eof(&self) -> bool {
        matches!(self, Self::Eof(_))
    }

    /// The reason, if this is an end of file.
    pub fn eof(&self) -> Option<Eof> {
        match self {
            Self::Eof(reason) => Some(*reason),
            _ => None,
        }
    }

    /// The number of this error in libmemif (1 to 39) or the Go adapter (100 to 102); −1 if it has
    /// none.
    pub fn code(&self) -> i32 {
        self.kind().code()
    }

    /// The kind of error that libmemif would report.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Eof(Eof::Empty) | Self::TimedOut => ErrorKind::Again,
            Self::Full => ErrorKind::RingFull,
            Self::Eof(Eof::LinkDown) => ErrorKind::Disconnected,
            Self::Eof(Eof::Closed) => ErrorKind::NotInitialised,
            Self::Eof(Eof::EndOfFile) | Self::Capture { .. } => ErrorKind::UNKNOWN,
            Self::Memif { kind, .. } => *kind,
            Self::Refused(refusal) => refusal.kind,
            Self::Config { .. } | Self::EmptyPacket | Self::TooLong { .. } => {
                ErrorKind::InvalidArgument
            }
            Self::Io { error, .. } => match error.kind() {
                io::ErrorKind::PermissionDenied => ErrorKind::PermissionDenied,
                io::ErrorKind::NotFound => ErrorKind::NotFound,
                io::ErrorKind::OutOfMemory => ErrorKind::NoMemory,
                _ => ErrorKind::Syscall,
            },
        }
    }

    pub(crate) fn memif(kind: ErrorKind, context: impl Into<String>) -> Self {
        Self::Memif {
            kind,
            context: context.into(),
        }
    }

    pub(crate) fn config(what: &'static str, problem: impl Into<String>) -> Self {
        Self::Config {
            what,
            problem: problem.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use super::*;

    #[test]
    fn nothing_is_said_twice() {
        let error = |context: &str| Error::memif(ErrorKind::NotFound, context).to_string();
        assert_eq!(error("looking at x"), "looking at x: no such file");
        let whole = "can't listen on x: no such file (errno 2)";
        assert_eq!(error(whole), whole);

        // As anyhow's `{:#}` prints it: the texts of all sources, one after the other.
        let system = io::Error::from_raw_os_error(28);
        let error = Error::io("writing x", system);
        let mut whole = error.to_string();
        let mut source = error.source();
        while let Some(inner) = source {
            whole += &format!(": {inner}");
            source = inner.source();
        }
        assert_eq!(whole.matches("No space left").count(), 1, "{whole}");
    }

    #[test]
    fn errors_are_compared() {
        let io = |text: &str| Error::io("reading x", io::Error::other(text));
        assert_eq!(io("a"), io("a"));
        assert_ne!(io("a"), io("b"));
        assert_ne!(Error::Full, Error::TimedOut);
    }

    #[test]
    fn capture_errors_name_file_and_byte() {
        let error = Error::Capture {
            path: Some("x.pcap".into()),
            offset: 24,
            problem: "cut short".into(),
        };
        assert_eq!(error.to_string(), "x.pcap: at byte 24: cut short");
    }
}

//! Errors, and who is to blame for them.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// The errors of this crate.
///
/// Their texts name the socket, interface, queue or file, and say what was expected and what came.
///
/// ```
/// use memif::{Eof, Error};
///
/// let error = Error::from(Eof::Empty);
/// assert!(error.is_eof());
/// assert_eq!(error.to_string(), "end of file for now: no packet is waiting");
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is nothing to read, or no room to write, for now or for good. The reason says which.
    /// This is not a failure.
    #[error(transparent)]
    Eof(#[from] Eof),

    /// The C core refused or failed. The kind says whether the caller, the peer or the system is to
    /// blame.
    #[error("{}", in_words(kind, context))]
    Memif {
        /// What was wrong. There is one variant for each error number of libmemif and the Go
        /// adapter.
        kind: ErrorKind,
        /// What was being done, and with which socket, interface and queue.
        context: String,
    },

    /// The caller gave an invalid value.
    #[error("{what}: {problem}")]
    Config {
        /// The setting, for example `queue id` or `secret`.
        what: &'static str,
        /// What was given, and what is allowed.
        problem: String,
    },

    /// A system call failed.
    #[error("{context}: {source}")]
    Io {
        /// What was being done, and with which file or socket.
        context: String,
        /// The system's error.
        source: io::Error,
    },

    /// A capture file is truncated or damaged, or is not a capture file.
    #[error("{}: at byte {offset}: {problem}", path.as_deref().unwrap_or(std::path::Path::new("capture")).display())]
    Capture {
        /// The file, if its name is known.
        path: Option<PathBuf>,
        /// Where the record that can't be read begins, in bytes from the start of the file.
        offset: u64,
        /// What was expected, and what was found.
        problem: String,
    },
}

/// Stands before the words in which a peer refuses.
pub(crate) const REFUSES: &str = "the peer refuses: ";

fn in_words(kind: &ErrorKind, context: &str) -> String {
    let kind = kind.to_string();
    if context.contains(REFUSES) || context.contains(&kind) {
        context.into()
    } else {
        format!("{context}: {kind}")
    }
}

/// Why there is nothing to read, or no room to write.
///
/// | reason | when | continues |
/// |---|---|---|
/// | `Empty` | reading | when the peer sends |
/// | `Full` | writing | when the peer has read packets |
/// | `LinkDown` | reading and writing | when the peer connects again |
/// | `Closed` | reading and writing | never |
/// | `EndOfFile` | reading a capture file | never |
///
/// ```
/// use memif::Eof;
///
/// assert!(!Eof::Empty.is_final());
/// assert!(Eof::Closed.is_final());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Eof {
    /// The link is up, and no packet is waiting.
    #[error("end of file for now: no packet is waiting")]
    Empty,
    /// The link is up, and the ring has no room. Nothing was sent.
    #[error("end of file for now: the ring is full")]
    Full,
    /// The link is down, and every packet that had arrived has been read.
    #[error("end of file: the link is down")]
    LinkDown,
    /// The handle, the interface or the context was closed.
    #[error("end of file: closed")]
    Closed,
    /// A capture file has been read to its end.
    #[error("end of file: the capture file ends here")]
    EndOfFile,
}

impl Eof {
    /// Whether this is the end for good: `true` for `Closed` and `EndOfFile`.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Closed | Self::EndOfFile)
    }
}

/// For programs and traits that use [`io::Error`]. An end of file that is not final becomes
/// `WouldBlock`.
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
            Error::Eof(Eof::Empty | Eof::Full) => Kind::WouldBlock,
            Error::Eof(Eof::LinkDown | Eof::Closed) => Kind::NotConnected,
            Error::Eof(Eof::EndOfFile) => Kind::UnexpectedEof,
            Error::Config { .. } => Kind::InvalidInput,
            Error::Capture { .. } => Kind::InvalidData,
            Error::Io { source, .. } => source.kind(),
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

macro_rules! error_kinds {
    ($($(#[$meta:meta])* $name:ident = $code:literal, $text:literal;)*) => {
        /// The kinds of error, with the numbers of libmemif 4.0 (1 to 39) and of the Go adapter
        /// (100 to 102, −1).
        ///
        /// ```
        /// use memif::ErrorKind;
        ///
        /// assert_eq!(ErrorKind::from_code(29), ErrorKind::WrongSecret);
        /// assert_eq!(ErrorKind::WrongSecret.code(), 29);
        /// assert_eq!(ErrorKind::from_code(12345), ErrorKind::Unknown);
        /// ```
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum ErrorKind {
            $($(#[$meta])* $name,)*
        }

        impl ErrorKind {
            /// The kind with this number; [`ErrorKind::Unknown`] if there is none.
            pub fn from_code(code: i32) -> Self {
                match code {
                    $($code => Self::$name,)*
                    _ => Self::Unknown,
                }
            }

            /// The number of this kind.
            pub fn code(self) -> i32 {
                match self {
                    $(Self::$name => $code,)*
                }
            }
        }

        impl fmt::Display for ErrorKind {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self {
                    $(Self::$name => $text,)*
                })
            }
        }
    };
}

error_kinds! {
    /// A system call failed for a reason without a number of its own.
    Syscall = 1, "a system call failed";
    /// Nobody listens on the socket.
    ConnectionRefused = 2, "nobody listens on the socket";
    /// The permissions of the socket or its folder forbid it.
    PermissionDenied = 3, "permission denied";
    /// The socket does not exist.
    NotFound = 4, "no such file";
    /// The system's table of open files is full.
    FileLimit = 5, "the system has too many open files";
    /// The process's limit of open files is reached.
    ProcessFileLimit = 6, "the process has too many open files";
    /// The socket is in use by another program.
    Already = 7, "in use";
    /// Try again later.
    Again = 8, "not ready, try again";
    /// The descriptor is not open.
    BadDescriptor = 9, "bad file descriptor";
    /// There was no memory.
    NoMemory = 10, "out of memory";
    /// An argument is invalid.
    InvalidArgument = 11, "invalid argument";
    /// No such interface.
    NoConnection = 12, "no such interface";
    /// The interface exists already.
    Exists = 13, "the interface exists already";
    /// The program's descriptor callback failed.
    DescriptorCallback = 14, "the callback for control descriptors failed";
    /// The path names something that is not a socket.
    NotSocket = 15, "the file is not a socket";
    /// The peer sent no descriptor with its memory.
    NoSharedMemory = 16, "the peer sent no descriptor for its memory";
    /// The peer's ring does not begin with memif's cookie.
    BadCookie = 17, "the peer's ring has a wrong cookie";
    /// The ring has no free slot.
    RingFull = 18, "the ring is full";
    /// The caller's buffers are too small.
    NoBuffer = 19, "more packets are waiting than buffers were given";
    /// The memory for the details is too small.
    NoDetailsBuffer = 20, "the memory for the details is too small";
    /// The peer can't be interrupted.
    InterruptWrite = 21, "writing the interrupt failed";
    /// The peer's message is malformed.
    MalformedMessage = 22, "the peer sent a malformed message";
    /// No such queue.
    UnknownQueue = 23, "no such queue";
    /// The peer uses another version of the protocol.
    IncompatibleProtocol = 24, "incompatible protocol version";
    /// The interface id is in use, or unknown to the peer.
    InterfaceId = 25, "interface id in use or unknown";
    /// Only a slave can do this, or only a master.
    Role = 26, "not possible in this role";
    /// The interface is connected already.
    AlreadyConnected = 27, "already connected";
    /// The peer's interface uses another mode.
    ModeMismatch = 28, "the modes of the two sides differ";
    /// The secret is not that of the peer.
    WrongSecret = 29, "incorrect secret";
    /// The peer requires a secret.
    SecretRequired = 30, "a secret is required";
    /// More regions than allowed.
    TooManyRegions = 31, "too many memory regions";
    /// More rings than allowed.
    TooManyRings = 32, "too many rings";
    /// The peer sent no eventfd with its ring.
    NoInterruptDescriptor = 33, "the peer sent no eventfd for its ring";
    /// The peer ended the link.
    Disconnect = 34, "the peer disconnected";
    /// The link is down.
    Disconnected = 35, "the interface is not connected";
    /// The peer sent a message of an unknown type.
    UnknownMessage = 36, "the peer sent an unknown message";
    /// The wait was cancelled.
    PollCancelled = 37, "the poll was cancelled";
    /// The ring is larger than 2^14.
    RingTooLarge = 38, "the ring is too large";
    /// The peer asks for a private header, which memif does not use.
    PrivateHeader = 39, "the peer asks for a private header";
    /// The context does not exist, or is closed.
    NotInitialised = 100, "not initialised, or closed";
    /// The context already exists.
    AlreadyInitialised = 101, "already initialised";
    /// This build or the peer does not support it.
    Unsupported = 102, "not supported";
    /// An error without a number.
    Unknown = -1, "unknown error";
}

impl Error {
    /// Whether this is an end of file: nothing went wrong, but there is nothing to read or no room
    /// to write.
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
            Self::Eof(Eof::Empty) => ErrorKind::Again,
            Self::Eof(Eof::Full) => ErrorKind::RingFull,
            Self::Eof(Eof::LinkDown) => ErrorKind::Disconnected,
            Self::Eof(Eof::Closed) => ErrorKind::NotInitialised,
            Self::Eof(Eof::EndOfFile) | Self::Capture { .. } => ErrorKind::Unknown,
            Self::Memif { kind, .. } => *kind,
            Self::Config { .. } => ErrorKind::InvalidArgument,
            Self::Io { source, .. } => match source.kind() {
                io::ErrorKind::PermissionDenied => ErrorKind::PermissionDenied,
                io::ErrorKind::NotFound => ErrorKind::NotFound,
                io::ErrorKind::OutOfMemory => ErrorKind::NoMemory,
                _ => ErrorKind::Syscall,
            },
        }
    }

    pub(crate) fn memif(code: i32, context: impl Into<String>) -> Self {
        Self::Memif {
            kind: ErrorKind::from_code(code),
            context: context.into(),
        }
    }

    pub(crate) fn config(what: &'static str, problem: impl Into<String>) -> Self {
        Self::Config {
            what,
            problem: problem.into(),
        }
    }

    pub(crate) fn io(context: impl Into<String>, source: io::Error) -> Self {
        Self::Io {
            context: context.into(),
            source,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_has_a_kind_of_its_own() {
        for code in (1..=39).chain([100, 101, 102]) {
            let kind = ErrorKind::from_code(code);
            assert_eq!(kind.code(), code);
            assert_ne!(kind, ErrorKind::Unknown, "{code}");
        }
        assert_eq!(ErrorKind::Unknown.code(), -1);
        for code in [-1, 0, 40, 99, 103, -2, i32::MAX, i32::MIN] {
            assert_eq!(ErrorKind::from_code(code), ErrorKind::Unknown);
        }
    }

    #[test]
    fn nothing_is_said_twice() {
        let error = |code, context: &str| Error::memif(code, context).to_string();
        assert_eq!(error(4, "looking at x"), "looking at x: no such file");
        let whole = "can't listen on x: no such file (errno 2)";
        assert_eq!(error(4, whole), whole);
        let refused = "slave id 0 on x: the peer refuses: Incorrect secret";
        assert_eq!(error(34, refused), refused);
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

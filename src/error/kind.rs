//! The kinds of error, by their numbers.

use std::fmt;

macro_rules! error_kinds {
    ($($(#[$meta:meta])* $name:ident = $code:literal, $text:literal;)*) => {
        /// The kinds of error that programs act on, with the numbers of libmemif 4.0 (1 to 39) and
        /// of the Go adapter (100 to 102, −1).
        ///
        /// ```
        /// use memif::ErrorKind;
        ///
        /// assert_eq!(ErrorKind::from_code(29), ErrorKind::WrongSecret);
        /// assert_eq!(ErrorKind::WrongSecret.code(), 29);
        /// assert_eq!(ErrorKind::from_code(17), ErrorKind::Other(17));
        /// assert_eq!(ErrorKind::Other(17).code(), 17);
        /// ```
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum ErrorKind {
            $($(#[$meta])* $name,)*
            /// Any other, with its number. The error's text says more.
            Other(i32),
        }

        impl ErrorKind {
            /// The kind with this number.
            pub fn from_code(code: i32) -> Self {
                match code {
                    $($code => Self::$name,)*
                    other => Self::Other(other),
                }
            }

            /// The number of this kind.
            pub fn code(self) -> i32 {
                match self {
                    $(Self::$name => $code,)*
                    Self::Other(code) => code,
                }
            }
        }

        impl fmt::Display for ErrorKind {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $(Self::$name => f.write_str($text),)*
                    Self::Other(code) => write!(f, "error {code}"),
                }
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
    /// There was no memory.
    NoMemory = 10, "out of memory";
    /// An argument is invalid.
    InvalidArgument = 11, "invalid argument";
    /// The interface exists already.
    Exists = 13, "the interface exists already";
    /// The path names something that is not a socket.
    NotSocket = 15, "the file is not a socket";
    /// The ring has no free slot.
    RingFull = 18, "the ring is full";
    /// The peer's message is malformed.
    MalformedMessage = 22, "the peer sent a malformed message";
    /// No such queue.
    UnknownQueue = 23, "no such queue";
    /// The peer uses another version of the protocol.
    IncompatibleProtocol = 24, "incompatible protocol version";
    /// The interface id is in use, or unknown to the peer.
    InterfaceId = 25, "interface id in use or unknown";
    /// The interface is connected already.
    AlreadyConnected = 27, "already connected";
    /// The peer's interface uses another mode.
    ModeMismatch = 28, "the modes of the two sides differ";
    /// The secret is not that of the peer.
    WrongSecret = 29, "incorrect secret";
    /// The peer requires a secret.
    SecretRequired = 30, "a secret is required";
    /// The peer ended the link.
    Disconnect = 34, "the peer disconnected";
    /// The link is down.
    Disconnected = 35, "the interface is not connected";
    /// The context does not exist, or is closed.
    NotInitialised = 100, "not initialised, or closed";
    /// This build, or the peer, can't do it.
    Unsupported = 102, "not supported";
}

impl ErrorKind {
    /// Errors without a number.
    pub(super) const UNKNOWN: Self = Self::Other(-1);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_is_kept() {
        for code in (-2..=103).chain([i32::MAX, i32::MIN]) {
            assert_eq!(ErrorKind::from_code(code).code(), code);
        }
        assert_eq!(ErrorKind::from_code(39).to_string(), "error 39");
    }
}

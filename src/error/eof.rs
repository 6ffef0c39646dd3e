//! The end of reading, for now or for good.

/// Why there is nothing to read, or nothing can be read or written any more.
///
/// | reason | when | continues |
/// |---|---|---|
/// | `Empty` | reading | when the peer sends |
/// | `LinkDown` | reading and writing | when the peer connects again |
/// | `Closed` | reading and writing | never |
/// | `EndOfFile` | reading a capture file | never |
///
/// A full ring is not an end of file, but [`Error::Full`](crate::Error::Full).
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

//! The result of a wait.

use crate::error::{Eof, Error};

/// How a wait ended. When the time is over it ends with [`Error::TimedOut`].
///
/// ```
/// use std::time::Duration;
///
/// use memif::{Error, Wait};
/// # use memif::{Context, MemifConfig, Role};
/// # let context = Context::new("doc")?;
/// # let socket = format!("@memif-doc-wait-{}", std::process::id());
/// # let memif = context.create_interface(MemifConfig::new(&socket).role(Role::Master))?;
///
/// let mut handle = memif.packet_handle(0)?;
/// match handle.wait(Some(Duration::from_secs(1))) {
///     Ok(Wait::Ready) => println!("{} bytes", handle.read_packet()?.len()),
///     Ok(Wait::LinkDown) => println!("nobody is there"),
///     Ok(_) => println!("closed by another thread"),
///     Err(Error::TimedOut) => println!("the peer is silent"),
///     Err(error) => return Err(error),
/// }
/// # Ok::<(), memif::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a wait also ends when the link goes down"]
#[non_exhaustive]
pub enum Wait {
    /// A packet can be read, or there is room to write.
    Ready,
    /// The link is down, and every packet that had arrived has been read.
    LinkDown,
    /// The handle or the interface is closed.
    Closed,
}

impl Wait {
    /// Takes everything but `Ready` as an end of file.
    ///
    /// # Errors
    ///
    /// [`Eof::LinkDown`] or [`Eof::Closed`].
    pub fn ready(self) -> Result<(), Error> {
        match self {
            Self::Ready => Ok(()),
            Self::LinkDown => Err(Eof::LinkDown.into()),
            Self::Closed => Err(Eof::Closed.into()),
        }
    }
}

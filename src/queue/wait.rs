//! The result of a wait.

/// How a wait ended.
///
/// ```
/// use std::time::Duration;
///
/// use memif::Wait;
/// # use memif::{Context, MemifConfig, Role};
/// # let context = Context::new("doc")?;
/// # let socket = format!("@memif-doc-wait-{}", std::process::id());
/// # let memif = context.create_interface(MemifConfig::new(&socket).role(Role::Master))?;
///
/// let mut handle = memif.packet_handle(0, 64)?;
/// match handle.wait(Some(Duration::from_secs(1)))? {
///     Wait::Ready => println!("{} bytes", handle.read_packet()?.len()),
///     Wait::TimedOut => println!("the peer is silent"),
///     Wait::LinkDown => println!("nobody is there"),
///     Wait::Closed => println!("closed by another thread"),
/// }
/// # Ok::<(), memif::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// A packet can be read, or there is room to write.
    Ready,
    /// The timeout has passed.
    TimedOut,
    /// The link is down, and every packet that had arrived has been read.
    LinkDown,
    /// The handle or the interface is closed.
    Closed,
}

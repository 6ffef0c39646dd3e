//! Who refuses a link, and why.

use super::kind::ErrorKind;

/// What is known of a peer's refusal.
///
/// ```
/// use memif::{Context, Error, ErrorKind, MemifConfig, Role};
///
/// let context = Context::new("doc")?;
/// let socket = format!("@memif-doc-refusal-{}", std::process::id());
/// let master = MemifConfig::new(&socket).role(Role::Master).secret("right");
/// let master = context.create_interface(master)?;
/// let slave = context.create_interface(MemifConfig::new(&socket).secret("wrong"))?;
/// match slave.wait_link_up(None) {
///     Err(Error::Refused(refusal)) => {
///         assert_eq!((&refusal.peer[..], refusal.kind), ("doc", ErrorKind::WrongSecret));
///     }
///     other => panic!("{other:?}"),
/// }
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{interface}: the peer refuses: {reason}")]
#[non_exhaustive]
pub struct Refusal {
    /// The interface that was refused: its role, id and socket.
    pub interface: String,
    /// The peer's program, as it says; empty if it did not.
    pub peer: String,
    /// Why, as far as the peer gave a number.
    pub kind: ErrorKind,
    /// Why, in the peer's words.
    pub reason: String,
}

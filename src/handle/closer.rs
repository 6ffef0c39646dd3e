//! Closes a handle from another thread.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::{Error, ErrorKind};
use crate::link::Link;

/// Closes a [`PacketHandle`](super::PacketHandle) from another thread, and wakes its reader. Clones
/// close the same handle.
///
/// ```
/// # use memif::{Context, Eof, MemifConfig, Role, Wait};
/// # let context = Context::new("doc")?;
/// # let socket = format!("@memif-doc-closer-{}", std::process::id());
/// # let memif = context.create_interface(MemifConfig::new(&socket).role(Role::Master))?;
/// let mut handle = memif.packet_handle(0, 64)?;
/// let closer = handle.closer();
/// std::thread::spawn(move || closer.close());
/// assert_eq!(handle.packets().follow(true).count(), 0);
/// assert_eq!(handle.read_packet().unwrap_err().eof(), Some(Eof::Closed));
/// # Ok::<(), memif::Error>(())
/// ```
#[derive(Clone)]
pub struct Closer(Arc<CloserState>);

struct CloserState {
    link: Arc<Link>,
    queue: u8,
    closed: AtomicBool,
}

impl Closer {
    pub(super) fn new(link: Arc<Link>, queue: u8) -> Self {
        Self(Arc::new(CloserState {
            link,
            queue,
            closed: AtomicBool::new(false),
        }))
    }

    /// The interface of the handle.
    pub(super) fn link(&self) -> &Arc<Link> {
        &self.0.link
    }

    /// Closes the handle. Reads and writes in progress finish first, and packets in the cache are
    /// still delivered. Does not block, and does not end the link.
    pub fn close(&self) {
        self.0.closed.store(true, Ordering::Release);
        if let Ok(conn) = self.0.link.conn() {
            conn.rx_wake(self.0.queue);
        }
    }

    /// Whether the handle is closed.
    #[inline]
    pub fn is_closed(&self) -> bool {
        self.0.closed.load(Ordering::Acquire)
    }

    pub(super) fn unknown(&self, direction: &str) -> Error {
        let doing = format!("{direction} queue {}", self.0.queue);
        self.0.link.error(ErrorKind::UnknownQueue.code(), &doing)
    }
}

impl fmt::Debug for Closer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Closer")
            .field("interface", &self.0.link)
            .field("queue", &self.0.queue)
            .field("closed", &self.is_closed())
            .finish()
    }
}

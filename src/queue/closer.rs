//! Closes a queue or a handle from another thread.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use crate::link::Link;

/// Closes a [`PacketHandle`](crate::PacketHandle) or an [`RxQueue`](crate::RxQueue) from another
/// thread, and wakes its reader. Clones close the same one. It does not keep the interface: one
/// that is forgotten does no harm.
///
/// ```
/// # use memif::{Context, Eof, MemifConfig, Role, Wait};
/// # let context = Context::new("doc")?;
/// # let socket = format!("@memif-doc-closer-{}", std::process::id());
/// # let memif = context.create_interface(MemifConfig::new(&socket).role(Role::Master))?;
/// let mut handle = memif.packet_handle(0)?;
/// let closer = handle.closer();
/// std::thread::spawn(move || closer.close());
/// assert_eq!(handle.packets().follow(true).count(), 0);
/// assert_eq!(handle.read_packet().unwrap_err().eof(), Some(Eof::Closed));
/// # Ok::<(), memif::Error>(())
/// ```
#[derive(Clone)]
pub struct Closer {
    link: Weak<Link>,
    queue: u8,
    closed: Arc<AtomicBool>,
}

impl Closer {
    pub(crate) fn new(link: &Arc<Link>, queue: u8) -> Self {
        Self {
            link: Arc::downgrade(link),
            queue,
            closed: Arc::default(),
        }
    }

    /// Closes the handle or the queue. Reads and writes in progress finish first, and packets in a
    /// handle's cache can still be read. Does not block, and does not end the link.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Release);
        if let Some(link) = self.link.upgrade()
            && let Ok(conn) = link.conn()
        {
            conn.rx_wake(self.queue);
        }
    }

    /// Whether the handle or the queue is closed.
    #[inline]
    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Whether both close the same.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.closed, &other.closed)
    }
}

impl fmt::Debug for Closer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Closer")
            .field("queue", &self.queue)
            .field("closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}

//! The interrupts of all receive queues of an interface, and the ends of its links, in one stream.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use crate::error::{Eof, Error};
use crate::ffi::QueueFds;
use crate::link::Link;
use crate::link::bell::Bell;

/// Yields the ids of receive queues as packets arrive on them, and an error for each link that
/// ends. Use it as a blocking iterator, or with [`recv`](Self::recv) and a timeout.
///
/// After an id, read its queue until nothing is left: until [`rx_burst`](crate::RxQueue::rx_burst)
/// returns 0 or an end of file. Otherwise no more interrupts come for the packets that are left. A
/// queue that is not read at all is reported again at once. An id may come without a packet, for
/// example when the link goes up or down. For queues in a [mode](crate::RxMode) other than
/// `Interrupt`, only changes of the link are reported.
///
/// The iterator ends when the interface is closed. Packets that had arrived can still be read.
///
/// ```
/// use memif::{Burst, Context, MemifConfig, Role};
///
/// let context = Context::new("doc")?;
/// let socket = format!("@memif-doc-interrupts-{}", std::process::id());
/// let master = context.create_interface(MemifConfig::new(&socket).role(Role::Master).queues(2, 2))?;
/// let slave = context.create_interface(MemifConfig::new(&socket).queues(2, 2))?;
/// slave.wait_link_up(None)?;
/// slave.tx_queue(1)?.tx_burst(&[b"a packet"])?;
///
/// let mut queues = [master.rx_queue(0)?, master.rx_queue(1)?];
/// let mut burst = Burst::new(32);
/// let mut packets = 0;
/// for id in master.interrupts()? {
///     let id = id?;
///     while queues[usize::from(id)].rx_burst(&mut burst)? > 0 {
///         packets += burst.len();
///     }
///     if packets > 0 {
///         break;
///     }
/// }
/// assert_eq!(packets, 1);
/// # Ok::<(), memif::Error>(())
/// ```
pub struct Interrupts {
    /// Weak: whoever only listens does not keep an interface.
    link: Weak<Link>,
    label: String,
    fds: QueueFds,
    bell: Arc<Bell>,
    ready: VecDeque<u8>,
}

impl Interrupts {
    pub(crate) fn new(link: &Arc<Link>) -> Result<Self, Error> {
        let refused = |e| Error::io(format!("watching the queues of {link:?}"), e);
        let bell = Arc::new(Bell::new().map_err(refused)?);
        let fds = QueueFds::new(bell.waker()).map_err(refused)?;
        link.add_bell(&bell);
        let mut this = Self {
            link: Arc::downgrade(link),
            label: link.label().to_owned(),
            fds,
            bell,
            ready: VecDeque::new(),
        };
        this.watch()?;
        Ok(this)
    }

    /// Watches the queues of the present link too.
    fn watch(&mut self) -> Result<(), Error> {
        let link = self.link.upgrade().filter(|link| !link.is_closed());
        let link = link.ok_or(Eof::Closed)?;
        let watched = self.fds.watch(link.conn()?, link.queues().0);
        watched.map_err(|e| Error::io(format!("watching the queues of {}", self.label), e))
    }

    /// Blocks until a queue has packets, and returns its id. `None` means no timeout.
    ///
    /// # Errors
    ///
    /// [`Error::Memif`] with [`Disconnected`](crate::ErrorKind::Disconnected) and the reason, once
    /// for each link that ends. Packets that had arrived can still be read, and the next link is
    /// reported again. [`Eof::Empty`] on timeout. [`Eof::Closed`], from then on, when the interface
    /// is closed. [`Error::Io`] if the system can't wait.
    pub fn recv(&mut self, timeout: Option<Duration>) -> Result<u8, Error> {
        let deadline = timeout.and_then(|t| Instant::now().checked_add(t));
        loop {
            self.watch()?;
            if let Some(error) = self.bell.next_error() {
                return Err(error);
            }
            if let Some(queue) = self.ready.pop_front() {
                return Ok(queue);
            }
            let left = deadline.map(|d| d.saturating_duration_since(Instant::now()));
            match self.fds.wait(left, self.bell.waker(), &mut self.ready) {
                Ok(true) => {}
                Ok(false) if left.is_some_and(|left| left.is_zero()) => {
                    return Err(Eof::Empty.into());
                }
                Ok(false) => {}
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => {
                    return Err(Error::io(format!("waiting for {}", self.label), e));
                }
            }
        }
    }
}

/// Blocks until the next item. Ends when the interface is closed.
impl Iterator for Interrupts {
    type Item = Result<u8, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.recv(None) {
            Err(Error::Eof(Eof::Closed)) => None,
            result => Some(result),
        }
    }
}

impl fmt::Debug for Interrupts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Interrupts")
            .field("interface", &self.label)
            .finish_non_exhaustive()
    }
}

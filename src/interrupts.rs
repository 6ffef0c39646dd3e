//! The interrupts of all receive queues of an interface, and what went wrong, in one stream.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::error::{Eof, Error};
use crate::ffi::QueueFds;
use crate::link::Link;
use crate::link::bell::Bell;

/// The ids of receive queues on which packets have arrived, as they arrive, and
/// the ends of links as errors: an iterator that blocks, and a receiver with a time limit.
///
/// After an id its queue is to be read until nothing is left: until
/// [`rx_burst`](crate::RxQueue::rx_burst) returns 0 or an end of file. Else no more interrupts come
/// for what is left; a queue that is not read at all is told of again at once. An
/// id may come without a packet, as when the link goes up or down. Queues in
/// another [mode](crate::RxMode) than `Interrupt` tell of the link only.
///
/// The iterator ends when the interface is closed; what had arrived can still be read.
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
    link: Arc<Link>,
    fds: QueueFds,
    bell: Arc<Bell>,
    ready: VecDeque<u16>,
}

impl Interrupts {
    pub(crate) fn new(link: Arc<Link>) -> Result<Self, Error> {
        let refused = |e| Error::io(format!("watching the queues of {link:?}"), e);
        let bell = Arc::new(Bell::new().map_err(refused)?);
        let fds = QueueFds::new(link.conn()?, link.config.rx_queues, bell.waker());
        let fds = fds.map_err(refused)?;
        link.add_bell(&bell);
        Ok(Self {
            link,
            fds,
            bell,
            ready: VecDeque::new(),
        })
    }

    /// The next queue with packets. `None`: no limit.
    ///
    /// # Errors
    ///
    /// [`Error::Memif`] with [`Disconnected`](crate::ErrorKind::Disconnected) and the reason once for
    /// each link that ends: what had arrived can still be read, and ids go on coming with the next link.
    /// [`Eof::Empty`] when the time is over; [`Eof::Closed`] for ever when
    /// the interface is closed. [`Error::Io`] when the system refuses to wait.
    pub fn recv(&mut self, timeout: Option<Duration>) -> Result<u16, Error> {
        let deadline = timeout.and_then(|t| Instant::now().checked_add(t));
        loop {
            if self.link.is_closed() {
                return Err(Eof::Closed.into());
            }
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
                    return Err(Error::io(format!("waiting for {:?}", self.link), e));
                }
            }
        }
    }
}

/// Blocks; ends when the interface is closed.
impl Iterator for Interrupts {
    type Item = Result<u16, Error>;

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
            .field("interface", &self.link)
            .finish_non_exhaustive()
    }
}

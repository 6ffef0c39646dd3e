//! The reading half of a handle, with its cache of a burst.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use super::closer::Closer;
use crate::error::{Eof, Error};
use crate::ffi::Waker;
use crate::link::rx_mode::RxMode;
use crate::packet::Packet;
use crate::packet::link_type::LinkType;
use crate::packet::source::PacketSource;
use crate::queue::{Burst, RxQueue, Wait};

/// The reading half of a [`PacketHandle`](super::PacketHandle).
///
/// ```
/// # use memif::{Context, MemifConfig, Role};
/// # let context = Context::new("doc")?;
/// # let socket = format!("@memif-doc-split-{}", std::process::id());
/// # let memif = context.create_interface(MemifConfig::new(&socket).role(Role::Master))?;
/// let (mut reader, mut writer) = memif.packet_handle(0, 64)?.split();
/// let reading = std::thread::spawn(move || reader.packets().follow(true).count());
/// writer.close();
/// assert_eq!(reading.join().unwrap(), 0);
/// # Ok::<(), memif::Error>(())
/// ```
#[derive(Debug)]
pub struct PacketReader {
    queue: Receiving,
    burst: Burst,
    /// Index of the first packet of the burst that has not been read.
    next: usize,
    closer: Closer,
}

#[derive(Debug)]
enum Receiving {
    Queue(RxQueue),
    /// The handle only writes. Poll loops get a descriptor anyway.
    Never(Waker),
}

impl PacketReader {
    pub(super) fn new(
        queue: Option<RxQueue>,
        rx_count: u16,
        closer: Closer,
    ) -> Result<Self, Error> {
        let queue = match queue {
            Some(queue) => Receiving::Queue(queue),
            None => Receiving::Never(
                Waker::new()
                    .map_err(|e| Error::io(format!("making a handle of {:?}", closer.link()), e))?,
            ),
        };
        Ok(Self {
            queue,
            burst: Burst::new(rx_count),
            next: 0,
            closer,
        })
    }

    /// Returns the next packet, which is valid until the next call. Never blocks.
    ///
    /// # Errors
    ///
    /// [`Eof::Empty`] if no packet is waiting, [`Eof::LinkDown`] if the link is down and drained,
    /// [`Eof::Closed`] if the handle is closed and its cache is empty. [`Error::Memif`] if the
    /// handle has no receive queue, or, once, if the peer broke the protocol.
    #[inline]
    pub fn read_packet(&mut self) -> Result<Packet<'_>, Error> {
        self.prepare()?;
        let index = self.next;
        self.next += 1;
        match self.burst.get(index) {
            Some(packet) => Ok(packet),
            None => Err(Eof::Empty.into()), // `prepare` leaves at least one
        }
    }

    /// Returns the next packet, and blocks until there is one while the link is up. `None` means no
    /// timeout.
    ///
    /// # Errors
    ///
    /// As for [`read_packet`](Self::read_packet). [`Eof::Empty`] means that the timeout has passed.
    pub fn read_packet_timeout(&mut self, timeout: Option<Duration>) -> Result<Packet<'_>, Error> {
        let deadline = timeout.and_then(|t| Instant::now().checked_add(t));
        // A loop, because after a violation a wait may report packets although there are none.
        while self.next >= self.burst.len() {
            match self.fill() {
                Err(Error::Eof(Eof::Empty)) => {}
                result => {
                    result?;
                    break;
                }
            }
            let left = deadline.map(|d| d.saturating_duration_since(Instant::now()));
            match self.wait(left)? {
                Wait::TimedOut => return Err(Eof::Empty.into()),
                Wait::Ready | Wait::LinkDown | Wait::Closed => {}
            }
        }
        self.read_packet()
    }

    /// Blocks until a packet can be read, the timeout passes, the link is down and drained, or the
    /// handle is closed. `None` means no timeout.
    ///
    /// # Errors
    ///
    /// [`Error::Memif`] if the system can't wait, or if the handle has no receive queue.
    pub fn wait(&mut self, timeout: Option<Duration>) -> Result<Wait, Error> {
        self.wait_for(timeout, false)
    }

    /// Sets how reads wait for packets; [`RxMode::Interrupt`] by default. It stays in effect over
    /// reconnects.
    ///
    /// # Errors
    ///
    /// [`Error::Memif`] if the handle has no receive queue.
    pub fn set_rx_mode(&mut self, mode: RxMode) -> Result<(), Error> {
        self.queue()?.set_rx_mode(mode)
    }

    /// Sets the snap length: how many bytes are kept of each packet that is read from now on. 0
    /// means [`DEFAULT_SNAPLEN`](crate::DEFAULT_SNAPLEN). Call it while the cache is empty, because
    /// packets in the cache are lost.
    pub fn set_snaplen(&mut self, bytes: u32) {
        let count = u16::try_from(self.burst.capacity()).unwrap_or(u16::MAX);
        self.burst = Burst::new(count).with_snaplen(bytes);
        self.next = 0;
    }

    /// Returns a [`Closer`], which closes both halves of the handle from another thread.
    pub fn closer(&self) -> Closer {
        self.closer.clone()
    }

    /// Whether the handle can read at all. It can't if its queue exists only for sending.
    #[cfg(feature = "tokio")]
    pub(crate) fn has_queue(&self) -> bool {
        matches!(self.queue, Receiving::Queue(_))
    }

    /// Makes sure that the next `read_packet` has a packet. Never blocks.
    #[inline]
    pub(crate) fn prepare(&mut self) -> Result<(), Error> {
        if self.next < self.burst.len() {
            return Ok(());
        }
        self.fill()
    }

    pub(super) fn wait_for(
        &mut self,
        timeout: Option<Duration>,
        follow: bool,
    ) -> Result<Wait, Error> {
        if self.next < self.burst.len() {
            return Ok(Wait::Ready);
        }
        let closer = self.closer.clone();
        self.queue()?
            .wait_while(timeout, follow, || closer.is_closed())
    }

    /// Fills the empty cache with at least one packet. A function of its own, so that reading from
    /// the cache is inlined.
    #[inline(never)]
    fn fill(&mut self) -> Result<(), Error> {
        self.next = 0;
        self.burst.clear();
        if self.closer.is_closed() {
            return Err(Eof::Closed.into());
        }
        let Receiving::Queue(queue) = &mut self.queue else {
            return Err(self.closer.unknown("receive"));
        };
        match queue.rx_burst(&mut self.burst) {
            Ok(0) => Err(Eof::Empty.into()),
            Ok(_) => Ok(()),
            Err(e) => Err(e),
        }
    }

    fn queue(&mut self) -> Result<&mut RxQueue, Error> {
        match &mut self.queue {
            Receiving::Queue(queue) => Ok(queue),
            Receiving::Never(_) => Err(self.closer.unknown("receive")),
        }
    }
}

impl PacketSource for PacketReader {
    fn read_packet(&mut self) -> Result<Packet<'_>, Error> {
        Self::read_packet(self)
    }

    fn link_type(&self) -> LinkType {
        self.closer.link().config.mode.link_type()
    }
}

impl AsFd for PacketReader {
    /// The descriptor of the handle's [`RxQueue`]; see [there](RxQueue#impl-AsFd-for-RxQueue) how
    /// to use it. Without a receive queue, a descriptor that never becomes readable.
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.queue {
            Receiving::Queue(queue) => queue.as_fd(),
            Receiving::Never(waker) => waker.as_fd(),
        }
    }
}

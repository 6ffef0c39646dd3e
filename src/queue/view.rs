//! Packets that are looked at where they are.

use std::fmt;

use super::rx::RxQueue;
use crate::error::{Eof, Error};
use crate::ffi::Lent;
use crate::packet::direction::Direction;
use crate::packet::time::Timestamp;
use crate::packet::{CaptureInfo, Packet, PacketBuf};

/// Received packets that are still in the memory that is shared with the peer, from
/// [`RxQueue::views`]. Dropping it gives their buffers back.
///
/// It is for programs that forward or drop most packets by their first bytes: only what is asked
/// for is copied. Others are better off with [`rx_burst`](RxQueue::rx_burst), which gives the
/// buffers back at once, and whose packets can be borrowed as slices.
///
/// The peer can write to the packets at any time. So there is no way to borrow their bytes, only to
/// copy them, and two copies of the same bytes may differ. What a program decides by, it copies
/// first. Nothing that the peer does makes a copy reach beyond the memory of the link.
///
/// ```
/// # use memif::{Context, MemifConfig, Role};
/// # let context = Context::new("doc")?;
/// # let socket = format!("@memif-doc-views-{}", std::process::id());
/// # let master = context.create_interface(MemifConfig::new(&socket).role(Role::Master))?;
/// # let slave = context.create_interface(MemifConfig::new(&socket))?;
/// # slave.wait_link_up(None)?;
/// # slave.tx_queue(0)?.tx_burst(&[[4; 1500], [6; 1500]])?;
/// # master.wait_link_up(None)?;
/// let mut queue = master.rx_queue(0)?;
/// let mut wanted = Vec::new();
/// for view in &queue.views(64)? {
///     // Of most packets only these bytes are copied.
///     if view.head::<14>()?.is_some_and(|header| header[0] == 6) {
///         wanted.push(view.to_owned()?);
///     }
/// }
/// assert_eq!((wanted.len(), wanted[0].len()), (1, 1500));
/// # Ok::<(), memif::Error>(())
/// ```
///
/// There is no reference to the bytes:
///
/// ```compile_fail,E0277
/// fn bytes<T: AsRef<[u8]>>(_: T) {}
/// # fn test(queue: &mut memif::RxQueue) -> Result<(), memif::Error> {
/// for view in &queue.views(64)? {
///     bytes(view); // the trait `AsRef<[u8]>` is not implemented
/// }
/// # Ok(()) }
/// ```
///
/// ```compile_fail,E0614
/// # fn test(queue: &mut memif::RxQueue) -> Result<(), memif::Error> {
/// for view in &queue.views(64)? {
///     let first = (*view)[0]; // type `View<'_>` cannot be dereferenced
/// }
/// # Ok(()) }
/// ```
///
/// A view does not outlive its burst, nor the burst its queue, which does nothing else meanwhile:
///
/// ```compile_fail,E0716
/// # fn test(queue: &mut memif::RxQueue) -> Result<(), memif::Error> {
/// let first = queue.views(64)?.iter().next(); // temporary value dropped while borrowed
/// println!("{first:?}");
/// # Ok(()) }
/// ```
///
/// ```compile_fail,E0499
/// # fn test(queue: &mut memif::RxQueue) -> Result<(), memif::Error> {
/// let views = queue.views(64)?;
/// queue.wait(None)?; // cannot borrow `*queue` as mutable more than once at a time
/// drop(views);
/// # Ok(()) }
/// ```
///
/// A queue belongs to one thread, and so do its views:
///
/// ```compile_fail,E0277
/// # fn test(queue: &mut memif::RxQueue) -> Result<(), memif::Error> {
/// let views = queue.views(64)?;
/// std::thread::scope(|scope| {
///     scope.spawn(|| views.iter().count()); // cannot be shared between threads safely
/// });
/// # Ok(()) }
/// ```
pub struct Views<'q> {
    queue: &'q mut RxQueue,
    timestamp: Timestamp,
    packets: usize,
}

impl RxQueue {
    /// Takes packets that are waiting, of at most `most` buffers (at least 1), and leaves them
    /// where they are: see [`Views`]. Their buffers go back to the peer when the views are dropped.
    /// Never blocks.
    ///
    /// # Errors
    ///
    /// As for [`rx_burst`](Self::rx_burst).
    pub fn views(&mut self, most: u16) -> Result<Views<'_>, Error> {
        let timestamp = match self.lend(most)? {
            true => Timestamp::now(),
            false => Timestamp::default(),
        };
        let packets = self.lent().iter().filter(|buf| buf.more == 0).count();
        Ok(Views {
            queue: self,
            timestamp,
            packets,
        })
    }
}

impl Views<'_> {
    /// How many packets there are.
    pub fn len(&self) -> usize {
        self.packets
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.packets == 0
    }

    /// Iterates over the packets, in the order of their arrival.
    pub fn iter(&self) -> ViewIter<'_> {
        ViewIter {
            views: self,
            left: self.queue.lent(),
        }
    }
}

impl Drop for Views<'_> {
    fn drop(&mut self) {
        self.queue.return_lent();
    }
}

impl<'a> IntoIterator for &'a Views<'_> {
    type Item = View<'a>;
    type IntoIter = ViewIter<'a>;

    fn into_iter(self) -> ViewIter<'a> {
        self.iter()
    }
}

impl fmt::Debug for Views<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self).finish()
    }
}

/// Iterates over [`Views`].
#[derive(Clone)]
pub struct ViewIter<'a> {
    views: &'a Views<'a>,
    left: &'a [Lent],
}

impl<'a> Iterator for ViewIter<'a> {
    type Item = View<'a>;

    fn next(&mut self) -> Option<View<'a>> {
        let last = self.left.iter().position(|buf| buf.more == 0)?;
        let (bufs, left) = self.left.split_at(last + 1);
        self.left = left;
        Some(View {
            queue: self.views.queue,
            timestamp: self.views.timestamp,
            bufs,
        })
    }
}

impl fmt::Debug for ViewIter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ViewIter").finish_non_exhaustive()
    }
}

/// A packet in the memory that is shared with the peer; see [`Views`].
#[derive(Clone, Copy)]
pub struct View<'a> {
    queue: &'a RxQueue,
    timestamp: Timestamp,
    bufs: &'a [Lent],
}

impl View<'_> {
    /// The bytes of the packet, as they were counted when it was taken.
    pub fn len(&self) -> usize {
        self.bufs.iter().map(|buf| buf.length as usize).sum()
    }

    /// Whether the packet has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// When and where the packet was received, and how long it is.
    pub fn info(&self) -> CaptureInfo {
        let mut info = CaptureInfo::whole(self.len(), self.timestamp);
        info.interface_index = self.queue.interface_index();
        info.direction = Direction::Inbound;
        info
    }

    /// Copies bytes from this offset on, and returns how many: fewer than there is room for at the
    /// packet's end, 0 beyond it.
    ///
    /// # Errors
    ///
    /// [`Eof::LinkDown`] if the memory is gone: the link went down, and many more came since.
    pub fn read_at(&self, mut offset: usize, to: &mut [u8]) -> Result<usize, Error> {
        let mut copied = 0;
        for buf in self.bufs {
            let length = buf.length as usize;
            if offset >= length {
                offset -= length;
                continue;
            }
            let count = (length - offset).min(to.len() - copied);
            if count == 0 {
                break;
            }
            let part = &mut to[copied..copied + count];
            if !self.queue.read_lent(buf, offset as u32, part)? {
                return Err(Eof::LinkDown.into());
            }
            copied += count;
            offset = 0;
        }
        Ok(copied)
    }

    /// Copies the first bytes; `None` if the packet is shorter.
    ///
    /// # Errors
    ///
    /// As for [`read_at`](Self::read_at).
    pub fn head<const N: usize>(&self) -> Result<Option<[u8; N]>, Error> {
        let mut head = [0; N];
        let copied = self.read_at(0, &mut head)?;
        Ok((copied == N).then_some(head))
    }

    /// Copies the packet, as much as there is room for, and returns how many bytes.
    ///
    /// # Errors
    ///
    /// As for [`read_at`](Self::read_at).
    pub fn copy_to(&self, to: &mut [u8]) -> Result<usize, Error> {
        self.read_at(0, to)
    }

    /// Copies the whole packet.
    ///
    /// # Errors
    ///
    /// As for [`read_at`](Self::read_at).
    pub fn to_owned(&self) -> Result<PacketBuf, Error> {
        let mut data = vec![0; self.len()];
        self.read_at(0, &mut data)?;
        Ok(Packet::new(&data, self.info()).into())
    }
}

impl fmt::Debug for View<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("View")
            .field("len", &self.len())
            .field("buffers", &self.bufs.len())
            .finish_non_exhaustive()
    }
}

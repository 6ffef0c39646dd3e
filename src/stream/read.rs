//! The reading half: packets one by one, or as a stream.

use std::future::poll_fn;
use std::os::fd::AsFd;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use tokio::task::coop;

use crate::error::{Eof, Error, ErrorKind};
use crate::ffi::Readable;
use crate::handle::PacketReader;
use crate::link::rx_mode::RxMode;
use crate::packet::{Packet, PacketBuf};
use crate::queue::{BurstIter, Closer};

/// The reading half of an [`AsyncPacketHandle`](super::AsyncPacketHandle).
///
/// As a [`Stream`] it yields owned packets. It returns `None` when the handle is closed, or when
/// the link is down and every packet that had arrived has been read. After
/// [`Memif::link_up`](crate::Memif::link_up) it continues. An error that would repeat is returned
/// once, and from then on `None`.
///
/// ```
/// use futures_util::StreamExt;
/// use memif::stream::AsyncPacketHandle;
/// # use memif::{Context, MemifConfig, Role};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), memif::Error> {
/// # let context = Context::new("doc")?;
/// # let socket = format!("@memif-doc-reader-{}", std::process::id());
/// # let memif = context.create_interface(MemifConfig::new(&socket).role(Role::Master))?;
/// let (mut reader, mut writer) = AsyncPacketHandle::new(memif.packet_handle(0)?)?.split();
/// reader.set_follow(true); // the peer has not connected yet
/// let reading = tokio::spawn(async move { reader.count().await });
/// writer.close().await?;
/// assert_eq!(reading.await.unwrap(), 0);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct AsyncPacketReader {
    /// Waits on its own copy of the queue's descriptor. `None` without a queue.
    readable: Option<Readable>,
    reader: PacketReader,
    follow: bool,
    failed: bool,
}

impl AsyncPacketReader {
    pub(super) fn new(mut reader: PacketReader) -> Result<Self, Error> {
        let mut readable = None;
        if reader.has_queue() {
            reader.set_rx_mode(RxMode::Interrupt)?;
            let registered = reader
                .as_fd()
                .try_clone_to_owned()
                .and_then(Readable::new)
                .map_err(|e| Error::io("registering a receive queue with the runtime", e))?;
            readable = Some(registered);
        }
        Ok(Self {
            readable,
            reader,
            follow: false,
            failed: false,
        })
    }

    /// Returns the next packet, which is valid until the next call. Waits for it while the link is
    /// up.
    ///
    /// # Errors
    ///
    /// [`Eof::LinkDown`](crate::Eof::LinkDown) if the link is down and every packet that had
    /// arrived has been read, unless reconnects are followed. [`Eof::Closed`](crate::Eof::Closed)
    /// after the handle was closed.
    /// [`ErrorKind::MalformedMessage`](crate::ErrorKind::MalformedMessage), once, if the peer broke
    /// the protocol. [`Error::Io`] if the runtime is shut down.
    pub async fn read_packet(&mut self) -> Result<Packet<'_>, Error> {
        // All waiting happens before the packet leaves the cache, so that a read can be dropped.
        poll_fn(|cx| self.poll_ready(cx)).await?;
        self.reader.read_packet()
    }

    /// Returns the packets that have been taken from the ring and not been read, at least one. They
    /// are valid until the next call. Waits for them while the link is up.
    ///
    /// # Errors
    ///
    /// As for [`read_packet`](Self::read_packet).
    pub async fn read_burst(&mut self) -> Result<BurstIter<'_>, Error> {
        poll_fn(|cx| self.poll_ready(cx)).await?;
        self.reader.read_burst()
    }

    /// [`read_burst`](Self::read_burst), for futures of one's own.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn poll_read_burst(&mut self, cx: &mut Context<'_>) -> Poll<Result<BurstIter<'_>, Error>> {
        ready!(self.poll_ready(cx))?;
        Poll::Ready(self.reader.read_burst())
    }

    /// With `true`, reads wait for the next link when the link is down, instead of ending. `false`
    /// by default.
    pub fn set_follow(&mut self, reconnects: bool) {
        self.follow = reconnects;
    }

    /// Whether the link is up. Never blocks.
    pub fn is_link_up(&self) -> bool {
        self.reader.is_link_up()
    }

    /// Returns a [`Closer`], which closes both halves of the handle from another task or thread.
    pub fn closer(&self) -> Closer {
        self.reader.closer()
    }

    /// Ready when the cache holds a packet, or reading ends.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        // A steady stream of packets must not starve the other tasks of the thread.
        let turn = ready!(coop::poll_proceed(cx));
        let (reader, follow) = (&mut self.reader, self.follow);
        let mut attempt = || match reader.prepare() {
            Err(Error::Eof(Eof::Empty)) => None,
            Err(Error::Eof(Eof::LinkDown)) if follow => None,
            result => Some(result),
        };
        let result = match (attempt(), &self.readable) {
            (Some(result), _) => result,
            (None, Some(readable)) => ready!(readable.poll(cx, attempt))
                .unwrap_or_else(|e| Err(Error::io("waiting for packets", e))),
            (None, None) => Err(Eof::Empty.into()), // not without a queue: that is an error
        };
        turn.made_progress();
        Poll::Ready(result)
    }
}

impl Stream for AsyncPacketReader {
    type Item = Result<PacketBuf, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.failed {
            return Poll::Ready(None);
        }
        let result = ready!(self.poll_ready(cx));
        let packet = result.and_then(|()| self.reader.read_packet().map(PacketBuf::from));
        Poll::Ready(match packet {
            Err(Error::Eof(_)) => None,
            Err(e) => {
                // A violation ends only the link.
                self.failed = e.kind() != ErrorKind::MalformedMessage;
                Some(Err(e))
            }
            packet => Some(packet),
        })
    }
}

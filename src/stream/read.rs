//! The reading half: packets one by one, or as a stream.

use std::future::poll_fn;
use std::os::fd::AsFd;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use tokio::task::coop;

use crate::error::{Eof, Error, ErrorKind};
use crate::ffi::Readable;
use crate::handle::{Closer, PacketReader};
use crate::link::rx_mode::RxMode;
use crate::packet::{Packet, PacketBuf};

/// The reading half of an [`AsyncPacketHandle`](super::AsyncPacketHandle), with its methods.
///
/// As a [`Stream`] it gives packets of one's own. It returns `None` when the handle is closed, or
/// the link is down and drained; after [`Memif::link_up`](crate::Memif::link_up) it
/// goes on. An error that would come again and again is returned once, and then `None` for ever.
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
/// let (mut reader, mut writer) = AsyncPacketHandle::new(memif.packet_handle(0, 64)?)?.split();
/// reader.set_follow(true); // the peer has not come yet
/// let reading = tokio::spawn(async move { reader.count().await });
/// writer.close().await;
/// assert_eq!(reading.await.unwrap(), 0);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct AsyncPacketReader {
    /// Of a descriptor of its own, which is a copy of the queue's. None without a queue.
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

    /// See [`AsyncPacketHandle::read_packet`](super::AsyncPacketHandle::read_packet).
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn read_packet(&mut self) -> Result<Packet<'_>, Error> {
        // All waiting is before the packet leaves the cache, so that a read can be dropped.
        poll_fn(|cx| self.poll_ready(cx)).await?;
        self.reader.read_packet()
    }

    /// See [`AsyncPacketHandle::set_follow`](super::AsyncPacketHandle::set_follow).
    pub fn set_follow(&mut self, reconnects: bool) {
        self.follow = reconnects;
    }

    /// See [`AsyncPacketHandle::closer`](super::AsyncPacketHandle::closer).
    pub fn closer(&self) -> Closer {
        self.reader.closer()
    }

    /// Ready when the cache holds a packet, or reading ends.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        // Packets that keep coming must not starve the other tasks of the thread.
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
                // A violation ends the link only.
                self.failed = e.kind() != ErrorKind::MalformedMessage;
                Some(Err(e))
            }
            packet => Some(packet),
        })
    }
}

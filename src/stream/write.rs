//! The writing half: packets one by one, in bursts, or through a sink.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use futures_sink::Sink;
use tokio::task::coop;

use super::back_off::BackOff;
use super::batch::Batch;
use crate::error::{Eof, Error};
use crate::handle::{Closer, PacketWriter};
use crate::link::CLOSE_FLUSH;

/// The writing half of an [`AsyncPacketHandle`](super::AsyncPacketHandle).
///
/// As a [`Sink`] it collects up to 64 packets and sends them together, when it has that many and
/// when it is flushed. After a flush the packets are on the ring, where the peer finds them.
/// Closing waits up to a second until the peer has read them. If the link goes down, packets that
/// could not be sent are kept for the next link. A packet that can never be sent causes an error of
/// the flush and is skipped. Packets that were not flushed are lost when the writer is dropped.
///
/// ```
/// use futures_util::SinkExt;
/// use memif::stream::AsyncPacketHandle;
/// # use memif::{Context, MemifConfig, Role};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), memif::Error> {
/// # let context = Context::new("doc")?;
/// # let socket = format!("@memif-doc-async-writer-{}", std::process::id());
/// # let master = context.create_interface(MemifConfig::new(&socket).role(Role::Master))?;
/// # let slave = context.create_interface(MemifConfig::new(&socket))?;
/// # slave.link_up().await?;
/// let (_reader, mut writer) = AsyncPacketHandle::new(slave.packet_handle(0, 64)?)?.split();
/// for n in 0..100u8 {
///     writer.feed([n; 60]).await?;
/// }
/// SinkExt::<&[u8]>::flush(&mut writer).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct AsyncPacketWriter {
    writer: PacketWriter,
    batch: Batch,
    back_off: BackOff,
    /// The time when closing stops to wait for the peer.
    closing: Option<Instant>,
}

impl AsyncPacketWriter {
    pub(super) fn new(writer: PacketWriter) -> Self {
        Self {
            writer,
            batch: Batch::default(),
            back_off: BackOff::default(),
            closing: None,
        }
    }

    /// Sends a packet, after the packets that were given to the [`Sink`]. Waits for room while the
    /// link is up.
    ///
    /// # Errors
    ///
    /// [`Eof::LinkDown`](crate::Eof::LinkDown) or [`Eof::Closed`](crate::Eof::Closed) if the link
    /// is down or the handle closed; the packet was not sent. [`Error::Config`] for a packet that
    /// is empty or larger than the ring.
    pub async fn write_packet(&mut self, packet: &[u8]) -> Result<(), Error> {
        self.write_packets(&[packet]).await.map(drop)
    }

    /// Sends packets in order, after the packets that were given to the [`Sink`]. Waits until at
    /// least one can be sent, and returns how many were sent.
    ///
    /// # Errors
    ///
    /// As for [`write_packet`](Self::write_packet), if no packet was sent.
    pub async fn write_packets<T: AsRef<[u8]>>(&mut self, packets: &[T]) -> Result<usize, Error> {
        poll_fn(|cx| {
            let turn = ready!(coop::poll_proceed(cx));
            ready!(self.poll_batch(cx))?;
            loop {
                match self.writer.write_packets(packets) {
                    Err(Error::Eof(Eof::Full)) => ready!(self.back_off.poll(cx))?,
                    result => {
                        self.back_off.reset();
                        turn.made_progress();
                        return Poll::Ready(result);
                    }
                }
            }
        })
        .await
    }

    /// Sends the packets that were given to the [`Sink`], and waits until the peer has read
    /// everything (`true`) or the timeout has passed (`false`). It checks again after 50 µs to 1.6
    /// ms.
    ///
    /// # Errors
    ///
    /// [`Eof::LinkDown`](crate::Eof::LinkDown) if the link went down before. Packets that the peer
    /// had not read may be lost.
    pub async fn wait_taken(&mut self, timeout: Duration) -> Result<bool, Error> {
        let end = Instant::now().checked_add(timeout);
        poll_fn(|cx| self.poll_taken(cx, end)).await
    }

    /// Whether the link is up. Never blocks.
    pub fn is_link_up(&self) -> bool {
        self.writer.is_link_up()
    }

    /// Returns a [`Closer`], which closes both halves of the handle from another task or thread.
    pub fn closer(&self) -> Closer {
        self.writer.closer()
    }

    /// Waits up to a second until the peer has read what was sent, then closes both halves of the
    /// handle. Packets in the reader's cache can still be read.
    pub async fn close(&mut self) {
        if let Err(e) = self.wait_taken(CLOSE_FLUSH).await
            && !e.is_eof()
        {
            log::warn!("closing: {e}");
        }
        self.writer.closer().close();
    }

    /// Ready when all packets of the batch are on the ring.
    fn poll_batch(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        while !self.batch.is_empty() {
            match self
                .batch
                .send(|packets| self.writer.write_packets(packets))
            {
                Ok(_) => self.back_off.reset(),
                Err(Error::Eof(Eof::Full)) => ready!(self.back_off.poll(cx))?,
                Err(e) => {
                    if matches!(e, Error::Config { .. }) {
                        self.batch.take(1);
                    }
                    return Poll::Ready(Err(e));
                }
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Ready when the peer has read everything (`true`) or the timeout has passed (`false`).
    fn poll_taken(
        &mut self,
        cx: &mut Context<'_>,
        end: Option<Instant>,
    ) -> Poll<Result<bool, Error>> {
        let over = || end.is_some_and(|end| Instant::now() >= end);
        loop {
            match self.poll_batch(cx) {
                Poll::Pending if over() => break Poll::Ready(Ok(false)),
                sent => ready!(sent)?,
            }
            if self.writer.flush(Duration::ZERO)? {
                self.back_off.reset();
                break Poll::Ready(Ok(true));
            }
            if over() {
                break Poll::Ready(Ok(false));
            }
            ready!(self.back_off.poll(cx))?;
        }
    }
}

impl<T: AsRef<[u8]>> Sink<T> for AsyncPacketWriter {
    type Error = Error;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let turn = ready!(coop::poll_proceed(cx));
        if self.batch.is_full() {
            ready!(self.poll_batch(cx))?;
        }
        turn.made_progress();
        Poll::Ready(Ok(()))
    }

    fn start_send(mut self: Pin<&mut Self>, packet: T) -> Result<(), Error> {
        if self.writer.closer().is_closed() {
            return Err(Eof::Closed.into());
        }
        self.batch.push(packet.as_ref());
        Ok(())
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.poll_batch(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let end = *self
            .closing
            .get_or_insert_with(|| Instant::now() + CLOSE_FLUSH);
        let taken = ready!(self.poll_taken(cx, Some(end)));
        self.closing = None;
        self.writer.closer().close();
        Poll::Ready(taken.map(drop))
    }
}

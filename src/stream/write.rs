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
use crate::handle::PacketWriter;
use crate::link::CLOSE_FLUSH;
use crate::queue::Closer;

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
/// let (_reader, mut writer) = AsyncPacketHandle::new(slave.packet_handle(0)?)?.split();
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
    /// is down or the handle closed; the packet was not sent. [`Error::EmptyPacket`] or
    /// [`Error::TooLong`] for a packet that can never be sent.
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
        poll_fn(|cx| self.poll_write_packets(cx, packets)).await
    }

    /// [`write_packets`](Self::write_packets), for futures of one's own.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn poll_write_packets<T: AsRef<[u8]>>(
        &mut self,
        cx: &mut Context<'_>,
        packets: &[T],
    ) -> Poll<Result<usize, Error>> {
        let turn = ready!(coop::poll_proceed(cx));
        ready!(self.poll_batch(cx))?;
        loop {
            match self.writer.write_packets(packets) {
                Err(Error::Full) => ready!(self.back_off.poll(cx))?,
                result => {
                    self.back_off.reset();
                    turn.made_progress();
                    return Poll::Ready(result);
                }
            }
        }
    }

    /// Sends all packets, in order, after the packets that were given to the [`Sink`].
    ///
    /// # Errors
    ///
    /// As for [`write_packet`](Self::write_packet); the packets before the one that it is about
    /// have been sent.
    pub async fn write_all<T: AsRef<[u8]>>(&mut self, mut packets: &[T]) -> Result<(), Error> {
        while !packets.is_empty() {
            let sent = self.write_packets(packets).await?;
            packets = &packets[sent..];
        }
        Ok(())
    }

    /// A [`Sink`] that takes whole bursts: vectors of packets.
    pub fn into_bursts(self) -> BurstSink {
        BurstSink(self)
    }

    /// Sends the packets that were given to the [`Sink`], and waits until the peer has read
    /// everything. It checks again after 50 µs to 1.6 ms.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`]. [`Eof::LinkDown`](crate::Eof::LinkDown) if the link went down before.
    /// Packets that the peer had not read may be lost.
    pub async fn wait_taken(&mut self, timeout: Duration) -> Result<(), Error> {
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
    ///
    /// # Errors
    ///
    /// As for [`wait_taken`](Self::wait_taken). The handle is closed all the same.
    pub async fn close(&mut self) -> Result<(), Error> {
        let taken = self.wait_taken(CLOSE_FLUSH).await;
        self.writer.closer().close();
        taken
    }

    /// Ready when all packets of the batch are on the ring.
    fn poll_batch(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        while !self.batch.is_empty() {
            match self
                .batch
                .send(|packets| self.writer.write_packets(packets))
            {
                Ok(_) => self.back_off.reset(),
                Err(Error::Full) => ready!(self.back_off.poll(cx))?,
                Err(e) => {
                    if matches!(e, Error::TooLong { .. } | Error::EmptyPacket) {
                        self.batch.take(1);
                    }
                    return Poll::Ready(Err(e));
                }
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Ready when the peer has read everything, or the time is over.
    fn poll_taken(
        &mut self,
        cx: &mut Context<'_>,
        end: Option<Instant>,
    ) -> Poll<Result<(), Error>> {
        let over = || end.is_some_and(|end| Instant::now() >= end);
        loop {
            match self.poll_batch(cx) {
                Poll::Pending if over() => break Poll::Ready(Err(Error::TimedOut)),
                sent => ready!(sent)?,
            }
            match self.writer.flush(Duration::ZERO) {
                Err(Error::TimedOut) if !over() => ready!(self.back_off.poll(cx))?,
                taken => {
                    self.back_off.reset();
                    break Poll::Ready(taken);
                }
            }
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
        Poll::Ready(taken)
    }
}

/// A [`Sink`] of bursts, from [`AsyncPacketWriter::into_bursts`]. Otherwise it works like the sink
/// of
/// [`AsyncPacketWriter`].
///
/// ```
/// use futures_util::SinkExt;
/// use memif::stream::AsyncPacketHandle;
/// # use memif::{Context, MemifConfig, Role};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), memif::Error> {
/// # let context = Context::new("doc")?;
/// # let socket = format!("@memif-doc-burst-sink-{}", std::process::id());
/// # let master = context.create_interface(MemifConfig::new(&socket).role(Role::Master))?;
/// # let slave = context.create_interface(MemifConfig::new(&socket))?;
/// # slave.link_up().await?;
/// let (_reader, writer) = AsyncPacketHandle::new(slave.packet_handle(0)?)?.split();
/// let mut bursts = writer.into_bursts();
/// bursts.send(vec![[0; 60]; 100]).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct BurstSink(AsyncPacketWriter);

impl<T: AsRef<[u8]>> Sink<Vec<T>> for BurstSink {
    type Error = Error;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Sink::<T>::poll_ready(Pin::new(&mut self.0), cx)
    }

    fn start_send(mut self: Pin<&mut Self>, packets: Vec<T>) -> Result<(), Error> {
        let mut packets = packets.into_iter();
        packets.try_for_each(|packet| Pin::new(&mut self.0).start_send(packet))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Sink::<T>::poll_flush(Pin::new(&mut self.0), cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Sink::<T>::poll_close(Pin::new(&mut self.0), cx)
    }
}

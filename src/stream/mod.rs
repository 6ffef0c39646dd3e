//! Reads and writes packets in a [tokio](https://docs.rs/tokio) runtime: `read_packet().await`, a
//! stream, a sink.
//!
//! ```
//! use futures_util::StreamExt;
//! use memif::stream::AsyncPacketHandle;
//! use memif::{Context, MemifConfig, Role};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), memif::Error> {
//! let context = Context::new("doc")?;
//! let socket = format!("@memif-doc-stream-{}", std::process::id());
//! let master = context.create_interface(MemifConfig::new(&socket).role(Role::Master))?;
//! let slave = context.create_interface(MemifConfig::new(&socket))?;
//! slave.link_up().await?;
//! master.link_up().await?;
//!
//! let mut to = AsyncPacketHandle::new(slave.packet_handle(0)?)?;
//! let mut from = AsyncPacketHandle::new(master.packet_handle(0)?)?;
//! to.write_packet(b"first").await?;
//! to.write_packet(b"second").await?;
//!
//! assert_eq!(from.read_packet().await?.data(), b"first");
//! // Or as a stream, whose packets are owned.
//! let packet = from.next().await.expect("the link is up")?;
//! assert_eq!(&packet[..], b"second");
//! # Ok(())
//! # }
//! ```
//!
//! # Reading
//!
//! A task that waits for packets sleeps until the peer's eventfd, a change of the link or a
//! [`Closer`] wakes it. While packets keep coming, there are no system calls. Reads wait while the
//! ring is empty, and otherwise end like those of [`PacketHandle`]. The stream returns `None` when
//! the handle is closed, or when the link is down and every packet that had arrived has been read.
//! If it is told to [follow](AsyncPacketReader::set_follow) reconnects, it waits for the next link
//! instead.
//!
//! # Writing
//!
//! The protocol has no event for free slots. If the ring is full, a writer tries again a few times,
//! lets other tasks run, and then sleeps: for 50 µs at first, and for up to 1.6 ms if the peer
//! keeps reading nothing.
//!
//! # Cancelling
//!
//! Every future here may be dropped at any time, for example by `select!` or a timeout. A packet
//! that was not returned is returned by the next read. A write has either sent its packet or not.
//!
//! # Blocking
//!
//! [`Context::create_interface`](crate::Context::create_interface) and
//! [`Memif::details`](Memif::details) block for a moment, because they wait for the control thread.
//! [`Memif::close`](Memif::close), [`Context::close`](crate::Context::close) and dropping a context
//! block up to a second until the peer has read what was sent. Call [`AsyncPacketHandle::close`]
//! before, which waits without blocking. Dropping an interface or a handle does not block.
//!
//! # Other runtimes
//!
//! The types here need tokio's reactor. For mio, async-io and poll loops,
//! [`RxQueue`](crate::RxQueue) and [`PacketHandle`] implement [`AsFd`](std::os::fd::AsFd). The
//! documentation of [`RxQueue`](crate::RxQueue#impl-AsFd-for-RxQueue) has an example.

//!
//! # Stream and sink in one
//!
//! Some programs, such as `tokio-smoltcp`, need a device that is a stream and a sink of `Vec<u8>`
//! with errors of type [`std::io::Error`]. Adapters turn a handle into such a device:
//!
//! ```
//! use std::io;
//!
//! use futures_util::{Sink, SinkExt, Stream, TryStreamExt};
//! use memif::stream::AsyncPacketHandle;
//! use memif::{Context, MemifConfig, PacketBuf, Role};
//!
//! fn device(
//!     handle: AsyncPacketHandle,
//! ) -> impl Stream<Item = io::Result<Vec<u8>>> + Sink<Vec<u8>, Error = io::Error> + Send + Unpin {
//!     let packets = handle.map_ok(PacketBuf::into_data).map_err(io::Error::from);
//!     SinkExt::<Vec<u8>>::sink_map_err(packets, io::Error::from)
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), memif::Error> {
//! # let context = Context::new("doc")?;
//! # let socket = format!("@memif-doc-device-{}", std::process::id());
//! # let master = context.create_interface(MemifConfig::new(&socket).role(Role::Master))?;
//! # let slave = context.create_interface(MemifConfig::new(&socket))?;
//! # slave.link_up().await?;
//! # master.link_up().await?;
//! let mut one = device(AsyncPacketHandle::new(slave.packet_handle(0)?)?);
//! let mut other = device(AsyncPacketHandle::new(master.packet_handle(0)?)?);
//! # let sent: io::Result<()> = async {
//! one.send(vec![1; 60]).await?;
//! assert_eq!(other.try_next().await?, Some(vec![1; 60]));
//! # Ok(()) }.await;
//! # sent.expect("it is sent");
//! # Ok(())
//! # }
//! ```

pub(crate) mod back_off;
mod batch;
mod read;
mod write;

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_core::Stream;
use futures_sink::Sink;

pub use self::read::AsyncPacketReader;
pub use self::write::{AsyncPacketWriter, BurstSink};
use crate::error::Error;
use crate::handle::PacketHandle;
use crate::interface::Memif;
use crate::packet::{Packet, PacketBuf};
use crate::queue::{BurstIter, Closer};

/// Reads and writes packets on one queue of an interface, in a tokio runtime.
///
/// It is a [`Stream`] of the packets that arrive and a [`Sink`] of packets to send.
///
/// ```
/// use std::time::Duration;
///
/// use memif::stream::AsyncPacketHandle;
/// # use memif::{Context, MemifConfig, Role};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), memif::Error> {
/// # let context = Context::new("doc")?;
/// # let socket = format!("@memif-doc-async-handle-{}", std::process::id());
/// # let memif = context.create_interface(MemifConfig::new(&socket).role(Role::Master))?;
/// # let slave = context.create_interface(MemifConfig::new(&socket))?;
/// memif.link_up().await?;
/// let mut handle = AsyncPacketHandle::new(memif.packet_handle(0)?)?;
/// tokio::select! {
///     packet = handle.read_packet() => println!("{} bytes", packet?.len()),
///     // The read is dropped. The next read gets a packet that comes in the meantime.
///     () = tokio::time::sleep(Duration::from_millis(10)) => println!("nothing yet"),
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct AsyncPacketHandle {
    reader: AsyncPacketReader,
    writer: AsyncPacketWriter,
}

impl AsyncPacketHandle {
    /// Turns a handle into an async one. Its snap length and its cache are kept. The receive mode
    /// becomes [`Interrupt`](crate::RxMode::Interrupt).
    ///
    /// # Errors
    ///
    /// [`Error::Io`] outside a runtime, or if the system has no descriptor left.
    /// [`Eof::Closed`](crate::Eof::Closed) if the interface is closed.
    ///
    /// # Panics
    ///
    /// In a runtime that was built without [`enable_io`](tokio::runtime::Builder::enable_io), like
    /// everything in tokio that waits for a descriptor.
    pub fn new(handle: PacketHandle) -> Result<Self, Error> {
        let (reader, writer) = handle.split();
        Ok(Self {
            reader: AsyncPacketReader::new(reader)?,
            writer: AsyncPacketWriter::new(writer),
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
        self.reader.read_packet().await
    }

    /// Returns the packets that have been taken from the ring and not been read, at least one. They
    /// are valid until the next call. Waits for them while the link is up.
    ///
    /// # Errors
    ///
    /// As for [`read_packet`](Self::read_packet).
    pub async fn read_burst(&mut self) -> Result<BurstIter<'_>, Error> {
        self.reader.read_burst().await
    }

    /// [`read_burst`](Self::read_burst), for futures of one's own.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn poll_read_burst(&mut self, cx: &mut Context<'_>) -> Poll<Result<BurstIter<'_>, Error>> {
        self.reader.poll_read_burst(cx)
    }

    /// With `true`, reads wait for the next link when the link is down, instead of ending. `false`
    /// by default.
    pub fn set_follow(&mut self, reconnects: bool) {
        self.reader.set_follow(reconnects);
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
        self.writer.write_packet(packet).await
    }

    /// Sends packets in order, after the packets that were given to the [`Sink`]. Waits until at
    /// least one can be sent, and returns how many were sent.
    ///
    /// # Errors
    ///
    /// As for [`write_packet`](Self::write_packet), if no packet was sent.
    pub async fn write_packets<T: AsRef<[u8]>>(&mut self, packets: &[T]) -> Result<usize, Error> {
        self.writer.write_packets(packets).await
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
        self.writer.poll_write_packets(cx, packets)
    }

    /// Sends all packets, in order, after the packets that were given to the [`Sink`].
    ///
    /// # Errors
    ///
    /// As for [`write_packet`](Self::write_packet); the packets before the one that it is about
    /// have been sent.
    pub async fn write_all<T: AsRef<[u8]>>(&mut self, packets: &[T]) -> Result<(), Error> {
        self.writer.write_all(packets).await
    }

    /// Sends the packets that were given to the [`Sink`], and waits until the peer has read
    /// everything. It checks again after 50 µs to 1.6 ms.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`]. [`Eof::LinkDown`](crate::Eof::LinkDown) if the link went down before.
    /// Packets that the peer had not read may be lost.
    pub async fn wait_taken(&mut self, timeout: Duration) -> Result<(), Error> {
        self.writer.wait_taken(timeout).await
    }

    /// Whether the link is up. Never blocks.
    pub fn is_link_up(&self) -> bool {
        self.writer.is_link_up()
    }

    /// Returns a [`Closer`], which closes this handle from another task or thread, and wakes its
    /// reader.
    pub fn closer(&self) -> Closer {
        self.reader.closer()
    }

    /// Waits up to a second until the peer has read what was sent, then closes the handle. Packets
    /// in the cache can still be read. The interface and its link stay.
    ///
    /// # Errors
    ///
    /// As for [`wait_taken`](Self::wait_taken). The handle is closed all the same.
    pub async fn close(&mut self) -> Result<(), Error> {
        self.writer.close().await
    }

    /// Splits the handle into a reading and a writing half, for two tasks. Closing one half closes
    /// both.
    pub fn split(self) -> (AsyncPacketReader, AsyncPacketWriter) {
        (self.reader, self.writer)
    }
}

/// Works like the stream of [`AsyncPacketReader`].
impl Stream for AsyncPacketHandle {
    type Item = Result<PacketBuf, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Pin::new(&mut self.reader).poll_next(cx)
    }
}

/// Works like the sink of [`AsyncPacketWriter`].
impl<T: AsRef<[u8]>> Sink<T> for AsyncPacketHandle {
    type Error = Error;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Sink::<T>::poll_ready(Pin::new(&mut self.writer), cx)
    }

    fn start_send(mut self: Pin<&mut Self>, packet: T) -> Result<(), Error> {
        Pin::new(&mut self.writer).start_send(packet)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Sink::<T>::poll_flush(Pin::new(&mut self.writer), cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Sink::<T>::poll_close(Pin::new(&mut self.writer), cx)
    }
}

impl Memif {
    /// Waits until the link is up. Use tokio's `timeout` to limit the time. Works in any runtime.
    ///
    /// ```
    /// use memif::{Context, MemifConfig, Role};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), memif::Error> {
    /// let context = Context::new("doc")?;
    /// let socket = format!("@memif-doc-link-up-{}", std::process::id());
    /// let master = context.create_interface(MemifConfig::new(&socket).role(Role::Master))?;
    /// let slave = context.create_interface(MemifConfig::new(&socket))?;
    /// slave.link_up().await?;
    /// assert!(slave.is_link_up());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Memif`] if the master refuses this slave, or if the versions of the protocol
    /// differ. The interface keeps trying, and the caller may wait again.
    /// [`Eof::Closed`](crate::Eof::Closed) if the interface is closed.
    pub async fn link_up(&self) -> Result<(), Error> {
        self.link().until_up().await
    }
}

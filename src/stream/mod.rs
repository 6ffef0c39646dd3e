//! Packets in a [tokio](https://docs.rs/tokio) runtime: `read_packet().await`, a stream, a sink.
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
//! let mut to = AsyncPacketHandle::new(slave.packet_handle(0, 64)?)?;
//! let mut from = AsyncPacketHandle::new(master.packet_handle(0, 64)?)?;
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
//! A task that waits for packets sleeps until the peer's eventfd, the link or a
//! [`Closer`] wakes it; while packets keep coming there is no system call. Reads end
//! as those of [`PacketHandle`] do, only that an empty ring is waited out: the
//! stream returns `None` when the handle is closed, or the link is down and all that had
//! arrived was read. Told to [follow](AsyncPacketReader::set_follow) reconnects, it waits for the
//! next link instead.
//!
//! # Writing
//!
//! The protocol has no event for free space. A writer that finds the ring full tries again a few
//! times, lets other tasks run, and then sleeps: 50 µs at first, up to 1.6 ms with a peer that
//! goes on taking nothing.
//!
//! # Cancelling
//!
//! Every future here may be dropped at any time, by `select!` or a timeout: a packet
//! that was not returned is returned by the next read, and a write has sent its packet or has not.
//!
//! # Blocking
//!
//! [`Context::create_interface`](crate::Context::create_interface) and
//! [`Memif::details`](Memif::details) wait a moment for the control thread.
//! [`Memif::close`](Memif::close), and dropping the last owner of an interface, wait up to a second for a
//! peer that has not yet taken what was sent: [`AsyncPacketHandle::close`] does that waiting without
//! blocking, to be called before.
//!
//! # Other runtimes
//!
//! The types here need tokio's reactor. [`RxQueue`](crate::RxQueue) and [`PacketHandle`] implement
//! [`AsFd`](std::os::fd::AsFd), which is all that mio, async-io and a poll loop need:
//! [`RxQueue`'s](crate::RxQueue#impl-AsFd-for-RxQueue) documentation has an example.

//!
//! # Stream and sink in one
//!
//! Some programs want a device that is a stream and a sink of `Vec<u8>` with the system's errors, as
//! `tokio-smoltcp` does. Adapters make one of a handle:
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
//! let mut one = device(AsyncPacketHandle::new(slave.packet_handle(0, 64)?)?);
//! let mut other = device(AsyncPacketHandle::new(master.packet_handle(0, 64)?)?);
//! # let sent: io::Result<()> = async {
//! one.send(vec![1; 60]).await?;
//! assert_eq!(other.try_next().await?, Some(vec![1; 60]));
//! # Ok(()) }.await;
//! # sent.expect("it is sent");
//! # Ok(())
//! # }
//! ```

mod back_off;
mod batch;
mod read;
mod write;

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_core::Stream;
use futures_sink::Sink;

pub use self::read::AsyncPacketReader;
pub use self::write::AsyncPacketWriter;
use crate::error::Error;
use crate::handle::{Closer, PacketHandle};
use crate::interface::Memif;
use crate::packet::{Packet, PacketBuf};

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
/// let mut handle = AsyncPacketHandle::new(memif.packet_handle(0, 64)?)?;
/// tokio::select! {
///     packet = handle.read_packet() => println!("{} bytes", packet?.len()),
///     // The read is dropped; a packet that comes meanwhile is there for the next one.
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
    /// Makes one of a handle, whose snap length and cache it keeps. The receive mode
    /// becomes [`Interrupt`](crate::RxMode::Interrupt).
    ///
    /// # Errors
    ///
    /// [`Error::Io`] outside of a runtime, or when the system has no descriptor left;
    /// [`Eof::Closed`](crate::Eof::Closed) when the interface is closed.
    ///
    /// # Panics
    ///
    /// As everything of tokio's that waits for a descriptor: in a runtime that was built without
    /// [`enable_io`](tokio::runtime::Builder::enable_io).
    pub fn new(handle: PacketHandle) -> Result<Self, Error> {
        let (reader, writer) = handle.split();
        Ok(Self {
            reader: AsyncPacketReader::new(reader)?,
            writer: AsyncPacketWriter::new(writer),
        })
    }

    /// The next packet; valid until the next call. Waits for it while the link is up.
    ///
    /// # Errors
    ///
    /// [`Eof::LinkDown`](crate::Eof::LinkDown): the link is down and all that had
    /// arrived was read (not when reconnects are followed).
    /// [`Eof::Closed`](crate::Eof::Closed) for ever after closing.
    /// [`ErrorKind::MalformedMessage`](crate::ErrorKind::MalformedMessage) once when the peer broke
    /// the protocol. [`Error::Io`] when the runtime is shut down.
    pub async fn read_packet(&mut self) -> Result<Packet<'_>, Error> {
        self.reader.read_packet().await
    }

    /// Whether reading goes on when the link is down, waiting for the next one.
    pub fn set_follow(&mut self, reconnects: bool) {
        self.reader.set_follow(reconnects);
    }

    /// Sends a packet, after what was given to the [`Sink`]. Waits for room while the link is up.
    ///
    /// # Errors
    ///
    /// [`Eof::LinkDown`](crate::Eof::LinkDown), [`Eof::Closed`](crate::Eof::Closed): it was not sent.
    /// [`Error::Config`] for an empty packet, and one larger than the ring.
    pub async fn write_packet(&mut self, packet: &[u8]) -> Result<(), Error> {
        self.writer.write_packet(packet).await
    }

    /// Sends packets, in order, after what was given to the [`Sink`]; waits until at least one
    /// could be sent. Returns how many were.
    ///
    /// # Errors
    ///
    /// As [`write_packet`](Self::write_packet), when none was sent.
    pub async fn write_packets<T: AsRef<[u8]>>(&mut self, packets: &[T]) -> Result<usize, Error> {
        self.writer.write_packets(packets).await
    }

    /// Sends what was given to the [`Sink`], then waits until the peer has taken everything:
    /// `true`; `false` when the time is over. Looks again after 50 µs to 1.6 ms.
    ///
    /// # Errors
    ///
    /// [`Eof::LinkDown`](crate::Eof::LinkDown): what the peer had not taken may be lost.
    pub async fn wait_taken(&mut self, timeout: Duration) -> Result<bool, Error> {
        self.writer.wait_taken(timeout).await
    }

    /// Whether the link is up.
    pub fn is_link_up(&self) -> bool {
        self.writer.is_link_up()
    }

    /// A small cloneable thing that closes this handle from anywhere, and wakes its reader.
    pub fn closer(&self) -> Closer {
        self.reader.closer()
    }

    /// Waits up to a second until the peer has taken what was sent, then closes the handle.
    /// Packets in the cache can still be read.
    pub async fn close(&mut self) {
        self.writer.close().await;
    }

    /// The reading and the writing half, for two tasks. Closing one closes both.
    pub fn split(self) -> (AsyncPacketReader, AsyncPacketWriter) {
        (self.reader, self.writer)
    }
}

/// As of [`AsyncPacketReader`].
impl Stream for AsyncPacketHandle {
    type Item = Result<PacketBuf, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Pin::new(&mut self.reader).poll_next(cx)
    }
}

/// As of [`AsyncPacketWriter`].
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
    /// Waits until the link is up, without blocking; for a limit put
    /// tokio's `timeout` around it. Any runtime will do.
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
    /// As [`wait_link_up`](Self::wait_link_up).
    pub async fn link_up(&self) -> Result<(), Error> {
        self.link().until_up().await
    }
}

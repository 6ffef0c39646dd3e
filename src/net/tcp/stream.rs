//! A stream.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::super::addresses::socket_address;
use super::super::host::{Host, Net};
use super::halves::{OwnedReadHalf, OwnedWriteHalf};
use super::socket::Socket;

/// A TCP connection, made by [`Net::connect`] or
/// [`TcpListener::accept`](super::TcpListener::accept).
///
/// It works like tokio's own: reads and writes may be dropped at any time and have then done
/// nothing, or all that they would have returned. A read returns 0 when the peer has said that it
/// sends nothing more. Flushing does nothing, because what was written is sent as soon as the peer
/// and the link can take it.
///
/// A stream that is dropped is closed in the background: what was written is still sent. If the
/// peer sent what nobody has read, or sends more, the connection is reset instead, as in Linux.
///
/// ```
/// use memif::net::Net;
/// use tokio::io::{AsyncReadExt, AsyncWriteExt};
///
/// async fn fetch(net: &Net) -> std::io::Result<String> {
///     let mut stream = net.connect(([192, 168, 1, 2], 80)).await?;
///     stream.write_all(b"GET / HTTP/1.0\r\n\r\n").await?;
///     let mut page = String::new();
///     stream.read_to_string(&mut page).await?;
///     Ok(page)
/// }
/// # let _ = fetch;
/// ```
pub struct TcpStream {
    socket: Socket,
}

impl Net {
    /// Opens a connection, from the address of this host that is nearest to the other's. Dropping
    /// the future gives up.
    ///
    /// # Errors
    ///
    /// [`ConnectionRefused`](io::ErrorKind::ConnectionRefused) if nobody listens there.
    /// [`TimedOut`](io::ErrorKind::TimedOut) if nobody answers within the host's
    /// [patience](super::super::NetBuilder::patience).
    /// [`NetworkUnreachable`](io::ErrorKind::NetworkUnreachable) if there is no route.
    /// [`AddrNotAvailable`](io::ErrorKind::AddrNotAvailable) for the host's own addresses: it has
    /// no loopback. [`AddrInUse`](io::ErrorKind::AddrInUse) if no local port is free.
    /// [`NotConnected`](io::ErrorKind::NotConnected) if the host has ended.
    pub async fn connect(&self, address: impl Into<SocketAddr>) -> io::Result<TcpStream> {
        TcpStream::connect(self.host(), address.into()).await
    }
}

impl TcpStream {
    /// Takes a connection that is made.
    pub(super) fn accepted(host: &Arc<Host>, id: usize) -> Option<Self> {
        let mut state = host.lock();
        let (_, connection) = state.slots.get(id)?.tcp()?;
        let (local, peer) = (
            socket_address(connection.local),
            socket_address(connection.remote),
        );
        let socket = Socket::new(host.clone(), id, local, peer);
        Some(Self { socket })
    }

    async fn connect(host: &Arc<Host>, to: SocketAddr) -> io::Result<Self> {
        let id = host.lock().connect(to)?;
        // From here on, dropping it gives up.
        let stream = Self::accepted(host, id).ok_or(io::ErrorKind::NotConnected)?;
        poll_fn(|cx| stream.socket.poll_connected(cx)).await?;
        Ok(stream)
    }

    /// The address of this side.
    ///
    /// # Errors
    ///
    /// None; tokio's streams return a `Result` too.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.socket.local)
    }

    /// The address of the peer.
    ///
    /// # Errors
    ///
    /// None; tokio's streams return a `Result` too.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.socket.peer)
    }

    /// Whether small writes are sent at once.
    ///
    /// # Errors
    ///
    /// [`NotConnected`](io::ErrorKind::NotConnected) if the host has ended.
    pub fn nodelay(&self) -> io::Result<bool> {
        self.socket.nodelay()
    }

    /// With `true`, small writes are sent at once; otherwise (by default) they wait while something
    /// else is under way, so that they become fewer packets (Nagle's algorithm).
    ///
    /// # Errors
    ///
    /// [`NotConnected`](io::ErrorKind::NotConnected) if the host has ended.
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.socket.set_nodelay(nodelay)
    }

    /// Splits the stream into halves for two tasks. When the writing half is dropped, the peer is
    /// told that nothing more will be sent. (For two halves in one task, use `tokio::io::split`.)
    pub fn into_split(self) -> (OwnedReadHalf, OwnedWriteHalf) {
        let socket = Arc::new(self.socket);
        (
            OwnedReadHalf::new(socket.clone()),
            OwnedWriteHalf::new(socket),
        )
    }
}

impl AsyncRead for TcpStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.socket.poll_read(cx, buffer)
    }
}

impl AsyncWrite for TcpStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.socket.poll_write(cx, data)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.socket.shutdown())
    }
}

impl fmt::Debug for TcpStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TcpStream")
            .field("local", &self.socket.local)
            .field("peer", &self.socket.peer)
            .finish_non_exhaustive()
    }
}

//! The halves of a stream, for two tasks.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::socket::Socket;

/// The reading half of a [`TcpStream`](super::TcpStream), from
/// [`into_split`](super::TcpStream::into_split).
pub struct OwnedReadHalf {
    socket: Arc<Socket>,
}

/// The writing half of a [`TcpStream`](super::TcpStream), from
/// [`into_split`](super::TcpStream::into_split). When it is dropped, the peer is told that nothing
/// more will be sent.
pub struct OwnedWriteHalf {
    socket: Arc<Socket>,
}

impl OwnedReadHalf {
    pub(super) fn new(socket: Arc<Socket>) -> Self {
        Self { socket }
    }

    /// The address of the peer.
    ///
    /// # Errors
    ///
    /// None; tokio's halves return a `Result` too.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.socket.peer)
    }
}

impl OwnedWriteHalf {
    pub(super) fn new(socket: Arc<Socket>) -> Self {
        Self { socket }
    }

    /// The address of the peer.
    ///
    /// # Errors
    ///
    /// None; tokio's halves return a `Result` too.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.socket.peer)
    }
}

impl AsyncRead for OwnedReadHalf {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.socket.poll_read(cx, buffer)
    }
}

impl AsyncWrite for OwnedWriteHalf {
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

impl Drop for OwnedWriteHalf {
    fn drop(&mut self) {
        // A connection that has failed needs no goodbye.
        let _ = self.socket.shutdown();
    }
}

impl fmt::Debug for OwnedReadHalf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnedReadHalf")
            .field("peer", &self.socket.peer)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for OwnedWriteHalf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnedWriteHalf")
            .field("peer", &self.socket.peer)
            .finish_non_exhaustive()
    }
}

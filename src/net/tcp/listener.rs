//! A listener.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;

use tokio::sync::Notify;
use tokio::task::coop;

use super::super::defaults::DEFAULT_BACKLOG;
use super::super::host::{Host, Net};
use super::super::slots::Bound;
use super::stream::TcpStream;

/// Accepts connections, from [`Net::listen`].
///
/// # Backlog
///
/// Connections are made in the background and wait to be accepted. As many as the backlog may wait,
/// and as many again may be half made. Beyond that, the host does not answer peers that ask for a
/// connection, and they ask again (after a second, usually). Half-made connections are given up
/// after ten seconds, and give way to new ones after one second, so that a peer that stops asking
/// keeps nobody out for long; one that goes on takes most places that get free. Each of them has
/// its buffers already: a listener's memory is bounded by its backlog times twice the buffers of a
/// connection.
///
/// ```
/// use memif::net::Net;
///
/// async fn echo(net: &Net) -> std::io::Result<()> {
///     let listener = net.listen(([0, 0, 0, 0], 7))?;
///     loop {
///         let (stream, peer) = listener.accept().await?;
///         println!("{peer} is here");
///         tokio::spawn(async move {
///             let (mut reader, mut writer) = stream.into_split();
///             tokio::io::copy(&mut reader, &mut writer).await
///         });
///     }
/// }
/// # let _ = echo;
/// ```
pub struct TcpListener {
    host: Arc<Host>,
    bound: Bound,
    local: SocketAddr,
    notify: Arc<Notify>,
}

impl Net {
    /// Accepts connections at an address of this host, or at all of them (`0.0.0.0` and `::` both
    /// mean all, of IPv4 and IPv6). Port 0 takes a free one.
    ///
    /// # Errors
    ///
    /// [`AddrInUse`](io::ErrorKind::AddrInUse) if there is a listener already,
    /// [`AddrNotAvailable`](io::ErrorKind::AddrNotAvailable) if the host does not have the address,
    /// [`NotConnected`](io::ErrorKind::NotConnected) if the host has ended.
    pub fn listen(&self, address: impl Into<SocketAddr>) -> io::Result<TcpListener> {
        self.listen_with_backlog(address, DEFAULT_BACKLOG)
    }

    /// [`listen`](Self::listen) with another backlog than [`DEFAULT_BACKLOG`]; see [`TcpListener`].
    ///
    /// # Errors
    ///
    /// As for [`listen`](Self::listen).
    pub fn listen_with_backlog(
        &self,
        address: impl Into<SocketAddr>,
        backlog: usize,
    ) -> io::Result<TcpListener> {
        TcpListener::new(self.host(), address.into(), backlog)
    }
}

impl TcpListener {
    fn new(host: &Arc<Host>, address: SocketAddr, backlog: usize) -> io::Result<Self> {
        let (bound, notify) = host.lock().listen(address, backlog)?;
        Ok(Self {
            host: host.clone(),
            bound,
            local: SocketAddr::new(address.ip(), bound.port),
            notify,
        })
    }

    /// Waits for the next connection, and returns it with the address of its peer. Several tasks
    /// may wait. Dropping the future loses no connection.
    ///
    /// # Errors
    ///
    /// [`NotConnected`](io::ErrorKind::NotConnected) if the host has ended. A peer can't cause any.
    pub async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        coop::consume_budget().await;
        loop {
            let mut notified = pin!(self.notify.notified());
            // Before the attempt, so that no connection is missed.
            notified.as_mut().enable();
            let id = {
                let mut state = self.host.lock();
                state.works()?;
                state.accept(self.bound)
            };
            match id.and_then(|id| TcpStream::accepted(&self.host, id)) {
                Some(stream) => {
                    let peer = stream.peer_addr()?;
                    return Ok((stream, peer));
                }
                None => notified.await,
            }
        }
    }

    /// The address that it listens at, with the port that was chosen.
    ///
    /// # Errors
    ///
    /// None; tokio's listeners return a `Result` too.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.local)
    }
}

impl Drop for TcpListener {
    /// Connections that nobody has accepted are reset.
    fn drop(&mut self) {
        self.host.lock().unlisten(self.bound);
    }
}

impl fmt::Debug for TcpListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TcpListener")
            .field("local", &self.local)
            .finish_non_exhaustive()
    }
}

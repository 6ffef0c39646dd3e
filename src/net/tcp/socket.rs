//! One connection, as a stream and its halves use it.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use smoltcp::socket::tcp::{self, RecvError, State as Tcp};
use tokio::io::ReadBuf;
use tokio::task::coop;

use super::super::addresses::error;
use super::super::host::Host;
use super::super::settings::now;
use super::super::slots::{Connection, End, Event};
use super::super::state::State;

pub(super) struct Socket {
    host: Arc<Host>,
    id: usize,
    pub(super) local: SocketAddr,
    pub(super) peer: SocketAddr,
}

impl Socket {
    /// Takes the connection with this number.
    pub(super) fn new(host: Arc<Host>, id: usize, local: SocketAddr, peer: SocketAddr) -> Self {
        Self {
            host,
            id,
            local,
            peer,
        }
    }

    /// Calls `f` with the connection.
    fn with<R>(
        &self,
        state: &mut State,
        f: impl FnOnce(&mut tcp::Socket<'static>, &mut Connection) -> R,
    ) -> io::Result<R> {
        state.works()?;
        let both = state.slots.get(self.id).and_then(|slot| slot.tcp());
        // A slot is kept as long as somebody has its number.
        let (socket, connection) = both.ok_or(io::ErrorKind::NotConnected)?;
        Ok(f(socket, connection))
    }

    pub(super) fn poll_connected(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.host.lock();
        self.with(&mut state, |socket, connection| match socket.state() {
            Tcp::SynSent | Tcp::SynReceived => {
                wait(&mut connection.writer, cx);
                Poll::Pending
            }
            Tcp::Closed => Poll::Ready(Err(ended(connection))),
            _ => Poll::Ready(Ok(())),
        })?
    }

    pub(super) fn poll_read(
        &self,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let turn = std::task::ready!(coop::poll_proceed(cx));
        let mut state = self.host.lock();
        let read = self.with(&mut state, |socket, connection| {
            if buffer.remaining() == 0 {
                return Poll::Ready(Ok(0));
            }
            if !socket.can_recv() && socket.may_recv() {
                wait(&mut connection.reader, cx);
                return Poll::Pending;
            }
            match socket.recv_slice(buffer.initialize_unfilled()) {
                Ok(length) => Poll::Ready(Ok(length)),
                Err(RecvError::Finished) => Poll::Ready(Ok(0)),
                Err(RecvError::InvalidState) => Poll::Ready(Err(ended(connection))),
            }
        })?;
        if read.is_ready() {
            turn.made_progress();
        }
        read.map_ok(|length| {
            buffer.advance(length);
            if length > 0 {
                state.kick_if_due(self.id);
            }
        })
    }

    pub(super) fn poll_write(&self, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let turn = std::task::ready!(coop::poll_proceed(cx));
        let mut state = self.host.lock();
        let written = self.with(&mut state, |socket, connection| {
            if connection.closing || !socket.may_send() {
                return Poll::Ready(Err(match connection.end {
                    Some(End::Reset | End::Refused | End::TimedOut) => ended(connection),
                    _ => error(io::ErrorKind::BrokenPipe, "this side has been shut down"),
                }));
            }
            if data.is_empty() {
                return Poll::Ready(Ok(0));
            }
            match socket.send_slice(data) {
                Ok(0) => {
                    wait(&mut connection.writer, cx);
                    Poll::Pending
                }
                Ok(length) => Poll::Ready(Ok(length)),
                Err(_) => Poll::Ready(Err(ended(connection))),
            }
        })?;
        if let Poll::Ready(Ok(1..)) = written {
            state.kick(self.id);
        }
        if written.is_ready() {
            turn.made_progress();
        }
        written
    }

    /// Says that nothing more will be sent, after what was.
    pub(super) fn shutdown(&self) -> io::Result<()> {
        let mut state = self.host.lock();
        let done = self.with(&mut state, |socket, connection| match connection.end {
            Some(End::Reset | End::Refused | End::TimedOut) => Err(ended(connection)),
            _ => {
                connection.close(socket);
                Ok(())
            }
        })?;
        state.settle(self.id, now(), Event::Other);
        state.kick(self.id);
        done
    }

    pub(super) fn nodelay(&self) -> io::Result<bool> {
        let mut state = self.host.lock();
        self.with(&mut state, |socket, _| !socket.nagle_enabled())
    }

    pub(super) fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        let mut state = self.host.lock();
        self.with(&mut state, |socket, _| socket.set_nagle_enabled(!nodelay))
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.host.lock().release(self.id);
    }
}

fn wait(waiting: &mut Option<Waker>, cx: &Context<'_>) {
    match waiting {
        Some(waker) => waker.clone_from(cx.waker()),
        None => *waiting = Some(cx.waker().clone()),
    }
}

/// Why nothing can be read or written any more.
fn ended(connection: &Connection) -> io::Error {
    match connection.end {
        Some(End::Refused) => error(
            io::ErrorKind::ConnectionRefused,
            "the peer refuses the connection",
        ),
        Some(End::Reset) => error(
            io::ErrorKind::ConnectionReset,
            "the peer has reset the connection",
        ),
        Some(End::TimedOut) => error(io::ErrorKind::TimedOut, "the peer does not answer"),
        Some(End::Done) | None => error(io::ErrorKind::NotConnected, "the connection is closed"),
    }
}

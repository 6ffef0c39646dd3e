//! Waits for any receive queue of an interface.

use std::collections::VecDeque;
use std::io;
use std::os::fd::AsRawFd;
use std::time::Duration;

use super::conn::Conn;
use super::epoll::{self, Epoll, Token, Waker};

/// The descriptors of all receive queues of an interface, and a waker.
#[derive(Debug)]
pub(crate) struct QueueFds(Epoll);

/// No queue has this id.
const WAKER: Token = Token::MAX;

impl QueueFds {
    pub(crate) fn new(conn: &Conn, queues: u16, waker: &Waker) -> io::Result<Self> {
        let epoll = Epoll::new()?;
        let add = |fd, token| epoll::control(epoll.as_raw_fd(), libc::EPOLL_CTL_ADD, fd, token);
        add(waker.as_raw_fd(), WAKER)?;
        for id in 0..queues {
            if let Some(fd) = conn.rx_fd(id) {
                add(fd.as_raw_fd(), id.into())?;
            }
        }
        Ok(Self(epoll))
    }

    /// Waits (`None`: no timeout) and adds the ids of queues that are ready. Returns whether
    /// anything happened.
    pub(crate) fn wait(
        &self,
        timeout: Option<Duration>,
        waker: &Waker,
        ready: &mut VecDeque<u16>,
    ) -> io::Result<bool> {
        let mut tokens = [0; 32];
        // Rounded up, so that the caller does not spin in the last millisecond.
        let timeout = timeout.map_or(-1, |t| {
            i32::try_from(t.as_nanos().div_ceil(1_000_000)).unwrap_or(i32::MAX)
        });
        let n = self.0.wait(&mut tokens, timeout)?;
        for &token in &tokens[..n] {
            match u16::try_from(token) {
                Ok(id) => ready.push_back(id),
                Err(_) => waker.clear(),
            }
        }
        Ok(n > 0)
    }
}

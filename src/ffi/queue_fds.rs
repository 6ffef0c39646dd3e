//! Waits for any receive queue of an interface.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::time::Duration;

use super::conn::Conn;
use super::epoll::{self, Epoll, Token, Waker};

/// The descriptors of all receive queues of an interface, and a waker.
#[derive(Debug)]
pub(crate) struct QueueFds {
    epoll: Epoll,
    /// How many queues are watched.
    queues: u8,
}

/// No queue has this id.
const WAKER: Token = Token::MAX;

fn add(epoll: &Epoll, fd: RawFd, token: Token) -> io::Result<()> {
    epoll::control(epoll.as_raw_fd(), libc::EPOLL_CTL_ADD, fd, token)
}

impl QueueFds {
    pub(crate) fn new(waker: &Waker) -> io::Result<Self> {
        let epoll = Epoll::new()?;
        add(&epoll, waker.as_raw_fd(), WAKER)?;
        Ok(Self { epoll, queues: 0 })
    }

    /// Watches so many queues from now on, and never fewer again.
    pub(crate) fn watch(&mut self, conn: &Conn, queues: u8) -> io::Result<()> {
        while self.queues < queues {
            add(
                &self.epoll,
                conn.rx_fd(self.queues)?.as_raw_fd(),
                self.queues.into(),
            )?;
            self.queues += 1;
        }
        Ok(())
    }

    /// Waits (`None`: no timeout) and adds the ids of queues that are ready. Returns whether
    /// anything happened.
    pub(crate) fn wait(
        &self,
        timeout: Option<Duration>,
        waker: &Waker,
        ready: &mut VecDeque<u8>,
    ) -> io::Result<bool> {
        let mut tokens = [0; 32];
        // Rounded up, so that the caller does not spin in the last millisecond.
        let timeout = timeout.map_or(-1, |t| {
            i32::try_from(t.as_nanos().div_ceil(1_000_000)).unwrap_or(i32::MAX)
        });
        let n = self.epoll.wait(&mut tokens, timeout)?;
        for &token in &tokens[..n] {
            match u8::try_from(token) {
                Ok(id) => ready.push_back(id),
                Err(_) => waker.clear(),
            }
        }
        Ok(n > 0)
    }
}

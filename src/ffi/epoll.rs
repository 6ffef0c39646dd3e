//! epoll and eventfd, as much as the control loop needs.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

use super::conn::Conn;

/// The `u64` that a descriptor was added with.
pub(super) type Token = u64;

#[derive(Debug)]
pub(super) struct Epoll(OwnedFd);

impl Epoll {
    pub(super) fn new() -> io::Result<Self> {
        // SAFETY: takes no pointers.
        let fd = check(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
        // SAFETY: just made, and nobody else's.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Waits for readable descriptors, at most so many milliseconds (−1: no limit); a
    /// signal makes it return none.
    pub(super) fn wait(&self, tokens: &mut [Token; 32], timeout_ms: i32) -> io::Result<usize> {
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; 32];
        // SAFETY: the array has room for as many events as are asked for.
        let n = unsafe {
            libc::epoll_wait(
                self.0.as_raw_fd(),
                events.as_mut_ptr(),
                events.len() as i32,
                timeout_ms,
            )
        };
        let n = match check(n) {
            Ok(n) => n as usize,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => 0,
            Err(e) => return Err(e),
        };
        for (token, event) in tokens.iter_mut().zip(&events[..n]) {
            *token = event.u64;
        }
        Ok(n)
    }
}

impl AsRawFd for Epoll {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

/// The descriptors of all receive queues of an interface, and a waker.
#[derive(Debug)]
pub(crate) struct QueueFds(Epoll);

/// No queue has such an id.
const WAKER: Token = Token::MAX;

impl QueueFds {
    pub(crate) fn new(conn: &Conn, queues: u16, waker: &Waker) -> io::Result<Self> {
        let epoll = Epoll::new()?;
        let add = |fd, token| control(epoll.as_raw_fd(), libc::EPOLL_CTL_ADD, fd, token);
        add(waker.as_raw_fd(), WAKER)?;
        for id in 0..queues {
            if let Some(fd) = conn.rx_fd(id) {
                add(fd.as_raw_fd(), id.into())?;
            }
        }
        Ok(Self(epoll))
    }

    /// Waits (`None`: no limit) and adds the ids of queues that are ready; whether anything happened.
    pub(crate) fn wait(
        &self,
        timeout: Option<Duration>,
        waker: &Waker,
        ready: &mut VecDeque<u16>,
    ) -> io::Result<bool> {
        let mut tokens = [0; 32];
        // Rounded up, so that nobody looks again and again in the last millisecond.
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

/// Adds, or removes, a descriptor whose owner outlives its registration.
pub(super) fn control(epoll: RawFd, op: libc::c_int, fd: RawFd, token: Token) -> io::Result<()> {
    let mut event = libc::epoll_event {
        events: libc::EPOLLIN as u32,
        u64: token,
    };
    // SAFETY: the event lives across the call; the kernel checks both descriptors.
    check(unsafe { libc::epoll_ctl(epoll, op, fd, &mut event) }).map(drop)
}

/// Wakes the control loop from any thread.
#[derive(Debug)]
pub(crate) struct Waker(OwnedFd);

impl Waker {
    pub(crate) fn new() -> io::Result<Self> {
        // SAFETY: takes no pointers.
        let fd = check(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) })?;
        // SAFETY: just made, and nobody else's.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Ends the loop's present or next wait.
    pub(crate) fn wake(&self) {
        let one = 1u64.to_ne_bytes();
        // SAFETY: eight bytes are read from a live array. Full means that it is awake already.
        unsafe { libc::write(self.0.as_raw_fd(), one.as_ptr().cast(), one.len()) };
    }

    pub(super) fn clear(&self) {
        let mut count = [0u8; 8];
        // SAFETY: eight bytes are written to a live array. Empty is as good as cleared.
        unsafe { libc::read(self.0.as_raw_fd(), count.as_mut_ptr().cast(), count.len()) };
    }
}

impl AsFd for Waker {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for Waker {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

pub(super) fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}

//! Descriptors in tokio's reactor.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::epoll::check;

/// A descriptor whose readability a task can wait for.
#[derive(Debug)]
pub(crate) struct Readable(AsyncFd<OwnedFd>);

impl Readable {
    /// Registers the descriptor with the current runtime.
    pub(crate) fn new(fd: OwnedFd) -> io::Result<Self> {
        tokio::runtime::Handle::try_current().map_err(io::Error::other)?;
        // SAFETY: an OwnedFd is open, and the same, until it is dropped. It is owned by the
        // AsyncFd, and nobody gets it out or a `&mut` to it: the field is private.
        let registered = unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE) };
        registered.map(Self).map_err(|e| e.into_parts().1)
    }

    /// Tries while the descriptor may be readable, until an attempt succeeds. Only an attempt that
    /// found nothing (`None`) makes it wait for the next event.
    pub(crate) fn poll<R>(
        &self,
        cx: &mut Context<'_>,
        mut attempt: impl FnMut() -> Option<R>,
    ) -> Poll<io::Result<R>> {
        loop {
            // Before the attempt, so that an event that comes during it is not cleared.
            let mut guard = ready!(self.0.poll_read_ready(cx))?;
            match attempt() {
                Some(result) => return Poll::Ready(Ok(result)),
                None => guard.clear_ready(),
            }
        }
    }
}

/// A timer of the kernel, because tokio's timers count whole milliseconds.
#[derive(Debug)]
pub(crate) struct Timer(Readable);

impl Timer {
    pub(crate) fn new() -> io::Result<Self> {
        let flags = libc::TFD_NONBLOCK | libc::TFD_CLOEXEC;
        // SAFETY: takes no pointers.
        let fd = check(unsafe { libc::timerfd_create(libc::CLOCK_MONOTONIC, flags) })?;
        // SAFETY: just made, and nobody else's.
        Readable::new(unsafe { OwnedFd::from_raw_fd(fd) }).map(Self)
    }

    /// Starts the timer. It fires once, after this time, in place of what was set before.
    pub(crate) fn start(&self, after: Duration) -> io::Result<()> {
        let never = libc::timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        let spec = libc::itimerspec {
            it_interval: never,
            it_value: libc::timespec {
                tv_sec: after.as_secs().min(i32::MAX as u64) as _,
                // No time at all would stop it.
                tv_nsec: after.subsec_nanos().max(1).into(),
            },
        };
        let fd = self.0.0.as_raw_fd();
        // SAFETY: a descriptor that is owned here; `spec` outlives the call.
        check(unsafe { libc::timerfd_settime(fd, 0, &spec, ptr::null_mut()) }).map(drop)
    }

    /// Ready when the timer has fired since it was started.
    pub(crate) fn poll(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let fd = self.0.0.as_raw_fd();
        self.0.poll(cx, || {
            let mut times = [0u8; 8];
            // SAFETY: eight bytes are written to a live array.
            let n = unsafe { libc::read(fd, times.as_mut_ptr().cast(), times.len()) };
            (n > 0).then_some(())
        })
    }
}

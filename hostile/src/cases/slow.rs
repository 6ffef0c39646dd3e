//! Descriptors whose last close waits for the attacker.

use std::any::Any;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use nix::libc::linger;
use nix::sys::socket::{setsockopt, sockopt};

use super::fuse::Fuse;
use crate::peer::Fd;
use crate::target::Target;

/// Descriptors that nobody has closed yet, and what their close waits for.
pub(crate) struct Slow {
    pub(crate) fds: Vec<Fd>,
    /// The other ends, which read nothing; or a daemon that answers nothing until it goes.
    waits_for: Option<Box<dyn Any>>,
    are_files: bool,
    closing: Vec<JoinHandle<()>>,
}

impl Slow {
    /// Sockets that linger for an hour over a full buffer.
    pub(crate) fn sockets(_: &Target, count: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (fds, readers): (Vec<_>, Vec<TcpStream>) = (0..count)
            .map(|_| {
                let mut socket = TcpStream::connect(address).unwrap();
                let (reader, _) = listener.accept().unwrap();
                setsockopt(&socket, sockopt::SndBuf, &4096).unwrap();
                setsockopt(&reader, sockopt::RcvBuf, &4096).unwrap();
                let an_hour = linger {
                    l_onoff: 1,
                    l_linger: 3600,
                };
                setsockopt(&socket, sockopt::Linger, &an_hour).unwrap();
                socket.set_nonblocking(true).unwrap();
                while socket.write(&[0; 4096]).is_ok() {}
                (Arc::new(OwnedFd::from(socket)), reader)
            })
            .unzip();
        Self {
            fds,
            waits_for: Some(Box::new(readers)),
            are_files: false,
            closing: Vec::new(),
        }
    }

    /// Files of a daemon that has stopped answering. Sockets where none can be mounted.
    pub(crate) fn files(target: &Target, count: usize) -> Self {
        let Some((fuse, files)) = Fuse::files(target, count) else {
            return Self::sockets(target, count);
        };
        let fds = files.into_iter().map(|file| Arc::new(file.into()));
        let fds = fds.collect();
        Self {
            fds,
            waits_for: Some(Box::new(fuse)),
            are_files: true,
            closing: Vec::new(),
        }
    }

    /// Sends them, and leaves the last close to the other side: nothing comes between the two.
    /// Where the other was faster all the same, it is a thread here that waits.
    pub(crate) fn send(&mut self, send: impl FnOnce(&[Fd]) + Send + 'static) {
        let fds = std::mem::take(&mut self.fds);
        self.closing.push(thread::spawn(move || {
            send(&fds);
            drop(fds);
        }));
    }

    /// Whether the last close is the other side's: nobody waits here. Files wait at every close.
    pub(crate) fn is_left(&self) -> bool {
        self.are_files || self.closing.iter().all(JoinHandle::is_finished)
    }
}

impl Drop for Slow {
    fn drop(&mut self) {
        self.send(|_| {});
        drop(self.waits_for.take());
        for closing in self.closing.drain(..) {
            let _ = closing.join();
        }
    }
}

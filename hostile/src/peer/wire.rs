//! One end of a control channel: any bytes, any descriptors.

use std::cell::Cell;
use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType, UnixAddr,
    connect, getsockopt, recvmsg, sendmsg, socket, socketpair, sockopt,
};

use super::*;

/// What came.
#[derive(Debug)]
pub struct Received {
    pub message: Message,
    pub fds: Vec<OwnedFd>,
}

/// One end of a control channel.
#[derive(Debug)]
pub struct Wire(pub OwnedFd);

pub(super) fn address(path: &str) -> UnixAddr {
    match path.strip_prefix('@') {
        Some(name) => UnixAddr::new_abstract(name.as_bytes()),
        None => UnixAddr::new(path),
    }
    .expect("an address")
}

pub(super) fn seqpacket() -> OwnedFd {
    let flags = SockFlag::SOCK_CLOEXEC;
    socket(AddressFamily::Unix, SockType::SeqPacket, flags, None).expect("a socket")
}

pub(super) fn is_readable(fd: &OwnedFd) -> bool {
    let mut fds = [PollFd::new(fd.as_fd(), PollFlags::POLLIN)];
    poll(&mut fds, PollTimeout::ZERO).expect("poll") > 0
}

/// Waits for something to read; panics when it never comes.
pub(super) fn wait_readable(fd: &OwnedFd, what: &str) {
    let mut fds = [PollFd::new(fd.as_fd(), PollFlags::POLLIN)];
    let limit = PollTimeout::try_from(patience()).unwrap();
    loop {
        match poll(&mut fds, limit) {
            Err(Errno::EINTR) => {}
            result => {
                if result.expect("poll") == 0 {
                    panic!("this never came: {what}");
                }
                return;
            }
        }
    }
}

impl Wire {
    pub fn connect(path: impl AsRef<Path>) -> Self {
        Self::try_connect(path).expect("connecting")
    }

    pub fn try_connect(path: impl AsRef<Path>) -> Result<Self, Errno> {
        let wire = Self::unconnected();
        wire.connect_to(path).map(|()| wire)
    }

    /// Whether a message, or the channel's end, is there.
    pub fn is_readable(&self) -> bool {
        let mut fds = [PollFd::new(self.0.as_fd(), PollFlags::POLLIN)];
        poll(&mut fds, PollTimeout::ZERO).expect("poll") != 0
    }

    /// The process at the other end.
    pub fn peer(&self) -> Option<u32> {
        let peer = getsockopt(&self.0, sockopt::PeerCredentials).ok()?;
        peer.pid().try_into().ok()
    }

    /// Two ends of a channel that nobody listens to.
    pub fn pair() -> (Self, Self) {
        let flags = SockFlag::SOCK_CLOEXEC;
        let pair = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags);
        let (one, other) = pair.expect("a pair of sockets");
        (Self(one), Self(other))
    }

    /// Its descriptor, for when there will be none.
    pub fn unconnected() -> Self {
        Self(seqpacket())
    }

    pub fn connect_to(&self, path: impl AsRef<Path>) -> Result<(), Errno> {
        connect(
            self.0.as_raw_fd(),
            &address(&path.as_ref().to_string_lossy()),
        )
    }

    /// Sends any bytes with any descriptors. An error means that the peer has closed.
    pub fn send_bytes(&self, bytes: &[u8], fds: &[Fd]) -> Result<(), Errno> {
        let raw: Vec<_> = fds.iter().map(|fd| fd.as_raw_fd()).collect();
        let rights = [ControlMessage::ScmRights(&raw)];
        let control = if raw.is_empty() { &[][..] } else { &rights };
        let sent = sendmsg::<UnixAddr>(
            self.0.as_raw_fd(),
            &[IoSlice::new(bytes)],
            control,
            MsgFlags::MSG_NOSIGNAL,
            None,
        )?;
        assert_eq!(sent, bytes.len());
        Ok(())
    }

    #[track_caller]
    pub fn send(&self, message: &Message) {
        self.send_bytes(&message.0, &[]).expect("sending");
    }

    #[track_caller]
    pub fn send_with(&self, message: &Message, fds: &[Fd]) {
        self.send_bytes(&message.0, fds).expect("sending");
    }

    /// The next message; `None` when the peer has closed.
    pub fn receive(&self) -> Option<Received> {
        wait_readable(&self.0, "a message, or the channel's end");
        self.take().expect("receiving")
    }

    /// As [`Wire::receive`], without waiting: fails with `EAGAIN` when there is nothing, as when
    /// somebody else who has this socket has taken it.
    pub fn take(&self) -> Result<Option<Received>, Errno> {
        let mut bytes = [0; 256];
        let mut control = nix::cmsg_space!([std::os::fd::RawFd; 16]);
        let mut iov = [IoSliceMut::new(&mut bytes)];
        let got = match recvmsg::<UnixAddr>(
            self.0.as_raw_fd(),
            &mut iov,
            Some(&mut control),
            MsgFlags::MSG_CMSG_CLOEXEC,
        ) {
            Ok(got) => got,
            // It closed without reading all of ours; what it said before is still there.
            Err(Errno::ECONNRESET) => return self.take(),
            Err(e) => return Err(e),
        };
        let mut fds = Vec::new();
        for message in got.cmsgs().expect("control messages") {
            if let ControlMessageOwned::ScmRights(raw) = message {
                // SAFETY: the kernel has just made these descriptors for us; nobody else has them.
                fds.extend(raw.iter().map(|fd| unsafe { OwnedFd::from_raw_fd(*fd) }));
            }
        }
        let length = got.bytes;
        if length == 0 {
            return Ok(None);
        }
        assert_eq!(length, 128, "a message has 128 bytes");
        let message = Message(bytes[..128].try_into().unwrap());
        if message.kind() == DISCONNECT {
            LAST_REFUSAL.set(Some(message.reason()));
        }
        Ok(Some(Received { message, fds }))
    }

    /// Reads until the peer has closed.
    pub fn wait_hang_up(&self) {
        while self.receive().is_some() {}
    }

    /// The next message, which must be of this kind.
    #[track_caller]
    pub fn expect(&self, kind: u16) -> Received {
        let received = self.receive().expect("a message, not the channel's end");
        if kind != DISCONNECT && received.message.kind() == DISCONNECT {
            panic!("expected {kind}, refused: {}", received.message.reason());
        }
        assert_eq!(received.message.kind(), kind, "the message's type");
        received
    }

    /// The peer says why it ends the link, and ends it.
    #[track_caller]
    pub fn expect_refusal(&self) -> Refusal {
        let message = self.expect(DISCONNECT).message;
        assert!(self.receive().is_none(), "nothing follows DISCONNECT");
        let refusal = Refusal {
            code: message.u32(at::DISCONNECT_CODE),
            reason: message.reason(),
        };
        assert!(!refusal.reason.is_empty(), "a reason is given");
        assert_eq!(message.0[at::DISCONNECT_REASON + 96..], [0; 26]);
        refusal
    }

    /// Sends, and is refused: the reason.
    #[track_caller]
    pub fn refused(&self, message: &Message) -> Refusal {
        self.send(message);
        self.expect_refusal()
    }
}

thread_local! {
    static LAST_REFUSAL: Cell<Option<String>> = const { Cell::new(None) };
}

/// What the last DISCONNECT on this thread said, since it was asked for.
pub fn last_refusal() -> Option<String> {
    LAST_REFUSAL.take()
}

/// What a DISCONNECT said.
#[derive(Debug)]
pub struct Refusal {
    pub code: u32,
    pub reason: String,
}

impl Refusal {
    #[track_caller]
    pub fn says(&self, words: &str) {
        assert!(self.reason.contains(words), "{self:?}: no '{words}'");
    }
}

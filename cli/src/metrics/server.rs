//! Answers on sockets, all in the thread of events: few connections, each for a short time.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags};

use crate::events::Task;

/// Connections at a time; the one that has said nothing for longest makes room for the next.
const MOST: usize = 16;
/// How long a connection may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// No request that we answer is longer.
const LONGEST: usize = 8 << 10;

pub(super) trait Listener: AsFd + Send {
    type Stream: Read + Write + AsFd + Send;

    fn start(&self) -> io::Result<()>;
    fn next(&self) -> io::Result<Self::Stream>;
}

impl Listener for TcpListener {
    type Stream = TcpStream;

    fn start(&self) -> io::Result<()> {
        self.set_nonblocking(true)
    }

    fn next(&self) -> io::Result<TcpStream> {
        let stream = self.accept()?.0;
        stream.set_nonblocking(true)?;
        Ok(stream)
    }
}

impl Listener for UnixListener {
    type Stream = UnixStream;

    fn start(&self) -> io::Result<()> {
        self.set_nonblocking(true)
    }

    fn next(&self) -> io::Result<UnixStream> {
        let stream = self.accept()?.0;
        stream.set_nonblocking(true)?;
        Ok(stream)
    }
}

/// What is answered to a request; `None` as long as it is not whole.
pub(super) type Answer = Box<dyn FnMut(&[u8]) -> Option<Vec<u8>> + Send>;

pub(super) struct Server<L: Listener> {
    listener: L,
    answer: Answer,
    connections: Vec<Connection<L::Stream>>,
}

struct Connection<S> {
    stream: S,
    until: Instant,
    request: Vec<u8>,
    /// What is left to be written, once the request has been read.
    reply: Option<Vec<u8>>,
}

impl<L: Listener> Server<L> {
    pub(super) fn new(listener: L, answer: Answer) -> io::Result<Self> {
        listener.start()?;
        Ok(Self {
            listener,
            answer,
            connections: Vec::new(),
        })
    }
}

impl<L: Listener> Task for Server<L> {
    fn polled<'a>(&'a self, fds: &mut Vec<PollFd<'a>>) {
        fds.push(PollFd::new(self.listener.as_fd(), PollFlags::POLLIN));
        fds.extend(self.connections.iter().map(|connection| {
            let flags = match connection.reply {
                None => PollFlags::POLLIN,
                Some(_) => PollFlags::POLLOUT,
            };
            PollFd::new(connection.stream.as_fd(), flags)
        }));
    }

    fn deadline(&self) -> Option<Instant> {
        self.connections
            .iter()
            .map(|connection| connection.until)
            .min()
    }

    fn run(&mut self, _ready: bool) -> bool {
        let now = Instant::now();
        while let Ok(stream) = self.listener.next() {
            if self.connections.len() >= MOST {
                self.connections.remove(0);
            }
            self.connections.push(Connection {
                stream,
                until: now + PATIENCE,
                request: Vec::new(),
                reply: None,
            });
        }
        let answer = &mut self.answer;
        self.connections
            .retain_mut(|connection| connection.goes_on(answer) && connection.until > now);
        true
    }
}

impl<S: Read + Write> Connection<S> {
    fn goes_on(&mut self, answer: &mut Answer) -> bool {
        if self.reply.is_none() {
            self.reply = answer(&self.request);
        }
        while self.reply.is_none() && self.request.len() < LONGEST {
            let mut bytes = [0; 1024];
            match self.stream.read(&mut bytes) {
                Ok(0) => return false,
                Ok(count) => self.request.extend_from_slice(&bytes[..count]),
                Err(e) => return is_for_now(&e),
            }
            self.reply = answer(&self.request);
        }
        let Some(reply) = &mut self.reply else {
            return false;
        };
        while !reply.is_empty() {
            match self.stream.write(reply) {
                Ok(count) => drop(reply.drain(..count)),
                Err(e) => return is_for_now(&e),
            }
        }
        false
    }
}

fn is_for_now(error: &io::Error) -> bool {
    use io::ErrorKind::{Interrupted, WouldBlock};
    matches!(error.kind(), Interrupted | WouldBlock)
}

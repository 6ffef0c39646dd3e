//! A recording that is served over TCP, to any number of readers.
//!
//! Each reader has a thread and a queue of its own. One that does not keep up is dropped, and holds
//! nobody up.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::lock::lock;
use crate::report::{count, notice_later};

/// Bytes that may wait for one reader.
const MOST: usize = 16 << 20;
/// Readers at a time.
const READERS: usize = 64;
/// How long readers have for the rest, at the end.
const PATIENCE: Duration = Duration::from_secs(2);

const SECTION: u32 = 0x0a0d_0d0a;
const INTERFACE: u32 = 1;
/// Of a pcap file.
const FILE_HEADER: usize = 24;

/// Where the packets are written to. Clones are the same.
#[derive(Clone)]
pub(super) struct Server(Arc<Shared>);

#[derive(Default)]
struct Shared {
    readers: Mutex<Readers>,
    /// A reader has gone.
    gone: Condvar,
}

#[derive(Default)]
struct Readers {
    /// What each of them gets first.
    header: Vec<u8>,
    is_pcapng: bool,
    connected: Vec<Arc<Reader>>,
    served: u64,
    too_slow: u64,
    ended: bool,
}

struct Reader {
    stream: TcpStream,
    address: SocketAddr,
    queue: Mutex<Queue>,
    more: Condvar,
}

#[derive(Default)]
struct Queue {
    chunks: VecDeque<Arc<[u8]>>,
    bytes: usize,
    ended: bool,
}

impl Server {
    pub(super) fn listen(address: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        let address = listener.local_addr()?;
        let this = Self(Arc::default());
        let server = this.clone();
        thread::Builder::new()
            .name("readers".into())
            .spawn(move || server.accept(&listener))?;
        notice_later(format_args!("Packets are served on {address}"));
        Ok(this)
    }

    fn accept(&self, listener: &TcpListener) {
        loop {
            let Ok((stream, address)) = listener.accept() else {
                // As without descriptors.
                thread::sleep(Duration::from_millis(100));
                continue;
            };
            let reader = Arc::new(Reader {
                stream,
                address,
                queue: Mutex::default(),
                more: Condvar::new(),
            });
            let mut readers = lock(&self.0.readers);
            if readers.ended {
                return;
            }
            if readers.connected.len() >= READERS {
                // Without packets nobody notices who has gone.
                readers.connected.retain(|other| !other.has_gone());
            }
            if readers.connected.len() >= READERS {
                notice_later(format_args!(
                    "{address} was refused, as {READERS} readers are connected"
                ));
                continue;
            }
            reader.put(&Arc::from(&readers.header[..]));
            let (server, this) = (self.clone(), Arc::clone(&reader));
            let started = thread::Builder::new().spawn(move || {
                this.send();
                let mut readers = lock(&server.0.readers);
                readers.connected.retain(|other| !Arc::ptr_eq(other, &this));
                server.0.gone.notify_all();
            });
            if started.is_ok() {
                readers.connected.push(reader);
                readers.served += 1;
            }
        }
    }

    /// Lets the readers have what they were sent, for a while.
    pub(super) fn end(&self) {
        let mut readers = lock(&self.0.readers);
        readers.ended = true;
        readers.connected.iter().for_each(|reader| reader.end());
        let deadline = Instant::now() + PATIENCE;
        while !readers.connected.is_empty() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let woken = self.0.gone.wait_timeout(readers, left);
            readers = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
        let late = std::mem::take(&mut readers.connected);
        late.iter().for_each(|reader| reader.hang_up());
        readers.too_slow += late.len() as u64;
    }

    pub(super) fn what_was_done(&self) -> String {
        let readers = lock(&self.0.readers);
        let served = count(readers.served, "reader");
        match readers.too_slow {
            0 => format!("; {served}"),
            slow => format!("; {served}, of which {slow} dropped as too slow"),
        }
    }
}

/// Each call has whole records, and takes them all.
impl Write for Server {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut readers = lock(&self.0.readers);
        readers.learn_header(bytes);
        if !readers.connected.is_empty() {
            let chunk = Arc::from(bytes);
            let (kept, slow) = std::mem::take(&mut readers.connected)
                .into_iter()
                .partition(|reader: &Arc<Reader>| reader.put(&chunk));
            readers.connected = kept;
            for reader in slow {
                reader.hang_up();
                readers.too_slow += 1;
                let address = reader.address;
                notice_later(format_args!("{address} reads too slowly and was dropped"));
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Readers {
    fn learn_header(&mut self, mut bytes: &[u8]) {
        let number = |bytes: &[u8], at: usize| {
            let bytes = bytes.get(at..)?.first_chunk()?;
            Some(u32::from_ne_bytes(*bytes))
        };
        if self.header.is_empty() {
            self.is_pcapng = number(bytes, 0) == Some(SECTION);
            if !self.is_pcapng {
                self.header = bytes[..bytes.len().min(FILE_HEADER)].to_vec();
            }
        }
        while self.is_pcapng
            && let (Some(kind), Some(length)) = (number(bytes, 0), number(bytes, 4))
            && let Some((block, rest)) = bytes.split_at_checked(length as usize)
            && !block.is_empty()
        {
            if matches!(kind, SECTION | INTERFACE) {
                self.header.extend_from_slice(block);
            }
            bytes = rest;
        }
    }
}

impl Reader {
    /// False when it does not keep up.
    fn put(&self, chunk: &Arc<[u8]>) -> bool {
        let mut queue = lock(&self.queue);
        queue.bytes += chunk.len();
        queue.chunks.push_back(Arc::clone(chunk));
        self.more.notify_one();
        queue.bytes <= MOST
    }

    fn end(&self) {
        lock(&self.queue).ended = true;
        self.more.notify_one();
    }

    fn hang_up(&self) {
        let _ = self.stream.shutdown(Shutdown::Both); // it may have gone by itself
        self.end();
    }

    /// Whether it has closed its end, which then ends ours.
    fn has_gone(&self) -> bool {
        let mut fds = [PollFd::new(self.stream.as_fd(), PollFlags::POLLIN)];
        let readable = poll(&mut fds, PollTimeout::ZERO).is_ok_and(|ready| ready > 0);
        let gone = readable && !matches!(self.stream.peek(&mut [0]), Ok(1..));
        if gone {
            self.hang_up();
        }
        gone
    }

    /// Until the end, or the reader has gone.
    fn send(&self) {
        let mut stream = &self.stream;
        loop {
            let mut queue = lock(&self.queue);
            let chunk = loop {
                match queue.chunks.pop_front() {
                    Some(chunk) => break chunk,
                    None if queue.ended => return,
                    None => {
                        let woken = self.more.wait(queue);
                        queue = woken.unwrap_or_else(PoisonError::into_inner);
                    }
                }
            };
            drop(queue);
            if stream.write_all(&chunk).is_err() {
                return;
            }
            lock(&self.queue).bytes -= chunk.len();
        }
    }
}

//! A peer that speaks the wire by hand, as slave and as master, and may deviate at each step.
//!
//! A slave is a [`Plan`]: the messages it will send, ready to be bent before [`Plan::run`] sends
//! them. A [`Master`] accepts and goes up to the [`Stage`] it is told; from there a test goes on by
//! hand with the [`Wire`]. Both end as a [`Link`], whose rings and memory are open to any abuse.

// Each test program uses a part of it.
#![allow(dead_code)]

use std::io::{IoSlice, IoSliceMut};
use std::num::NonZeroUsize;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU16, AtomicU32, Ordering, fence};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};
use nix::sys::socket::{
    AddressFamily, Backlog, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType,
    UnixAddr, accept4, bind, connect, listen, recvmsg, sendmsg, socket,
};
use nix::unistd::ftruncate;

pub(crate) const ACK: u16 = 1;
pub(crate) const HELLO: u16 = 2;
pub(crate) const INIT: u16 = 3;
pub(crate) const ADD_REGION: u16 = 4;
pub(crate) const ADD_RING: u16 = 5;
pub(crate) const CONNECT: u16 = 6;
pub(crate) const CONNECTED: u16 = 7;
pub(crate) const DISCONNECT: u16 = 8;

pub(crate) const VERSION: u16 = 0x0200;
pub(crate) const COOKIE: u32 = 0x03E3_1F20;
/// In a ring's flags: the receiver does not want to be woken.
pub(crate) const NO_INTERRUPT: u16 = 1;
/// In a descriptor's flags: the packet goes on in the next one.
pub(crate) const NEXT: u16 = 1;

/// Where fields lie, from the message's start.
pub(crate) mod at {
    pub(crate) const HELLO_NAME: usize = 2;
    pub(crate) const HELLO_MIN_VERSION: usize = 34;
    pub(crate) const HELLO_MAX_VERSION: usize = 36;
    pub(crate) const HELLO_MAX_REGION: usize = 38;
    pub(crate) const HELLO_MAX_M2S: usize = 40;
    pub(crate) const HELLO_MAX_S2M: usize = 42;
    pub(crate) const HELLO_MAX_LOG2: usize = 44;
    pub(crate) const INIT_VERSION: usize = 2;
    pub(crate) const INIT_ID: usize = 4;
    pub(crate) const INIT_MODE: usize = 8;
    pub(crate) const INIT_SECRET: usize = 9;
    pub(crate) const INIT_NAME: usize = 33;
    pub(crate) const REGION_INDEX: usize = 2;
    pub(crate) const REGION_SIZE: usize = 4;
    pub(crate) const RING_FLAGS: usize = 2;
    pub(crate) const RING_INDEX: usize = 4;
    pub(crate) const RING_REGION: usize = 6;
    pub(crate) const RING_OFFSET: usize = 8;
    pub(crate) const RING_LOG2: usize = 12;
    pub(crate) const RING_PRIVATE: usize = 13;
    pub(crate) const CONNECT_NAME: usize = 2;
    pub(crate) const DISCONNECT_CODE: usize = 2;
    pub(crate) const DISCONNECT_REASON: usize = 6;
}

/// The 128 bytes of a message.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Message(pub(crate) [u8; 128]);

impl Message {
    pub(crate) fn new(kind: u16) -> Self {
        Self([0; 128]).put16(0, kind)
    }

    /// What a master of one queue each way says first.
    pub(crate) fn hello() -> Self {
        Self::new(HELLO)
            .put(at::HELLO_NAME, b"raw master")
            .put16(at::HELLO_MIN_VERSION, VERSION)
            .put16(at::HELLO_MAX_VERSION, VERSION)
            .put16(at::HELLO_MAX_REGION, 255)
            .put8(at::HELLO_MAX_LOG2, 14)
    }

    pub(crate) fn init(id: u32) -> Self {
        Self::new(INIT)
            .put16(at::INIT_VERSION, VERSION)
            .put32(at::INIT_ID, id)
            .put(at::INIT_NAME, b"raw slave")
    }

    pub(crate) fn add_region(index: u16, size: u64) -> Self {
        Self::new(ADD_REGION)
            .put16(at::REGION_INDEX, index)
            .put(at::REGION_SIZE, &size.to_ne_bytes())
    }

    pub(crate) fn add_ring(s2m: bool, index: u16, region: u16, offset: u32, log2: u8) -> Self {
        Self::new(ADD_RING)
            .put16(at::RING_FLAGS, s2m.into())
            .put16(at::RING_INDEX, index)
            .put16(at::RING_REGION, region)
            .put32(at::RING_OFFSET, offset)
            .put8(at::RING_LOG2, log2)
    }

    pub(crate) fn connect() -> Self {
        Self::new(CONNECT).put(at::CONNECT_NAME, b"raw0")
    }

    pub(crate) fn connected() -> Self {
        Self::new(CONNECTED).put(at::CONNECT_NAME, b"raw1")
    }

    pub(crate) fn disconnect(code: u32, reason: &str) -> Self {
        Self::new(DISCONNECT)
            .put32(at::DISCONNECT_CODE, code)
            .put(at::DISCONNECT_REASON, reason.as_bytes())
    }

    pub(crate) fn put(mut self, at: usize, bytes: &[u8]) -> Self {
        self.0[at..at + bytes.len()].copy_from_slice(bytes);
        self
    }

    pub(crate) fn put8(self, at: usize, value: u8) -> Self {
        self.put(at, &[value])
    }

    pub(crate) fn put16(self, at: usize, value: u16) -> Self {
        self.put(at, &value.to_ne_bytes())
    }

    pub(crate) fn put32(self, at: usize, value: u32) -> Self {
        self.put(at, &value.to_ne_bytes())
    }

    pub(crate) fn get<const N: usize>(&self, at: usize) -> [u8; N] {
        self.0[at..at + N].try_into().unwrap()
    }

    pub(crate) fn kind(&self) -> u16 {
        self.u16(0)
    }

    pub(crate) fn u16(&self, at: usize) -> u16 {
        u16::from_ne_bytes(self.get(at))
    }

    pub(crate) fn u32(&self, at: usize) -> u32 {
        u32::from_ne_bytes(self.get(at))
    }

    pub(crate) fn u64(&self, at: usize) -> u64 {
        u64::from_ne_bytes(self.get(at))
    }

    /// A text that ends at a NUL.
    pub(crate) fn text(&self, at: usize, size: usize) -> String {
        let field = &self.0[at..at + size];
        let end = field.iter().position(|b| *b == 0).unwrap_or(size);
        String::from_utf8_lossy(&field[..end]).into_owned()
    }

    pub(crate) fn reason(&self) -> String {
        assert_eq!(self.kind(), DISCONNECT);
        self.text(at::DISCONNECT_REASON, 96)
    }
}

impl std::fmt::Debug for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "message {} {:?}", self.kind(), &self.0[2..48])
    }
}

/// What came.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) message: Message,
    pub(crate) fds: Vec<OwnedFd>,
}

/// One end of a control channel.
#[derive(Debug)]
pub(crate) struct Wire(pub(crate) OwnedFd);

fn address(path: &str) -> UnixAddr {
    match path.strip_prefix('@') {
        Some(name) => UnixAddr::new_abstract(name.as_bytes()),
        None => UnixAddr::new(path),
    }
    .expect("an address")
}

fn seqpacket() -> OwnedFd {
    let flags = SockFlag::SOCK_CLOEXEC;
    socket(AddressFamily::Unix, SockType::SeqPacket, flags, None).expect("a socket")
}

/// Waits for something to read; panics when it never comes.
fn wait_readable(fd: &OwnedFd, what: &str) {
    let mut fds = [PollFd::new(fd.as_fd(), PollFlags::POLLIN)];
    let limit = PollTimeout::try_from(crate::common::LONG).unwrap();
    loop {
        match poll(&mut fds, limit) {
            Err(Errno::EINTR) => {}
            result => {
                assert_ne!(result.expect("poll"), 0, "this never came: {what}");
                return;
            }
        }
    }
}

impl Wire {
    pub(crate) fn connect(path: &str) -> Self {
        let fd = seqpacket();
        connect(fd.as_raw_fd(), &address(path)).expect("connecting");
        Self(fd)
    }

    /// Sends any bytes with any descriptors. An error means that the peer has closed.
    pub(crate) fn send_bytes(&self, bytes: &[u8], fds: &[Fd]) -> Result<(), Errno> {
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
    pub(crate) fn send(&self, message: &Message) {
        self.send_bytes(&message.0, &[]).expect("sending");
    }

    #[track_caller]
    pub(crate) fn send_with(&self, message: &Message, fds: &[Fd]) {
        self.send_bytes(&message.0, fds).expect("sending");
    }

    /// The next message; `None` when the peer has closed.
    pub(crate) fn receive(&self) -> Option<Received> {
        wait_readable(&self.0, "a message, or the channel's end");
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
            Err(Errno::ECONNRESET) => return self.receive(),
            Err(e) => panic!("receiving: {e}"),
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
            return None;
        }
        assert_eq!(length, 128, "a message has 128 bytes");
        Some(Received {
            message: Message(bytes[..128].try_into().unwrap()),
            fds,
        })
    }

    /// The next message, which must be of this kind.
    #[track_caller]
    pub(crate) fn expect(&self, kind: u16) -> Received {
        let received = self.receive().expect("a message, not the channel's end");
        if kind != DISCONNECT && received.message.kind() == DISCONNECT {
            panic!("expected {kind}, refused: {}", received.message.reason());
        }
        assert_eq!(received.message.kind(), kind, "the message's type");
        received
    }

    /// The peer says why it ends the link, and ends it.
    #[track_caller]
    pub(crate) fn expect_refusal(&self) -> Refusal {
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
    pub(crate) fn refused(&self, message: &Message) -> Refusal {
        self.send(message);
        self.expect_refusal()
    }
}

/// What a DISCONNECT said.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) code: u32,
    pub(crate) reason: String,
}

impl Refusal {
    #[track_caller]
    pub(crate) fn says(&self, words: &str) {
        assert!(self.reason.contains(words), "{self:?}: no '{words}'");
    }
}

/// A descriptor that several messages may carry.
pub(crate) type Fd = Arc<OwnedFd>;

pub(crate) fn eventfd() -> Fd {
    let fd = EventFd::from_flags(EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC);
    Arc::new(fd.expect("an eventfd").into())
}

/// Shared memory, mapped. The other side changes it at any moment, so it is only reached by
/// atomic loads and stores.
#[derive(Debug)]
pub(crate) struct Memory {
    pub(crate) fd: Fd,
    base: NonNull<std::ffi::c_void>,
    len: NonZeroUsize,
}

// SAFETY: a mapping belongs to the process, not to a thread, and is only accessed atomically.
unsafe impl Send for Memory {}

impl Memory {
    /// A sealed memfd.
    pub(crate) fn new(len: usize) -> Self {
        let fd = Self::file(len);
        fcntl(&*fd, FcntlArg::F_ADD_SEALS(SealFlag::F_SEAL_SHRINK)).expect("sealing");
        Self::map(fd, len)
    }

    /// A memfd of this size, not sealed.
    pub(crate) fn file(len: usize) -> Fd {
        let flags = MFdFlags::MFD_ALLOW_SEALING | MFdFlags::MFD_CLOEXEC;
        let fd = memfd_create("raw peer", flags).expect("a memfd");
        ftruncate(&fd, len.try_into().unwrap()).expect("its size");
        Arc::new(fd)
    }

    pub(crate) fn map(fd: Fd, len: usize) -> Self {
        let len = NonZeroUsize::new(len).expect("a size");
        let prot = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a fresh mapping at an address of the kernel's choice, of a file that nobody
        // shrinks (sealed, or ours); it is unmapped when this value goes, and not before.
        let base = unsafe { mmap(None, len, prot, MapFlags::MAP_SHARED, &*fd, 0) }.expect("mmap");
        Self { fd, base, len }
    }

    pub(crate) fn len(&self) -> usize {
        self.len.get()
    }

    /// The address of `size` bytes at `offset`, which must lie inside and be aligned to `size`.
    fn ptr<T>(&self, offset: usize) -> *mut T {
        let size = size_of::<T>();
        assert!(
            offset.is_multiple_of(size) && offset + size <= self.len(),
            "{offset} of {}",
            self.len()
        );
        self.base.as_ptr().cast::<u8>().wrapping_add(offset).cast()
    }

    fn atomic8(&self, offset: usize) -> &AtomicU8 {
        // SAFETY: `ptr` has checked the place; the mapping lives as long as `self`, and is only
        // ever accessed atomically in this process's Rust code.
        unsafe { AtomicU8::from_ptr(self.ptr(offset)) }
    }

    fn atomic16(&self, offset: usize) -> &AtomicU16 {
        // SAFETY: as for `atomic8`.
        unsafe { AtomicU16::from_ptr(self.ptr(offset)) }
    }

    fn atomic32(&self, offset: usize) -> &AtomicU32 {
        // SAFETY: as for `atomic8`.
        unsafe { AtomicU32::from_ptr(self.ptr(offset)) }
    }

    pub(crate) fn load16(&self, offset: usize) -> u16 {
        self.atomic16(offset).load(Ordering::Acquire)
    }

    pub(crate) fn store16(&self, offset: usize, value: u16) {
        self.atomic16(offset).store(value, Ordering::Release);
    }

    pub(crate) fn load32(&self, offset: usize) -> u32 {
        self.atomic32(offset).load(Ordering::Acquire)
    }

    pub(crate) fn store32(&self, offset: usize, value: u32) {
        self.atomic32(offset).store(value, Ordering::Release);
    }

    pub(crate) fn read(&self, offset: usize, len: usize) -> Vec<u8> {
        (offset..offset + len)
            .map(|at| self.atomic8(at).load(Ordering::Relaxed))
            .collect()
    }

    pub(crate) fn write(&self, offset: usize, bytes: &[u8]) {
        for (i, byte) in bytes.iter().enumerate() {
            self.atomic8(offset + i).store(*byte, Ordering::Relaxed);
        }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: made by `map`, and no reference into it outlives `self`.
        unsafe { munmap(self.base, self.len()) }.expect("munmap");
    }
}

/// A descriptor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Desc {
    pub(crate) flags: u16,
    pub(crate) region: u16,
    pub(crate) length: u32,
    pub(crate) offset: u32,
    pub(crate) metadata: u32,
}

/// Where a ring lies, and its eventfd.
#[derive(Clone, Debug)]
pub(crate) struct Ring {
    pub(crate) region: u16,
    pub(crate) offset: usize,
    pub(crate) log2: u8,
    pub(crate) efd: Fd,
}

pub(crate) fn ring_bytes(log2: u8) -> usize {
    128 + (16 << log2)
}

/// A link that is up, seen from the raw side.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) wire: Wire,
    pub(crate) regions: Vec<Memory>,
    pub(crate) s2m: Vec<Ring>,
    pub(crate) m2s: Vec<Ring>,
}

impl Link {
    pub(crate) fn ring(&self, ring: &Ring) -> RingView<'_> {
        RingView {
            memory: &self.regions[usize::from(ring.region)],
            base: ring.offset,
            size: 1 << ring.log2,
            efd: Arc::clone(&ring.efd),
        }
    }

    pub(crate) fn s2m(&self) -> RingView<'_> {
        self.ring(&self.s2m[0])
    }

    pub(crate) fn m2s(&self) -> RingView<'_> {
        self.ring(&self.m2s[0])
    }

    /// The bytes that a descriptor points to.
    pub(crate) fn data(&self, desc: Desc) -> Vec<u8> {
        self.regions[usize::from(desc.region)].read(desc.offset as usize, desc.length as usize)
    }

    /// As slave: sends a packet that fits one buffer.
    pub(crate) fn slave_sends(&self, packet: &[u8]) {
        let ring = self.s2m();
        let head = ring.head();
        let mut desc = ring.desc(head);
        self.regions[usize::from(desc.region)].write(desc.offset as usize, packet);
        desc.length = packet.len() as u32;
        desc.flags = 0;
        ring.set_desc(head, desc);
        ring.set_head(head.wrapping_add(1));
        ring.wake();
    }

    /// As master: sends a packet that fits one buffer, into the slave's buffer.
    pub(crate) fn master_sends(&self, packet: &[u8]) {
        let ring = self.m2s();
        let tail = ring.tail();
        assert_ne!(ring.head(), tail, "the slave has offered a buffer");
        let mut desc = ring.desc(tail);
        assert!(desc.length as usize >= packet.len());
        self.regions[usize::from(desc.region)].write(desc.offset as usize, packet);
        desc.length = packet.len() as u32;
        desc.flags = 0;
        ring.set_desc(tail, desc);
        ring.set_tail(tail.wrapping_add(1));
        ring.wake();
    }

    /// As slave: offers all buffers of the first ring.
    pub(crate) fn offer(&self) {
        let ring = self.m2s();
        ring.set_head(ring.size);
    }
}

/// A ring in shared memory.
pub(crate) struct RingView<'a> {
    pub(crate) memory: &'a Memory,
    pub(crate) base: usize,
    pub(crate) size: u16,
    pub(crate) efd: Fd,
}

impl RingView<'_> {
    pub(crate) fn cookie(&self) -> u32 {
        self.memory.load32(self.base)
    }

    pub(crate) fn set_cookie(&self, cookie: u32) {
        self.memory.store32(self.base, cookie);
    }

    pub(crate) fn flags(&self) -> u16 {
        self.memory.load16(self.base + 4)
    }

    pub(crate) fn set_flags(&self, flags: u16) {
        self.memory.store16(self.base + 4, flags);
    }

    pub(crate) fn head(&self) -> u16 {
        self.memory.load16(self.base + 6)
    }

    pub(crate) fn set_head(&self, head: u16) {
        self.memory.store16(self.base + 6, head);
    }

    pub(crate) fn tail(&self) -> u16 {
        self.memory.load16(self.base + 64)
    }

    pub(crate) fn set_tail(&self, tail: u16) {
        self.memory.store16(self.base + 64, tail);
    }

    fn slot(&self, counter: u16) -> usize {
        self.base + 128 + 16 * usize::from(counter & (self.size - 1))
    }

    pub(crate) fn desc(&self, counter: u16) -> Desc {
        let at = self.slot(counter);
        Desc {
            flags: self.memory.load16(at),
            region: self.memory.load16(at + 2),
            length: self.memory.load32(at + 4),
            offset: self.memory.load32(at + 8),
            metadata: self.memory.load32(at + 12),
        }
    }

    pub(crate) fn set_desc(&self, counter: u16, desc: Desc) {
        let at = self.slot(counter);
        self.memory.store16(at, desc.flags);
        self.memory.store16(at + 2, desc.region);
        self.memory.store32(at + 4, desc.length);
        self.memory.store32(at + 8, desc.offset);
        self.memory.store32(at + 12, desc.metadata);
    }

    /// Tells the receiver, if it wants to be told.
    pub(crate) fn wake(&self) {
        fence(Ordering::SeqCst);
        if self.flags() & NO_INTERRUPT == 0 {
            nix::unistd::write(&*self.efd, &1u64.to_ne_bytes()).expect("the eventfd");
        }
    }
}

/// A message that is to be sent, with what comes with it.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) message: Message,
    pub(crate) fds: Vec<Fd>,
    /// Bytes of the message that are sent; more than 128 are zeros.
    pub(crate) length: usize,
}

impl Step {
    pub(crate) fn new(message: Message, fds: &[&Fd]) -> Self {
        Self {
            message,
            fds: fds.iter().map(|fd| Arc::clone(fd)).collect(),
            length: 128,
        }
    }

    pub(crate) fn put8(&mut self, at: usize, value: u8) {
        self.message = self.message.put8(at, value);
    }

    pub(crate) fn put16(&mut self, at: usize, value: u16) {
        self.message = self.message.put16(at, value);
    }

    pub(crate) fn put32(&mut self, at: usize, value: u32) {
        self.message = self.message.put32(at, value);
    }

    pub(crate) fn send(&self, wire: &Wire) -> Result<(), Errno> {
        let mut bytes = self.message.0.to_vec();
        bytes.resize(self.length, 0);
        wire.send_bytes(&bytes, &self.fds)
    }
}

/// How a plan ended.
#[derive(Debug)]
pub(crate) enum Outcome {
    Up(Link),
    Refused(Refusal),
    /// Closed without a word.
    Dropped,
}

/// The steps of the default plan: INIT, two regions, a ring each way, CONNECT.
pub(crate) const P_INIT: usize = 0;
pub(crate) const P_REGION0: usize = 1;
pub(crate) const P_REGION1: usize = 2;
pub(crate) const P_S2M: usize = 3;
pub(crate) const P_M2S: usize = 4;
pub(crate) const P_CONNECT: usize = 5;

/// Slots of the default plan's rings, as a power of two.
pub(crate) const LOG2: u8 = 4;
/// Bytes of its buffers.
pub(crate) const BUFFER: usize = 2048;

/// A slave's handshake and memory, legal until a test bends it.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) steps: Vec<Step>,
    pub(crate) regions: Vec<Memory>,
    pub(crate) s2m: Vec<Ring>,
    pub(crate) m2s: Vec<Ring>,
}

impl Plan {
    /// Rings in region 0, buffers in region 1, as libmemif and VPP have it.
    pub(crate) fn new(id: u32) -> Self {
        let rings = 2 * ring_bytes(LOG2);
        Self::of(
            id,
            vec![Memory::new(rings), Memory::new(2 * (BUFFER << LOG2))],
            1,
            0,
        )
    }

    /// All in region 0, as DPDK has it.
    pub(crate) fn single_region(id: u32) -> Self {
        let rings = 2 * ring_bytes(LOG2);
        Self::of(
            id,
            vec![Memory::new(rings + 2 * (BUFFER << LOG2))],
            0,
            rings,
        )
    }

    fn of(id: u32, regions: Vec<Memory>, buffers_in: u16, mut at: usize) -> Self {
        let ring = |i: usize| Ring {
            region: 0,
            offset: i * ring_bytes(LOG2),
            log2: LOG2,
            efd: eventfd(),
        };
        let (s2m, m2s) = (ring(0), ring(1));
        let mut steps = vec![Step::new(Message::init(id), &[])];
        for (i, region) in regions.iter().enumerate() {
            let message = Message::add_region(i as u16, region.len() as u64);
            steps.push(Step::new(message, &[&region.fd]));
        }
        for (is_s2m, ring) in [(true, &s2m), (false, &m2s)] {
            let message = Message::add_ring(is_s2m, 0, 0, ring.offset as u32, LOG2);
            steps.push(Step::new(message, &[&ring.efd]));
            let view = RingView {
                memory: &regions[0],
                base: ring.offset,
                size: 1 << LOG2,
                efd: Arc::clone(&ring.efd),
            };
            view.set_cookie(COOKIE);
            for slot in 0..view.size {
                view.set_desc(
                    slot,
                    Desc {
                        region: buffers_in,
                        length: BUFFER as u32,
                        offset: at as u32,
                        ..Desc::default()
                    },
                );
                at += BUFFER;
            }
        }
        steps.push(Step::new(Message::connect(), &[]));
        Self {
            steps,
            regions,
            s2m: vec![s2m],
            m2s: vec![m2s],
        }
    }

    /// Waits for HELLO, and sends step after step, each when the one before is acknowledged.
    pub(crate) fn run(self, socket: &str) -> Outcome {
        let wire = Wire::connect(socket);
        wire.expect(HELLO);
        self.run_on(wire)
    }

    pub(crate) fn run_on(self, wire: Wire) -> Outcome {
        for (i, step) in self.steps.iter().enumerate() {
            if step.send(&wire).is_err() {
                return Outcome::Dropped;
            }
            let Some(answer) = wire.receive() else {
                return Outcome::Dropped;
            };
            match answer.message.kind() {
                DISCONNECT => {
                    assert!(wire.receive().is_none(), "nothing follows DISCONNECT");
                    return Outcome::Refused(Refusal {
                        code: answer.message.u32(at::DISCONNECT_CODE),
                        reason: answer.message.reason(),
                    });
                }
                CONNECTED => assert_eq!(i + 1, self.steps.len(), "CONNECTED comes last"),
                kind => assert_eq!(kind, ACK, "the answer to step {i}"),
            }
        }
        Outcome::Up(Link {
            wire,
            regions: self.regions,
            s2m: self.s2m,
            m2s: self.m2s,
        })
    }

    #[track_caller]
    pub(crate) fn up(self, socket: &str) -> Link {
        match self.run(socket) {
            Outcome::Up(link) => link,
            other => panic!("the plan failed: {other:?}"),
        }
    }

    #[track_caller]
    pub(crate) fn refused(self, socket: &str) -> Refusal {
        match self.run(socket) {
            Outcome::Refused(refusal) => {
                assert!(!refusal.reason.is_empty(), "a reason is given");
                refusal
            }
            other => panic!("not refused: {other:?}"),
        }
    }
}

/// How far a master goes by the book.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    /// Nothing is sent; the slave waits for HELLO.
    Accepted,
    /// INIT came.
    Init,
    /// The first region came.
    Region,
    /// The first ring came.
    Ring,
    /// CONNECT came.
    Connect,
    /// CONNECTED is sent.
    Up,
}

/// A master that listens by hand.
#[derive(Debug)]
pub(crate) struct Master {
    listener: OwnedFd,
    pub(crate) hello: Message,
}

impl Master {
    pub(crate) fn listen(socket: &str) -> Self {
        let listener = seqpacket();
        bind(listener.as_raw_fd(), &address(socket)).expect("bind");
        listen(&listener, Backlog::new(8).unwrap()).expect("listen");
        Self {
            listener,
            hello: Message::hello(),
        }
    }

    pub(crate) fn accept(&self) -> Wire {
        wait_readable(&self.listener, "a slave");
        let fd = accept4(self.listener.as_raw_fd(), SockFlag::SOCK_CLOEXEC).expect("accept");
        // SAFETY: accept has just made it for us.
        Wire(unsafe { OwnedFd::from_raw_fd(fd) })
    }

    /// Goes by the book up to this stage: the messages so far are read, the last not answered
    /// (but with [`Stage::Up`], where all is done).
    #[track_caller]
    pub(crate) fn go(&self, stage: Stage) -> Link {
        let mut link = Link {
            wire: self.accept(),
            regions: Vec::new(),
            s2m: Vec::new(),
            m2s: Vec::new(),
        };
        if stage == Stage::Accepted {
            return link;
        }
        link.wire.send(&self.hello);
        link.wire.expect(INIT);
        if stage == Stage::Init {
            return link;
        }
        loop {
            link.wire.send(&Message::new(ACK));
            let mut got = link.wire.receive().expect("a message");
            let m = got.message;
            match m.kind() {
                ADD_REGION => {
                    let fd = Arc::new(got.fds.remove(0));
                    let size = m.u64(at::REGION_SIZE) as usize;
                    link.regions.push(Memory::map(fd, size));
                    if stage == Stage::Region {
                        return link;
                    }
                }
                ADD_RING => {
                    let ring = Ring {
                        region: m.u16(at::RING_REGION),
                        offset: m.u32(at::RING_OFFSET) as usize,
                        log2: m.0[at::RING_LOG2],
                        efd: Arc::new(got.fds.remove(0)),
                    };
                    if m.u16(at::RING_FLAGS) == 1 {
                        link.s2m.push(ring);
                    } else {
                        link.m2s.push(ring);
                    }
                    if stage == Stage::Ring {
                        return link;
                    }
                }
                CONNECT => {
                    if stage == Stage::Up {
                        link.wire.send(&Message::connected());
                    }
                    return link;
                }
                kind => panic!("message {kind} while shaking hands"),
            }
        }
    }
}

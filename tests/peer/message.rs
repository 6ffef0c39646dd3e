//! Messages, byte by byte.

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

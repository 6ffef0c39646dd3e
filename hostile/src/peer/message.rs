//! Messages, byte by byte.

pub const ACK: u16 = 1;
pub const HELLO: u16 = 2;
pub const INIT: u16 = 3;
pub const ADD_REGION: u16 = 4;
pub const ADD_RING: u16 = 5;
pub const CONNECT: u16 = 6;
pub const CONNECTED: u16 = 7;
pub const DISCONNECT: u16 = 8;

pub const VERSION: u16 = 0x0200;
pub const COOKIE: u32 = 0x03E3_1F20;
/// In a ring's flags: the receiver does not want to be woken.
pub const NO_INTERRUPT: u16 = 1;
/// In a descriptor's flags: the packet goes on in the next one.
pub const NEXT: u16 = 1;

/// Where fields lie, from the message's start.
pub mod at {
    pub const HELLO_NAME: usize = 2;
    pub const HELLO_MIN_VERSION: usize = 34;
    pub const HELLO_MAX_VERSION: usize = 36;
    pub const HELLO_MAX_REGION: usize = 38;
    pub const HELLO_MAX_M2S: usize = 40;
    pub const HELLO_MAX_S2M: usize = 42;
    pub const HELLO_MAX_LOG2: usize = 44;
    pub const INIT_VERSION: usize = 2;
    pub const INIT_ID: usize = 4;
    pub const INIT_MODE: usize = 8;
    pub const INIT_SECRET: usize = 9;
    pub const INIT_NAME: usize = 33;
    pub const REGION_INDEX: usize = 2;
    pub const REGION_SIZE: usize = 4;
    pub const RING_FLAGS: usize = 2;
    pub const RING_INDEX: usize = 4;
    pub const RING_REGION: usize = 6;
    pub const RING_OFFSET: usize = 8;
    pub const RING_LOG2: usize = 12;
    pub const RING_PRIVATE: usize = 13;
    pub const CONNECT_NAME: usize = 2;
    pub const DISCONNECT_CODE: usize = 2;
    pub const DISCONNECT_REASON: usize = 6;
}

/// The 128 bytes of a message.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Message(pub [u8; 128]);

impl Message {
    pub fn new(kind: u16) -> Self {
        Self([0; 128]).put16(0, kind)
    }

    /// What a master of one queue each way says first.
    pub fn hello() -> Self {
        Self::new(HELLO)
            .put(at::HELLO_NAME, b"raw master")
            .put16(at::HELLO_MIN_VERSION, VERSION)
            .put16(at::HELLO_MAX_VERSION, VERSION)
            .put16(at::HELLO_MAX_REGION, 255)
            .put8(at::HELLO_MAX_LOG2, 14)
    }

    pub fn init(id: u32) -> Self {
        Self::new(INIT)
            .put16(at::INIT_VERSION, VERSION)
            .put32(at::INIT_ID, id)
            .put(at::INIT_NAME, b"raw slave")
    }

    pub fn add_region(index: u16, size: u64) -> Self {
        Self::new(ADD_REGION)
            .put16(at::REGION_INDEX, index)
            .put(at::REGION_SIZE, &size.to_ne_bytes())
    }

    pub fn add_ring(s2m: bool, index: u16, region: u16, offset: u32, log2: u8) -> Self {
        Self::new(ADD_RING)
            .put16(at::RING_FLAGS, s2m.into())
            .put16(at::RING_INDEX, index)
            .put16(at::RING_REGION, region)
            .put32(at::RING_OFFSET, offset)
            .put8(at::RING_LOG2, log2)
    }

    pub fn connect() -> Self {
        Self::new(CONNECT).put(at::CONNECT_NAME, b"raw0")
    }

    pub fn connected() -> Self {
        Self::new(CONNECTED).put(at::CONNECT_NAME, b"raw1")
    }

    pub fn disconnect(code: u32, reason: &str) -> Self {
        Self::new(DISCONNECT)
            .put32(at::DISCONNECT_CODE, code)
            .put(at::DISCONNECT_REASON, reason.as_bytes())
    }

    pub fn put(mut self, at: usize, bytes: &[u8]) -> Self {
        self.0[at..at + bytes.len()].copy_from_slice(bytes);
        self
    }

    pub fn put8(self, at: usize, value: u8) -> Self {
        self.put(at, &[value])
    }

    pub fn put16(self, at: usize, value: u16) -> Self {
        self.put(at, &value.to_ne_bytes())
    }

    pub fn put32(self, at: usize, value: u32) -> Self {
        self.put(at, &value.to_ne_bytes())
    }

    pub fn get<const N: usize>(&self, at: usize) -> [u8; N] {
        self.0[at..at + N].try_into().unwrap()
    }

    pub fn kind(&self) -> u16 {
        self.u16(0)
    }

    pub fn u16(&self, at: usize) -> u16 {
        u16::from_ne_bytes(self.get(at))
    }

    pub fn u32(&self, at: usize) -> u32 {
        u32::from_ne_bytes(self.get(at))
    }

    pub fn u64(&self, at: usize) -> u64 {
        u64::from_ne_bytes(self.get(at))
    }

    /// A text that ends at a NUL.
    pub fn text(&self, at: usize, size: usize) -> String {
        let field = &self.0[at..at + size];
        let end = field.iter().position(|b| *b == 0).unwrap_or(size);
        String::from_utf8_lossy(&field[..end]).into_owned()
    }

    pub fn reason(&self) -> String {
        assert_eq!(self.kind(), DISCONNECT);
        self.text(at::DISCONNECT_REASON, 96)
    }
}

impl std::fmt::Debug for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "message {} {:?}", self.kind(), &self.0[2..48])
    }
}

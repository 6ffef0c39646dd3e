//! A packet and what is known about its capture.

pub(crate) mod direction;
pub(crate) mod link_type;
pub(crate) mod source;
pub(crate) mod time;

use std::fmt;

use self::direction::Direction;
use self::time::Timestamp;

/// The snap length unless another is set: how many bytes of a packet are kept. The same as
/// tcpdump's.
pub const DEFAULT_SNAPLEN: u32 = 262_144;

/// A borrowed packet. Its bytes are in the memory that it was read into: the cache of a handle, a
/// burst, or the buffer of a capture file's reader.
///
/// It dereferences to its bytes.
///
/// ```
/// use memif::{Packet, Timestamp};
///
/// let packet = Packet::whole(b"\xff\xff\xff\xff\xff\xff", Timestamp::now());
/// assert_eq!(packet[0], 0xff);
/// assert!(!packet.info().is_truncated());
/// ```
#[derive(Clone, Copy)]
pub struct Packet<'a> {
    data: &'a [u8],
    length: usize,
    timestamp: Timestamp,
    interface_index: u32,
    direction: Direction,
}

impl<'a> Packet<'a> {
    /// A packet with these bytes. `info.capture_length` is set to their number.
    pub fn new(data: &'a [u8], info: CaptureInfo) -> Self {
        Self {
            data,
            length: info.length.max(data.len()),
            timestamp: info.timestamp,
            interface_index: info.interface_index,
            direction: info.direction,
        }
    }

    /// A packet that was captured completely, on interface 0.
    pub fn whole(data: &'a [u8], timestamp: Timestamp) -> Self {
        Self::new(data, CaptureInfo::whole(data.len(), timestamp))
    }

    #[inline]
    pub(crate) fn received(
        data: &'a [u8],
        length: usize,
        interface_index: u32,
        timestamp: Timestamp,
    ) -> Self {
        Self {
            data,
            length,
            timestamp,
            interface_index,
            direction: Direction::Inbound,
        }
    }

    /// The captured bytes, from the Ethernet or IP header on, depending on the interface's mode.
    #[inline]
    pub fn data(&self) -> &'a [u8] {
        self.data
    }

    /// When and where the packet was captured, and how much of it.
    #[inline]
    pub fn info(&self) -> CaptureInfo {
        CaptureInfo {
            timestamp: self.timestamp,
            capture_length: self.data.len(),
            length: self.length,
            interface_index: self.interface_index,
            direction: self.direction,
        }
    }
}

/// An empty packet of 1970, to fill an array with before it is used.
impl Default for Packet<'_> {
    fn default() -> Self {
        Self::whole(&[], Timestamp::default())
    }
}

/// Packets are equal if their bytes and their [`info`](Packet::info) are equal.
impl PartialEq for Packet<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.data == other.data && self.info() == other.info()
    }
}

impl Eq for Packet<'_> {}

impl fmt::Debug for Packet<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Packet")
            .field("data", &self.data)
            .field("info", &self.info())
            .finish()
    }
}

impl std::ops::Deref for Packet<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.data
    }
}

impl AsRef<[u8]> for Packet<'_> {
    fn as_ref(&self) -> &[u8] {
        self.data
    }
}

/// A packet that owns its bytes. Iterators yield it.
///
/// ```
/// use memif::{Packet, PacketBuf, Timestamp};
///
/// let owned = PacketBuf::from(Packet::whole(b"abc", Timestamp::now()));
/// assert_eq!(owned.as_packet().data(), &owned[..]);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PacketBuf {
    data: Vec<u8>,
    info: CaptureInfo,
}

impl PacketBuf {
    /// Borrows the packet.
    pub fn as_packet(&self) -> Packet<'_> {
        Packet::new(&self.data, self.info)
    }

    /// When and where the packet was captured, and how much of it.
    pub fn info(&self) -> &CaptureInfo {
        &self.info
    }

    /// Returns the bytes without a copy.
    pub fn into_data(self) -> Vec<u8> {
        self.data
    }
}

impl From<Packet<'_>> for PacketBuf {
    fn from(packet: Packet<'_>) -> Self {
        Self {
            data: packet.data.to_vec(),
            info: packet.info(),
        }
    }
}

impl std::ops::Deref for PacketBuf {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.data
    }
}

impl AsRef<[u8]> for PacketBuf {
    fn as_ref(&self) -> &[u8] {
        &self.data
    }
}

/// What a capture knows about a packet besides its bytes. gopacket has a type of the same name.
///
/// ```
/// use memif::{CaptureInfo, Timestamp};
///
/// let mut info = CaptureInfo::whole(1514, Timestamp::now());
/// info.capture_length = 64;
/// assert!(info.is_truncated());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CaptureInfo {
    /// When the packet was received, or the time in the capture file. On a link, the system clock
    /// is read once per burst, when it is taken from the ring.
    pub timestamp: Timestamp,
    /// The number of captured bytes, at most the snap length.
    pub capture_length: usize,
    /// The number of bytes that the packet had on the ring.
    pub length: usize,
    /// The interface on which it arrived: the id of the memif, or the number of the interface block
    /// in a pcapng file (0 in a pcap file).
    pub interface_index: u32,
    /// Which way it passed the interface. Packets that come from a link are inbound.
    pub direction: Direction,
}

impl CaptureInfo {
    /// The information for a packet that was captured completely, on interface 0.
    pub fn whole(length: usize, timestamp: Timestamp) -> Self {
        Self {
            timestamp,
            capture_length: length,
            length,
            interface_index: 0,
            direction: Direction::Unknown,
        }
    }

    /// Whether the packet was cut by a snap length.
    pub fn is_truncated(&self) -> bool {
        self.capture_length < self.length
    }
}

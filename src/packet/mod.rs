//! A packet and what is known about its capture.

pub(crate) mod link_type;
pub(crate) mod source;
pub(crate) mod time;

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use self::time::Timestamp;

/// A borrowed packet. Its bytes are in the memory that it was read into: the cache of a handle, a
/// burst, or the buffer of a capture file's reader.
///
/// It dereferences to its bytes.
///
/// ```
/// use memif::{CaptureInfo, Packet, Timestamp};
///
/// let packet = Packet::new(b"\xff\xff\xff\xff\xff\xff", CaptureInfo::whole(6, Timestamp::now()));
/// assert_eq!(packet[0], 0xff);
/// assert!(!packet.info().is_truncated());
/// ```
#[derive(Clone, Copy)]
pub struct Packet<'a> {
    data: &'a [u8],
    length: usize,
    interface_index: u32,
    time: Time<'a>,
}

/// Reading the clock takes as long as receiving a packet, so it is delayed until somebody asks.
#[derive(Clone, Copy)]
enum Time<'a> {
    Known(Timestamp),
    /// The time of a whole burst; 0 until somebody has asked.
    OfBurst(&'a AtomicU64),
}

impl<'a> Packet<'a> {
    /// A packet with these bytes. `info.capture_length` is set to their number.
    pub fn new(data: &'a [u8], info: CaptureInfo) -> Self {
        Self {
            data,
            length: info.length.max(data.len()),
            interface_index: info.interface_index,
            time: Time::Known(info.timestamp),
        }
    }

    #[inline]
    pub(crate) fn received(
        data: &'a [u8],
        length: usize,
        interface_index: u32,
        time: &'a AtomicU64,
    ) -> Self {
        Self {
            data,
            length,
            interface_index,
            time: Time::OfBurst(time),
        }
    }

    /// The captured bytes, from the Ethernet or IP header on, depending on the interface's mode.
    #[inline]
    pub fn data(&self) -> &'a [u8] {
        self.data
    }

    /// When and where the packet was captured, and how much of it.
    pub fn info(&self) -> CaptureInfo {
        CaptureInfo {
            timestamp: self.timestamp(),
            capture_length: self.data.len(),
            length: self.length,
            interface_index: self.interface_index,
        }
    }

    fn timestamp(&self) -> Timestamp {
        match self.time {
            Time::Known(time) => time,
            Time::OfBurst(time) => match time.load(Ordering::Relaxed) {
                0 => {
                    let now = Timestamp::now();
                    let (order, nanos) = (Ordering::Relaxed, now.as_nanos());
                    // The first thread that asks sets the time for the whole burst.
                    match time.compare_exchange(0, nanos, order, order) {
                        Ok(_) => now,
                        Err(earlier) => Timestamp::from_nanos(earlier),
                    }
                }
                known => Timestamp::from_nanos(known),
            },
        }
    }
}

/// An empty packet of 1970, to fill an array with before it is used.
impl Default for Packet<'_> {
    fn default() -> Self {
        Self::new(&[], CaptureInfo::whole(0, Timestamp::default()))
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
/// use memif::{CaptureInfo, Packet, PacketBuf, Timestamp};
///
/// let owned = PacketBuf::from(Packet::new(b"abc", CaptureInfo::whole(3, Timestamp::now())));
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
/// let cut = CaptureInfo { capture_length: 64, ..CaptureInfo::whole(1514, Timestamp::now()) };
/// assert!(cut.is_truncated());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CaptureInfo {
    /// When the packet was received, or the time in the capture file. On a link, the system clock
    /// is read once per burst, when the first of its packets is asked for its information.
    pub timestamp: Timestamp,
    /// The number of captured bytes, at most the snap length.
    pub capture_length: usize,
    /// The number of bytes that the packet had on the ring.
    pub length: usize,
    /// The interface on which it arrived: the id of the memif, or the number of the interface block
    /// in a pcapng file (0 in a pcap file).
    pub interface_index: u32,
}

impl CaptureInfo {
    /// The information for a packet that was captured completely, on interface 0.
    pub fn whole(length: usize, timestamp: Timestamp) -> Self {
        Self {
            timestamp,
            capture_length: length,
            length,
            interface_index: 0,
        }
    }

    /// Whether the packet was cut by a snap length.
    pub fn is_truncated(&self) -> bool {
        self.capture_length < self.length
    }
}

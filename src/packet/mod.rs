//! A packet and what is known about its capture.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::Error;

/// A packet borrowed from the place it was read into: the burst cache of a
/// handle, or the buffer of a capture file's reader.
///
/// Dereferences to its bytes.
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

/// Reading the clock costs as much as receiving a packet, so it is put off until somebody asks.
#[derive(Clone, Copy)]
enum Time<'a> {
    Known(Timestamp),
    /// Of a whole burst; 0 until somebody has asked.
    OfBurst(&'a AtomicU64),
}

impl<'a> Packet<'a> {
    /// A packet of these bytes. `info.capture_length` is set to their number.
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

    /// The captured bytes, from the link header on (Ethernet or IP, by the interface's mode).
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
                    // Whoever asked first, in whichever thread, has decided for the burst.
                    match time.compare_exchange(0, now.0, Ordering::Relaxed, Ordering::Relaxed) {
                        Ok(_) => now,
                        Err(earlier) => Timestamp(earlier),
                    }
                }
                known => Timestamp(known),
            },
        }
    }
}

/// Packets are equal when their bytes and what is known about them are.
/// An empty one, of the epoch: to begin an array with.
impl Default for Packet<'_> {
    fn default() -> Self {
        Self::new(&[], CaptureInfo::whole(0, Timestamp::default()))
    }
}

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

/// A packet with bytes of its own, as the iterators give it.
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
    /// The same packet, borrowed.
    pub fn as_packet(&self) -> Packet<'_> {
        Packet::new(&self.data, self.info)
    }

    /// When and where the packet was captured, and how much of it.
    pub fn info(&self) -> &CaptureInfo {
        &self.info
    }

    /// Its bytes.
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

/// What a capture knows about a packet besides its bytes (gopacket's type of the same name).
///
/// ```
/// use memif::{CaptureInfo, Timestamp};
///
/// let cut = CaptureInfo { capture_length: 64, ..CaptureInfo::whole(1514, Timestamp::now()) };
/// assert!(cut.is_truncated());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CaptureInfo {
    /// When the burst that brought the packet was taken from the ring, or what
    /// the capture file says. The system clock is read once a burst, when the
    /// first of its packets is asked for its information.
    pub timestamp: Timestamp,
    /// Bytes captured: at most the snap length.
    pub capture_length: usize,
    /// Bytes the packet had on the ring.
    pub length: usize,
    /// Which interface it came from: the memif's interface id, or the
    /// number of the interface block in a pcapng file (0 in a pcap file).
    pub interface_index: u32,
}

impl CaptureInfo {
    /// The information of a packet captured whole, on interface 0.
    pub fn whole(length: usize, timestamp: Timestamp) -> Self {
        Self {
            timestamp,
            capture_length: length,
            length,
            interface_index: 0,
        }
    }

    /// Whether the snap length cut the packet.
    pub fn is_truncated(&self) -> bool {
        self.capture_length < self.length
    }
}

/// A point in time, in nanoseconds since 1970-01-01 00:00 UTC.
///
/// ```
/// use memif::Timestamp;
///
/// let t = Timestamp::from_nanos(1_500_000_000_123_456_789);
/// assert_eq!((t.seconds(), t.subsec_nanos()), (1_500_000_000, 123_456_789));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The system clock's time.
    pub fn now() -> Self {
        SystemTime::now().into()
    }

    /// From nanoseconds since the epoch; reaches to the year 2554.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the epoch.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// Whole seconds since the epoch.
    pub const fn seconds(self) -> u64 {
        self.0 / 1_000_000_000
    }

    /// The nanoseconds within the second, 0 to 999,999,999.
    pub const fn subsec_nanos(self) -> u32 {
        (self.0 % 1_000_000_000) as u32
    }
}

/// Times before 1970 become the epoch, times after 2554 the latest possible.
impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
    }
}

impl From<Timestamp> for SystemTime {
    fn from(time: Timestamp) -> Self {
        UNIX_EPOCH + Duration::from_nanos(time.0)
    }
}

/// Seconds and nanoseconds, as `1500000000.123456789`.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:09}", self.seconds(), self.subsec_nanos())
    }
}

/// What a packet starts with, as capture files number it (the LINKTYPE registry of tcpdump.org).
///
/// ```
/// use memif::LinkType;
///
/// assert_eq!(LinkType::from(101), LinkType::RAW);
/// assert_eq!(u32::from(LinkType::ETHERNET), 1);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LinkType(u32);

impl LinkType {
    /// LINKTYPE_ETHERNET: an Ethernet header without preamble and FCS.
    pub const ETHERNET: Self = Self(1);
    /// LINKTYPE_RAW: an IPv4 or IPv6 header, told apart by its first four bits.
    pub const RAW: Self = Self(101);
}

impl From<u32> for LinkType {
    fn from(number: u32) -> Self {
        Self(number)
    }
}

impl From<LinkType> for u32 {
    fn from(link_type: LinkType) -> Self {
        link_type.0
    }
}

impl fmt::Display for LinkType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::ETHERNET => f.write_str("Ethernet (1)"),
            Self::RAW => f.write_str("raw IP (101)"),
            Self(other) => write!(f, "link type {other}"),
        }
    }
}

/// Where packets come from: a [`PacketHandle`](crate::PacketHandle), a capture file.
///
/// With [`PacketSink`], a program does not care which:
///
/// ```
/// use memif::{Error, PacketSink, PacketSource};
///
/// /// Copies what is there now; how many packets it was.
/// fn copy(from: &mut impl PacketSource, to: &mut impl PacketSink) -> Result<u64, Error> {
///     let mut packets = 0;
///     loop {
///         match from.read_packet() {
///             Ok(packet) => to.write_packet(&packet)?,
///             Err(e) if e.is_eof() => break,
///             Err(e) => return Err(e),
///         }
///         packets += 1;
///     }
///     to.flush()?;
///     Ok(packets)
/// }
/// # use memif::{Context, MemifConfig, Role};
/// # let context = Context::new("doc")?;
/// # let socket = format!("@memif-doc-source-{}", std::process::id());
/// # let master = context.create_interface(MemifConfig::new(&socket).role(Role::Master).queues(2, 2))?;
/// # let slave = context.create_interface(MemifConfig::new(&socket).queues(2, 2))?;
/// # slave.wait_link_up(None)?;
/// # slave.packet_handle(0, 1)?.write_packet(b"a packet")?;
/// # assert_eq!(copy(&mut master.packet_handle(0, 1)?, &mut slave.packet_handle(1, 1)?)?, 1);
/// # Ok::<(), memif::Error>(())
/// ```
pub trait PacketSource {
    /// The next packet, in order.
    ///
    /// # Errors
    ///
    /// [`Error::Eof`] when there is none: for now, or for good, as its reason
    /// says. Any other error is reported once; what came before it has been delivered.
    fn read_packet(&mut self) -> Result<Packet<'_>, Error>;

    /// What its packets start with.
    fn link_type(&self) -> LinkType;
}

/// Where packets go: a [`PacketHandle`](crate::PacketHandle), a capture file. [`PacketSource`] has
/// an example.
///
/// ```
/// use memif::{CaptureInfo, Error, Packet, PacketSink};
///
/// /// Counts bytes, and keeps nothing.
/// struct Counting(usize);
///
/// impl PacketSink for Counting {
///     fn write_packet(&mut self, packet: &Packet<'_>) -> Result<(), Error> {
///         self.0 += packet.len();
///         Ok(())
///     }
///
///     fn flush(&mut self) -> Result<(), Error> {
///         Ok(())
///     }
/// }
/// # let mut sink = Counting(0);
/// # sink.write_packet(&Packet::new(b"abc", CaptureInfo::whole(3, Default::default())))?;
/// # assert_eq!(sink.0, 3);
/// # Ok::<(), Error>(())
/// ```
pub trait PacketSink {
    /// Takes one packet.
    ///
    /// # Errors
    ///
    /// [`Error::Eof`] when it can't take one now, or any more; the packet was not taken.
    fn write_packet(&mut self, packet: &Packet<'_>) -> Result<(), Error>;

    /// Passes on what it holds back: call it when the source goes idle, and at the end.
    ///
    /// # Errors
    ///
    /// What the file or the peer answers.
    fn flush(&mut self) -> Result<(), Error>;
}

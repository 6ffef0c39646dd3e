//! Private memory for a burst of packets.

use crate::ffi::ReceivedPacket;
use crate::packet::time::Timestamp;
use crate::packet::{DEFAULT_SNAPLEN, Packet};

/// A burst ends with the packet that reaches this many bytes; `BURST_BYTES` in the C core.
const ENOUGH: usize = 128 << 10;

/// Private memory for a burst of received packets. It is meant to be reused for many bursts.
///
/// A burst ends at 128 KiB, even if there is room for more packets, so that the packets are still
/// in the CPU core's own cache when they are read.
///
/// ```
/// use memif::Burst;
///
/// let burst = Burst::new(64).with_snaplen(128);
/// assert_eq!((burst.capacity(), burst.len()), (64, 0));
/// ```
pub struct Burst {
    pub(super) arena: Vec<u8>,
    pub(super) records: Vec<ReceivedPacket>,
    pub(super) filled: usize,
    pub(super) snaplen: u32,
    /// When the burst was taken from the ring.
    timestamp: Timestamp,
    timestamps: bool,
    pub(super) interface_index: u32,
}

impl Burst {
    /// Creates a burst with room for up to `count` packets, at least 1.
    pub fn new(count: u16) -> Self {
        let count = usize::from(count.max(1));
        let none = ReceivedPacket {
            offset: 0,
            captured: 0,
            length: 0,
        };
        Self {
            arena: Vec::new(),
            records: vec![none; count],
            filled: 0,
            snaplen: 0,
            timestamp: Timestamp::default(),
            timestamps: true,
            interface_index: 0,
        }
        .with_snaplen(DEFAULT_SNAPLEN)
    }

    /// Sets the snap length: how many bytes of a packet are kept at most, 1 or more;
    /// [`DEFAULT_SNAPLEN`] by default.
    #[must_use]
    pub fn with_snaplen(mut self, bytes: u32) -> Self {
        // A gigabyte: more than anybody needs, and what the arena's offsets can hold.
        const MOST: u32 = 1 << 30;
        let usual = (self.records.len() * 2048).min(ENOUGH);
        self.snaplen = bytes.clamp(1, MOST);
        // At least one whole packet fits. Small packets lie packed at the start.
        self.arena = vec![0; usual.max(self.snaplen as usize)];
        self.clear();
        self
    }

    /// Whether the clock is read when a burst is taken; `true` by default. Without it the time of
    /// all packets is that of [`Timestamp::default`], 1970. A read of the clock costs about as much
    /// as receiving a packet, once a burst.
    #[must_use]
    pub fn with_timestamps(mut self, timestamps: bool) -> Self {
        self.timestamps = timestamps;
        self.timestamp = Timestamp::default();
        self
    }

    /// How many packets the burst can hold.
    pub fn capacity(&self) -> usize {
        self.records.len()
    }

    /// How many packets the burst holds.
    pub fn len(&self) -> usize {
        self.filled
    }

    /// Whether the burst holds no packet.
    pub fn is_empty(&self) -> bool {
        self.filled == 0
    }

    /// The packet with this index, from 0; `None` if there are fewer.
    #[inline]
    pub fn get(&self, index: usize) -> Option<Packet<'_>> {
        match index < self.filled {
            true => self.stored(index),
            false => None,
        }
    }

    /// As `get`, where it is known already that there are more packets than `index`.
    #[inline]
    pub(crate) fn stored(&self, index: usize) -> Option<Packet<'_>> {
        let record = self.records.get(index)?;
        let start = record.offset as usize;
        let captured = record.captured as usize;
        let data = self.arena.get(start..start + captured)?;
        Some(Packet::received(
            data,
            record.length as usize,
            self.interface_index,
            self.timestamp,
        ))
    }

    /// Iterates over the packets, in the order of their arrival.
    pub fn iter(&self) -> BurstIter<'_> {
        BurstIter {
            burst: self,
            next: 0,
        }
    }

    /// Iterates over the packets from the one with index `first` on.
    pub(crate) fn iter_from(&self, first: usize) -> BurstIter<'_> {
        BurstIter {
            burst: self,
            next: first.min(self.filled),
        }
    }

    /// The snap length, in bytes.
    pub fn snaplen(&self) -> u32 {
        self.snaplen
    }

    /// Fills it by a function that gets the arena, the snap length and the records, and returns how
    /// many of them it has written, and more.
    #[cfg(feature = "observe")]
    pub(crate) fn fill<T, E>(
        &mut self,
        interface_index: u32,
        read: impl FnOnce(&mut [u8], u32, &mut [ReceivedPacket]) -> Result<(u16, T), E>,
    ) -> Result<(usize, T), E> {
        self.clear();
        self.interface_index = interface_index;
        let (received, more) = read(&mut self.arena, self.snaplen, &mut self.records)?;
        self.filled = usize::from(received);
        if received > 0 {
            self.stamp();
        }
        Ok((self.filled, more))
    }

    #[inline]
    pub(crate) fn clear(&mut self) {
        self.filled = 0;
    }

    /// The burst has just been taken.
    #[inline]
    pub(super) fn stamp(&mut self) {
        if self.timestamps {
            self.timestamp = Timestamp::now();
        }
    }

    /// The same settings, with room for so many packets.
    pub(crate) fn with_capacity(&self, count: u16) -> Self {
        Self::new(count)
            .with_snaplen(self.snaplen)
            .with_timestamps(self.timestamps)
    }
}

impl<'a> IntoIterator for &'a Burst {
    type Item = Packet<'a>;
    type IntoIter = BurstIter<'a>;

    fn into_iter(self) -> BurstIter<'a> {
        self.iter()
    }
}

/// Iterates over the packets of a [`Burst`], in the order of their arrival.
///
/// ```
/// use memif::Burst;
///
/// let burst = Burst::new(64); // rx_burst fills it
/// let bytes: usize = burst.iter().map(|packet| packet.len()).sum();
/// assert_eq!((burst.iter().len(), bytes), (0, 0));
/// ```
#[derive(Clone, Debug)]
pub struct BurstIter<'a> {
    burst: &'a Burst,
    next: usize,
}

impl<'a> Iterator for BurstIter<'a> {
    type Item = Packet<'a>;

    fn next(&mut self) -> Option<Packet<'a>> {
        let packet = self.burst.get(self.next)?;
        self.next += 1;
        Some(packet)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.burst.filled - self.next;
        (left, Some(left))
    }
}

impl ExactSizeIterator for BurstIter<'_> {}

impl std::fmt::Debug for Burst {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Burst")
            .field("len", &self.filled)
            .field("capacity", &self.records.len())
            .field("snaplen", &self.snaplen)
            .finish()
    }
}

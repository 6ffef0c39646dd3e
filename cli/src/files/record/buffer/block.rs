//! Private memory for packets on their way to a file.

use std::io;

use memif::{CaptureInfo, Direction, Packet, Timestamp};
use memmap2::MmapMut;

/// What a block has at least. Its pages are there once they are written to.
pub(super) const BLOCK: usize = 128 << 10;

/// Before each packet: time, bytes kept, length, interface, direction.
const HEAD: usize = 24;
/// Where a packet begins.
const ALIGNED: usize = 8;

/// Packets, one after the other. Its memory is given back when it is dropped.
pub(super) struct Block {
    memory: MmapMut,
    used: usize,
}

/// A packet of a block, and where it came from.
pub(super) struct Entry<'a> {
    pub(super) packet: Packet<'a>,
    pub(super) interface: u32,
    pub(super) way: Direction,
    /// Where the next begins.
    pub(super) end: usize,
}

impl Block {
    /// With room for a packet of so many bytes.
    pub(super) fn for_packet(bytes: usize) -> io::Result<Self> {
        Ok(Self {
            memory: MmapMut::map_anon(BLOCK.max(HEAD + bytes))?,
            used: 0,
        })
    }

    pub(super) fn size(&self) -> usize {
        self.memory.len()
    }

    /// Whether this one packet would have room, were there no others.
    pub(super) fn suits(&self, bytes: usize) -> bool {
        self.memory.len() >= HEAD + bytes
    }

    pub(super) fn is_empty(&self) -> bool {
        self.used == 0
    }

    pub(super) fn used(&self) -> usize {
        self.used
    }

    pub(super) fn clear(&mut self) {
        self.used = 0;
    }

    /// False where there is no room for it.
    #[inline]
    pub(super) fn put(&mut self, interface: u32, way: Direction, packet: &Packet<'_>) -> bool {
        let data = packet.data();
        let Some(room) = self.memory.get_mut(self.used..) else {
            return false;
        };
        if room.len() < HEAD + data.len() {
            return false;
        }
        let info = packet.info();
        let way = match way {
            Direction::Inbound => 1u32,
            Direction::Outbound => 2,
            _ => 0,
        };
        let length = u32::try_from(info.length).unwrap_or(u32::MAX);
        let (head, rest) = room.split_at_mut(HEAD);
        head[..8].copy_from_slice(&info.timestamp.as_nanos().to_ne_bytes());
        let numbers = [data.len() as u32, length, interface, way];
        for (field, number) in head[8..24].chunks_exact_mut(4).zip(numbers) {
            field.copy_from_slice(&number.to_ne_bytes());
        }
        rest[..data.len()].copy_from_slice(data);
        self.used = (self.used + HEAD + data.len()).next_multiple_of(ALIGNED);
        true
    }

    /// The packet that begins here.
    #[inline]
    pub(super) fn at(&self, start: usize) -> Option<Entry<'_>> {
        if start >= self.used {
            return None;
        }
        let (head, rest) = self.memory.get(start..)?.split_at_checked(HEAD)?;
        let number = |at: usize| Some(u32::from_ne_bytes(*head.get(at..)?.first_chunk()?));
        let captured = number(8)? as usize;
        let time = Timestamp::from_nanos(u64::from_ne_bytes(*head.first_chunk()?));
        let mut info = CaptureInfo::whole(number(12)? as usize, time);
        info.capture_length = captured;
        let way = match number(20)? {
            1 => Direction::Inbound,
            2 => Direction::Outbound,
            _ => Direction::Unknown,
        };
        Some(Entry {
            packet: Packet::new(rest.get(..captured)?, info),
            interface: number(16)?,
            way,
            end: (start + HEAD + captured).next_multiple_of(ALIGNED),
        })
    }
}

//! Records that are made beside the writer of a file, perhaps in another thread.

use super::classic::write as classic;
use super::ng::record as ng;
use crate::error::Error;
use crate::packet::Packet;
use crate::packet::direction::Direction;

/// How a file's records of packets look. They may be made anywhere, and given to a writer many at a
/// time, which then only passes them on.
///
/// ```
/// use memif::pcap::{CaptureReader, PcapWriter, RecordFormat};
/// use memif::{Direction, LinkType, Packet, PacketSource, Timestamp};
///
/// let when = Timestamp::from_nanos(1_500_000_000_123_456_789);
/// let packet = Packet::whole(&[0xff; 60], when);
/// let mut records = [0; 1000];
/// let size = RecordFormat::Pcap.put(&mut records, 0, Direction::Unknown, &packet)?;
///
/// let mut writer = PcapWriter::new(Vec::new(), LinkType::ETHERNET, None)?;
/// writer.write_records(&records[..size], 1)?;
/// let file = writer.close()?;
/// assert_eq!(CaptureReader::new(&file[..])?.read_packet()?.info().timestamp, when);
/// # Ok::<(), memif::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordFormat {
    /// As a [`PcapWriter`](super::PcapWriter) writes them. Interface and direction are not kept.
    Pcap,
    /// As a [`PcapNgWriter`](super::PcapNgWriter) writes them.
    PcapNg,
}

impl RecordFormat {
    /// Lays down a packet, with all its bytes, at the beginning of `room`. Returns the size of its
    /// record; where that is more than the room has, nothing was laid down.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for a packet that the format has no room for.
    #[inline]
    pub fn put(
        self,
        room: &mut [u8],
        interface: u32,
        direction: Direction,
        packet: &Packet<'_>,
    ) -> Result<usize, Error> {
        let (info, data) = (packet.info(), packet.data());
        match self {
            Self::Pcap => {
                classic::check(&info)?;
                let head = classic::head(&info, data.len());
                let size = head.len() + data.len();
                if let Some(room) = room.get_mut(..size) {
                    let (to, rest) = room.split_at_mut(head.len());
                    to.copy_from_slice(&head);
                    rest.copy_from_slice(data);
                }
                Ok(size)
            }
            Self::PcapNg => {
                ng::check(data.len())?;
                let frame = ng::Frame::new(interface, direction, &info, data.len());
                if let Some(room) = room.get_mut(..frame.size) {
                    let (to, rest) = room.split_at_mut(frame.head.len());
                    to.copy_from_slice(&frame.head);
                    let (to, rest) = rest.split_at_mut(data.len());
                    to.copy_from_slice(data);
                    let (to, rest) = rest.split_at_mut(frame.padding);
                    to.fill(0);
                    match &frame.tail {
                        ng::Tail::Options(tail) => rest.copy_from_slice(tail),
                        ng::Tail::Length(tail) => rest.copy_from_slice(tail),
                    }
                }
                Ok(frame.size)
            }
        }
    }

    /// The size of the first of some records.
    #[inline]
    pub fn first(self, records: &[u8]) -> Option<usize> {
        let (size, _) = match self {
            Self::Pcap => classic::measure(records, false),
            Self::PcapNg => ng::measure(records, false),
        }?;
        Some(size)
    }

    /// Adds to the numbers of the interfaces of some records.
    pub fn renumber(self, records: &mut [u8], add: u32) {
        if self == Self::Pcap {
            return;
        }
        let mut left = records;
        while let Some(size) = self.first(left)
            && let Some((record, rest)) = left.split_at_mut_checked(size.max(1))
        {
            ng::renumber(record, add);
            left = rest;
        }
    }
}

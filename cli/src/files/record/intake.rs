//! What of a packet is recorded, and what is counted of it.

use std::ops::AddAssign;

use memif::Packet;

use crate::files::filter::PacketFilter;

/// Which packets are recorded, and how much of them.
pub(super) struct Intake {
    pub(super) filter: PacketFilter,
    pub(super) snaplen: u32,
}

/// Its first bytes.
#[inline]
pub(super) fn cut<'p>(packet: &Packet<'p>, bytes: usize) -> Packet<'p> {
    match packet.data().get(..bytes) {
        Some(data) if data.len() < packet.data().len() => Packet::new(data, packet.info()),
        _ => *packet,
    }
}

/// Packets that were looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Looked {
    pub(super) packets: u64,
    pub(super) bytes: u64,
    /// By the filter.
    pub(super) accepted: u64,
    /// By the snap length.
    pub(super) cut: u64,
    /// In the file that they come from.
    pub(super) cut_before: u64,
}

impl Intake {
    /// How many bytes of a packet are to be recorded; `None` where the filter rejects it.
    #[inline]
    pub(super) fn look(&self, packet: &Packet<'_>) -> Option<usize> {
        let data = packet.data();
        let most = data.len().min(self.snaplen as usize);
        self.filter.matches(data).then_some(most)
    }

    /// Counts a packet, of which so many bytes were accepted.
    #[inline]
    pub(super) fn count(&self, looked: &mut Looked, packet: &Packet<'_>, kept: Option<usize>) {
        let length = packet.info().length;
        looked.packets += 1;
        looked.bytes += length as u64;
        let Some(kept) = kept else { return };
        looked.accepted += 1;
        if kept < length {
            match kept == self.snaplen as usize {
                true => looked.cut += 1,
                false => looked.cut_before += 1,
            }
        }
    }
}

impl AddAssign for Looked {
    fn add_assign(&mut self, more: Self) {
        self.packets += more.packets;
        self.bytes += more.bytes;
        self.accepted += more.accepted;
        self.cut += more.cut;
        self.cut_before += more.cut_before;
    }
}

//! The transmit side: collects frames in private memory and publishes them in bursts.

use std::num::NonZeroU16;

use smoltcp::phy::{self, ChecksumCapabilities, Medium, PacketMeta};

use super::segment::Layout;
use super::settings::{DEFAULT_BURST, MAX_FRAME, Segmentation};
use super::stats::DeviceStats;
use crate::error::{Eof, Error};
use crate::queue::TxQueue;

/// The most bytes that are collected before a burst is published, so that they stay in the core's
/// own cache.
const BURST_BYTES: usize = 128 << 10;

#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) queue: TxQueue,
    /// Those from `sent` to `filled` wait to be published. The others are spare memory.
    frames: Vec<Frame>,
    sent: usize,
    filled: usize,
    bytes: usize,
    /// The stack writes a segment here that is then cut.
    large: Frame,
    /// The number of frames that are collected before a burst is published.
    pub(super) burst: usize,
    pub(super) ring: Ring,
    pub(super) medium: Medium,
    pub(super) checksum: ChecksumCapabilities,
    pub(super) segmentation: Segmentation,
    pub(super) stats: DeviceStats,
    pub(super) last_error: Option<Error>,
    /// Since the last wait, the stack asked for a token and got none.
    pub(super) refused: bool,
    /// The link was down when it was last checked.
    pub(super) down: bool,
    /// The link that the size of the ring is of.
    link: u64,
}

/// The size of the ring: of the present link or the last one, or what is configured before the
/// first.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ring {
    pub(super) slots: usize,
    pub(super) buffer_size: usize,
}

impl Ring {
    fn bytes(self) -> usize {
        self.slots * self.buffer_size
    }
}

#[derive(Clone, Debug, Default)]
struct Frame {
    /// As long as the longest frame that it has held.
    memory: Vec<u8>,
    length: usize,
    /// For a segment above the MTU: how many bytes its pieces would carry.
    segment_size: Option<NonZeroU16>,
}

impl Frame {
    fn prepare(&mut self, length: usize) -> &mut [u8] {
        if self.memory.len() < length {
            self.memory.resize(length, 0);
        }
        self.length = length;
        self.segment_size = None;
        &mut self.memory[..length]
    }
}

impl AsRef<[u8]> for Frame {
    fn as_ref(&self) -> &[u8] {
        &self.memory[..self.length]
    }
}

impl Outgoing {
    pub(super) fn new(mut queue: TxQueue, medium: Medium, ring: Ring) -> Self {
        let down = !queue.is_up();
        let mut this = Self {
            queue,
            frames: Vec::new(),
            sent: 0,
            filled: 0,
            bytes: 0,
            large: Frame::default(),
            burst: DEFAULT_BURST.into(),
            ring,
            medium,
            checksum: ChecksumCapabilities::default(),
            segmentation: Segmentation::Off,
            stats: DeviceStats::default(),
            last_error: None,
            refused: false,
            down,
            link: 0,
        };
        this.look_at_link();
        this
    }

    /// Takes note of another link, whose slave may have chosen another size.
    pub(super) fn look_at_link(&mut self) {
        let link = self.queue.links();
        if self.link != link
            && let Some((buffer_size, slots)) = self.queue.room()
        {
            self.ring = Ring { slots, buffer_size };
            self.link = link;
        }
    }

    pub(super) fn waiting(&self) -> usize {
        self.filled - self.sent
    }

    /// Whether the stack may send without having received something first.
    pub(super) fn may_send(&mut self) -> bool {
        let may = self.has_room(self.burst, BURST_BYTES);
        self.refused |= !may;
        may
    }

    /// Whether a packet may be received. It may have to be answered.
    ///
    /// Two stacks whose rings are both full would wait for each other for ever if neither received.
    /// Therefore answers may be queued here, as many as there can be packets under way. While the
    /// link is down nothing is held back: answers get lost, and the reader is told only after the
    /// last packet.
    pub(super) fn may_answer(&mut self) -> bool {
        let frames = 2 * (self.burst + self.ring.slots);
        let may = self.has_room(frames, 2 * (BURST_BYTES + self.ring.bytes())) || self.down;
        self.refused |= !may;
        may
    }

    /// Whether there is room for one more frame. Publishes the waiting frames if they make a burst.
    fn has_room(&mut self, frames: usize, bytes: usize) -> bool {
        self.look_at_link();
        if self.waiting() >= self.burst || self.bytes >= BURST_BYTES {
            self.publish();
        }
        if self.down {
            self.down = !self.queue.is_up();
        }
        !self.down && self.waiting() < frames && self.bytes < bytes
    }

    /// Whether a full ring, or a link that is down, holds the stack up.
    pub(super) fn is_stuck(&mut self) -> bool {
        if self.down {
            self.down = !self.queue.is_up();
        }
        self.down || self.waiting() > 0
    }

    /// Puts the collected frames on the ring, as far as there is room.
    pub(super) fn publish(&mut self) {
        while self.sent < self.filled {
            match self.queue.tx_burst(&self.frames[self.sent..self.filled]) {
                Ok(0) => {
                    self.stats.tx_ring_full += 1;
                    break;
                }
                Ok(count) => {
                    self.stats.tx_bursts += 1;
                    self.stats.tx_packets += count as u64;
                    let sent = &self.frames[self.sent..self.sent + count];
                    let bytes: usize = sent.iter().map(|frame| frame.length).sum();
                    self.stats.tx_bytes += bytes as u64;
                    self.taken(count, bytes);
                }
                Err(Error::Eof(Eof::LinkDown | Eof::Closed)) => {
                    self.down = true;
                    self.drop_all();
                }
                // Only the first frame can't be sent.
                Err(error @ (Error::TooLong { .. } | Error::EmptyPacket)) => {
                    if self.cut_first() {
                        continue;
                    }
                    log::warn!("smoltcp device: {error}");
                    self.last_error = Some(error);
                    self.stats.tx_dropped += 1;
                    let bytes = self.frames[self.sent].length;
                    self.taken(1, bytes);
                }
                Err(error) => {
                    log::warn!("smoltcp device: {error}");
                    self.last_error = Some(error);
                    self.down = true;
                    self.drop_all();
                }
            }
        }
        if self.sent == self.filled {
            (self.sent, self.filled, self.bytes) = (0, 0, 0);
            // Frees memory that only a backlog needed.
            self.frames.truncate(2 * self.burst);
        } else if self.sent >= self.burst {
            self.frames[..self.filled].rotate_left(self.sent);
            (self.sent, self.filled) = (0, self.filled - self.sent);
        }
    }

    /// Cuts the next frame if it is a segment above the MTU and exceeds the ring. This happens if
    /// the slave chose a smaller ring after the stack was told the size.
    fn cut_first(&mut self) -> bool {
        let large = &self.frames[self.sent];
        let Some(size) = large.segment_size else {
            return false;
        };
        let Some(layout) = Layout::of(large.as_ref(), self.medium) else {
            return false;
        };
        let ranges = layout.pieces(large.as_ref(), size.get().into());
        let pieces: Vec<Frame> = ranges
            .map(|range| {
                let mut piece = Frame::default();
                let out = piece.prepare(layout.payload + range.len());
                layout.write(large.as_ref(), range, &self.checksum, out);
                piece
            })
            .collect();
        let bytes: usize = pieces.iter().map(|piece| piece.length).sum();
        self.bytes = (self.bytes + bytes).saturating_sub(large.length);
        self.filled = self.filled - 1 + pieces.len();
        self.frames.splice(self.sent..=self.sent, pieces);
        true
    }

    fn taken(&mut self, count: usize, bytes: usize) {
        self.sent += count;
        self.bytes = self.bytes.saturating_sub(bytes);
    }

    fn drop_all(&mut self) {
        self.stats.tx_dropped += self.waiting() as u64;
        self.sent = self.filled;
    }

    /// Makes room for one more frame, which the caller writes.
    fn frame(&mut self, length: usize) -> &mut [u8] {
        if self.filled == self.frames.len() {
            self.frames.push(Frame::default());
        }
        let frame = &mut self.frames[self.filled];
        self.filled += 1;
        self.bytes += length;
        frame.prepare(length)
    }

    fn send<R>(
        &mut self,
        length: usize,
        size: Option<NonZeroU16>,
        write: impl FnOnce(&mut [u8]) -> R,
    ) -> R {
        if length == 0 || length > MAX_FRAME {
            self.stats.tx_dropped += 1;
            return write(self.large.prepare(length));
        }
        if let (Some(size), Segmentation::Cut) = (size, self.segmentation) {
            return self.cut(length, size.get().into(), write);
        }
        let (medium, offloaded) = (self.medium, self.segmentation != Segmentation::Off);
        let checksum = self.checksum.clone();
        let frame = self.frame(length);
        let result = write(frame);
        // With segmentation, the stack leaves TCP's checksum to the device.
        if offloaded && let Some(layout) = Layout::of(frame, medium) {
            layout.fill_tcp(frame, &checksum);
        }
        if size.is_some() {
            self.frames[self.filled - 1].segment_size = size;
            self.stats.tx_large += 1;
        }
        result
    }

    fn cut<R>(&mut self, length: usize, size: usize, write: impl FnOnce(&mut [u8]) -> R) -> R {
        let mut large = std::mem::take(&mut self.large);
        let frame = large.prepare(length);
        let result = write(frame);
        if let Some(layout) = Layout::of(frame, self.medium) {
            let checksum = self.checksum.clone();
            for piece in layout.pieces(frame, size) {
                let out = self.frame(layout.payload + piece.len());
                layout.write(frame, piece, &checksum, out);
            }
            self.stats.tx_large += 1;
        } else {
            self.stats.tx_dropped += 1;
        }
        self.large = large;
        result
    }
}

/// Dropping a token without using it costs nothing, because nothing is reserved before `consume`.
#[doc(hidden)]
#[derive(Debug)]
pub struct TxToken<'a> {
    pub(super) outgoing: &'a mut Outgoing,
    pub(super) segment_size: Option<NonZeroU16>,
}

impl phy::TxToken for TxToken<'_> {
    fn consume<R, F>(self, len: usize, f: F) -> R
    where
        F: FnOnce(&mut [u8]) -> R,
    {
        self.outgoing.send(len, self.segment_size, f)
    }

    fn set_meta(&mut self, meta: PacketMeta) {
        self.segment_size = meta.segmentation_offload_size;
    }
}

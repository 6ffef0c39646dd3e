//! Frames that the kernel has handed over, as they are to cross a memif.

use std::ops::Range;

use super::layout::{CWR, FIN, Layout, PSH};
use super::sum::Sum;
use super::virtio::{Kind, Virtio};

/// An IP packet of the greatest length, with Ethernet and two VLAN headers.
pub(crate) const MAX_FRAME: usize = 65_535 + 22;

/// Frames, packed one after the other.
#[derive(Default)]
pub(crate) struct Frames {
    bytes: Vec<u8>,
    /// How much of `bytes` is in use, also by what has been cut and is not needed any more.
    end: usize,
    frames: Vec<Range<usize>>,
}

impl Frames {
    pub(crate) fn clear(&mut self) {
        self.end = 0;
        self.frames.clear();
    }

    /// How many frames there are.
    pub(crate) fn len(&self) -> usize {
        self.frames.len()
    }

    /// How many bytes are in use.
    pub(crate) fn bytes(&self) -> usize {
        self.end
    }

    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.frames.iter().map(|frame| &self.bytes[frame.clone()])
    }

    /// Where the next frame is to be put.
    pub(crate) fn room(&mut self) -> &mut [u8] {
        self.make_room(MAX_FRAME);
        &mut self.bytes[self.end..]
    }

    fn make_room(&mut self, length: usize) {
        if self.bytes.len() < self.end + length {
            self.bytes.resize(self.end + length, 0);
        }
    }

    /// Takes a frame of so many bytes that was put there and is complete.
    pub(crate) fn take(&mut self, length: usize) {
        self.frames.push(self.end..self.end + length);
        self.end += length;
    }

    /// As `take`, for one that is complete when this is done. TCP stays whole up to a frame of
    /// `whole` bytes. `None`, and no frame, if that can't be done.
    pub(crate) fn finish(&mut self, length: usize, left: &Virtio, whole: usize) -> Option<()> {
        let frame = self.bytes.get_mut(self.end..self.end + length)?;
        if let Some(segments) = left.segments {
            let layout = layout(frame, left, segments.kind)?;
            let payload = length - layout.payload;
            let cuts = layout.udp || length > whole;
            if cuts && payload > usize::from(segments.size) {
                return self.cut(length, &layout, left, segments.size.into());
            }
            if !left.needs_checksum {
                layout.set_checksum(frame, 0);
                let transport = &frame[layout.transport..];
                let sum = layout.pseudo_header(frame, transport.len()).add(transport);
                layout.set_checksum(frame, complete(sum.value(), layout.udp));
            }
        }
        if left.needs_checksum {
            let (start, offset) = (usize::from(left.start), usize::from(left.offset));
            let sum = Sum::of(frame.get(start..)?).value();
            let place = frame.get_mut(start + offset..start + offset + 2)?;
            place.copy_from_slice(&complete(sum, offset == 6).to_be_bytes());
        }
        self.take(length);
        Some(())
    }

    fn cut(&mut self, length: usize, layout: &Layout, left: &Virtio, size: usize) -> Option<()> {
        let count = (length - layout.payload).checked_div(size)? + 1;
        let frame = self.end;
        self.end += length;
        self.make_room(length + count * layout.payload);
        let (whole, mut room) = self.bytes.split_at_mut(self.end);
        let (headers, payload) = whole[frame..].split_at(layout.payload);

        let transport = length - layout.transport;
        let pseudo_header = match left.needs_checksum {
            true => Sum::default().add_word(layout.checksum_of(headers)),
            false => layout.pseudo_header(headers, transport),
        };
        // Without the length, which differs.
        let pseudo_header = pseudo_header.add_word(!(transport as u16));
        let (sequence, flags) = match layout.udp {
            true => (0, 0),
            false => (layout.sequence(headers), layout.flags(headers)),
        };
        let last = payload.chunks(size).len() - 1;
        for (n, piece) in payload.chunks(size).enumerate() {
            let (segment, rest) = room.split_at_mut(headers.len() + piece.len());
            room = rest;
            segment[..headers.len()].copy_from_slice(headers);
            segment[headers.len()..].copy_from_slice(piece);
            layout.add_to_id(segment, n as u16);
            layout.set_length(segment, piece.len());
            if !layout.udp {
                let mut flags = flags;
                if n > 0 {
                    flags &= !CWR;
                }
                if n < last {
                    flags &= !(FIN | PSH);
                }
                layout.set_flags(segment, flags);
                layout.set_sequence(segment, sequence.wrapping_add((n * size) as u32));
            }
            layout.set_checksum(segment, 0);
            let transport = &segment[layout.transport..];
            let sum = pseudo_header
                .add_word(transport.len() as u16)
                .add(transport);
            layout.set_checksum(segment, complete(sum.value(), layout.udp));
            self.frames.push(self.end..self.end + segment.len());
            self.end += segment.len();
        }
        Some(())
    }
}

/// Of a frame that is to be cut.
fn layout(frame: &[u8], left: &Virtio, kind: Kind) -> Option<Layout> {
    let udp = kind == Kind::Udp;
    let layout = match left.needs_checksum {
        true => Layout::at(frame, left.start.into(), udp)?,
        false => Layout::of(frame)?,
    };
    let fits = match kind {
        Kind::TcpV4 => !layout.v6 && !layout.udp,
        Kind::TcpV6 => layout.v6 && !layout.udp,
        Kind::Udp => layout.udp,
    };
    fits.then_some(layout)
}

/// The checksum for a sum: UDP's zero would mean that there is none.
fn complete(sum: u16, udp: bool) -> u16 {
    match !sum {
        0 if udp => 0xffff,
        checksum => checksum,
    }
}

//! Joins segments that follow each other, so that the kernel takes them as one frame.

use super::layout::{ACK, CWR, Layout, PSH, RST, SYN, URG};
use super::virtio::{Kind, Segments, Virtio};

/// Flows whose segments are joined at a time.
const FLOWS: usize = 8;
/// The most that an IP packet holds, headers included.
const MAX_PACKET: usize = 65_535;
/// The most datagrams that the kernel takes as one frame.
const MAX_DATAGRAMS: usize = 64;

/// What the kernel takes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// The longest IP packet of the device.
    pub(crate) mtu: usize,
    /// Whether it takes joined datagrams.
    pub(crate) udp: bool,
}

/// Decides which frames of a burst are written together. Frames of a flow keep their order.
#[derive(Default)]
pub(crate) struct Joiner {
    groups: Vec<Group>,
    /// For each frame, the one after it in its group.
    next: Vec<usize>,
    /// The groups that may still grow, the oldest first. Of a flow only its last.
    open: Vec<usize>,
}

/// One frame for the kernel, of one or more of the burst.
pub(crate) struct Group {
    first: usize,
    last: usize,
    count: usize,
    /// `None` if it is passed on as it is, whatever it is.
    layout: Option<Layout>,
    /// Payload of each segment; the last may have less.
    size: usize,
    /// Payload of all.
    payload: usize,
    /// The sequence number after it.
    sequence: u32,
    /// The checksums of what is in it are known to be right.
    verified: bool,
    /// Whether another frame may follow.
    open: bool,
}

impl Joiner {
    pub(crate) fn join<T: AsRef<[u8]>>(&mut self, frames: &[T], limits: Limits) {
        self.groups.clear();
        self.open.clear();
        self.next.clear();
        self.next.resize(frames.len(), usize::MAX);
        for n in 0..frames.len() {
            let layout = Layout::of(frames[n].as_ref());
            if let Some(layout) = layout {
                if self.append(frames, n, layout, limits) {
                    continue;
                }
            } else {
                // Of any flow, perhaps: a fragment, or with options.
                self.open.clear();
            }
            let group = Group::new(n, frames[n].as_ref(), layout, limits);
            if group.open {
                if self.open.len() == FLOWS {
                    self.open.remove(0);
                }
                self.open.push(self.groups.len());
            }
            self.groups.push(group);
        }
    }

    /// Whether the frame could be joined to the group of its flow. If not, none will be.
    fn append<T: AsRef<[u8]>>(
        &mut self,
        frames: &[T],
        n: usize,
        layout: Layout,
        limits: Limits,
    ) -> bool {
        let frame = frames[n].as_ref();
        let of_flow = self.open.iter().position(|&group| {
            let first = &self.groups[group];
            first.layout.is_some_and(|other| {
                (other.ip, other.transport, other.v6) == (layout.ip, layout.transport, layout.v6)
                    && layout.is_same_flow(frames[first.first].as_ref(), frame)
            })
        });
        let Some(at) = of_flow else { return false };
        let group = &mut self.groups[self.open[at]];
        let last = group.last;
        let joined = group.append(frames, n, layout, limits);
        if joined {
            self.next[last] = n;
        }
        if !joined || !group.open {
            self.open.remove(at);
        }
        joined
    }

    /// The frames of a group, in order.
    pub(crate) fn members(&self, group: &Group) -> impl Iterator<Item = usize> + Clone + use<'_> {
        let after = |&n: &usize| Some(self.next[n]).filter(|&next| next != usize::MAX);
        std::iter::successors(Some(group.first), after)
    }

    pub(crate) fn groups(&self) -> &[Group] {
        &self.groups
    }
}

impl Group {
    fn new(n: usize, frame: &[u8], layout: Option<Layout>, limits: Limits) -> Self {
        let mut group = Self {
            first: n,
            last: n,
            count: 1,
            layout,
            size: 0,
            payload: 0,
            sequence: 0,
            verified: false,
            open: false,
        };
        let Some(layout) = layout.filter(|layout| layout.is_exact(frame)) else {
            return group;
        };
        let headers = layout.payload - layout.ip;
        let payload = frame.len() - layout.payload;
        (group.size, group.payload) = (payload, payload);
        let flags = match layout.udp {
            true => 0,
            false => layout.flags(frame),
        };
        if headers + payload > limits.mtu {
            // It came whole.
            let cuts = !layout.udp && flags & (SYN | RST | URG) == 0 && headers < limits.mtu;
            if cuts && layout.is_right(frame) {
                group.size = limits.mtu - headers;
            }
            return group;
        }
        if layout.udp {
            group.open = limits.udp && payload > 0 && layout.checksum_of(frame) != 0;
        } else {
            group.open = payload > 0 && flags == ACK;
            group.sequence = layout.sequence(frame).wrapping_add(payload as u32);
        }
        group
    }

    fn append<T: AsRef<[u8]>>(
        &mut self,
        frames: &[T],
        n: usize,
        layout: Layout,
        limits: Limits,
    ) -> bool {
        let (first, frame) = (frames[self.first].as_ref(), frames[n].as_ref());
        let payload = frame.len() - layout.payload;
        let continues = match layout.udp {
            true => limits.udp && self.count < MAX_DATAGRAMS && layout.checksum_of(frame) != 0,
            false => layout.sequence(frame) == self.sequence,
        };
        let joins = self.layout == Some(layout)
            && continues
            && (1..=self.size).contains(&payload)
            && layout.payload - layout.ip + self.payload + payload <= MAX_PACKET
            && layout.is_exact(frame)
            && layout.is_alike(first, frame)
            && layout.ids_follow(first, frame, self.count as u16)
            && (self.verified || layout.is_right(first))
            && layout.is_right(frame);
        if joins {
            self.last = n;
            self.count += 1;
            self.payload += payload;
            self.sequence = self.sequence.wrapping_add(payload as u32);
            self.verified = true;
            let pushed = !layout.udp && layout.flags(frame) & PSH != 0;
            self.open = payload == self.size && !pushed;
        }
        joins
    }

    /// How many frames of the burst it has.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// Writes the headers of the frame that it is for the kernel; where the payload begins in its
    /// members, and what is left for the kernel to do. `None` if its only frame goes as it is.
    pub(crate) fn headers<T: AsRef<[u8]>>(
        &self,
        frames: &[T],
        headers: &mut Vec<u8>,
    ) -> Option<(Virtio, usize)> {
        let layout = self.layout.filter(|_| self.payload > self.size)?;
        headers.clear();
        headers.extend_from_slice(&frames[self.first].as_ref()[..layout.payload]);
        let mut ecn = false;
        if !layout.udp {
            let flags = layout.flags(headers) | layout.flags(frames[self.last].as_ref()) & PSH;
            layout.set_flags(headers, flags);
            ecn = flags & CWR != 0;
        }
        layout.set_length(headers, self.payload);
        let transport = layout.payload - layout.transport + self.payload;
        let pseudo_header = layout.pseudo_header(headers, transport).value();
        layout.set_checksum(headers, pseudo_header);
        let virtio = Virtio {
            needs_checksum: true,
            start: layout.transport as u16,
            offset: layout.checksum() as u16,
            segments: Some(Segments {
                kind: match (layout.udp, layout.v6) {
                    (true, _) => Kind::Udp,
                    (false, false) => Kind::TcpV4,
                    (false, true) => Kind::TcpV6,
                },
                ecn,
                headers: layout.payload as u16,
                size: self.size as u16,
            }),
        };
        Some((virtio, layout.payload))
    }
}

//! Frames to cut and to join, made and judged by smoltcp.

mod cut;
mod join;
mod noise;

use smoltcp::wire::{IpAddress, Ipv4Packet, Ipv6Packet, TcpPacket, UdpPacket};

use super::layout::{ACK, PSH};
use super::virtio::{Kind, Segments};
use super::{Frames, Joiner, Limits, Virtio};

const LIMITS: Limits = Limits {
    mtu: 1500,
    udp: true,
};

/// What a frame consists of: of TCP with twelve bytes of options.
#[derive(Clone, Copy, Debug)]
struct Shape {
    v6: bool,
    udp: bool,
    vlan: bool,
}

impl Shape {
    const TCP: Self = Self {
        v6: false,
        udp: false,
        vlan: false,
    };
    const UDP: Self = Self {
        udp: true,
        ..Self::TCP
    };
    const TCP_V6: Self = Self {
        v6: true,
        ..Self::TCP
    };

    fn all() -> impl Iterator<Item = Self> {
        (0..8).map(|n| Self {
            v6: n & 1 != 0,
            udp: n & 2 != 0,
            vlan: n & 4 != 0,
        })
    }

    fn ip(self) -> usize {
        14 + if self.vlan { 4 } else { 0 }
    }

    fn transport(self) -> usize {
        self.ip() + if self.v6 { 40 } else { 20 }
    }

    fn payload(self) -> usize {
        self.transport() + if self.udp { 8 } else { 32 }
    }

    fn checksum(self) -> usize {
        self.transport() + if self.udp { 6 } else { 16 }
    }

    /// With right lengths and checksums.
    fn frame(self, sequence: u32, payload: &[u8]) -> Vec<u8> {
        self.edited(sequence, payload, |_| {})
    }

    /// As `frame`, where `edit` was before the checksums.
    fn edited(self, sequence: u32, payload: &[u8], edit: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let mut frame = vec![2; 12];
        if self.vlan {
            frame.extend([0x81, 0, 0, 7]);
        }
        frame.extend(if self.v6 { [0x86, 0xdd] } else { [8, 0] });
        let protocol = if self.udp { 17 } else { 6 };
        let length = self.payload() - self.transport() + payload.len();
        if self.v6 {
            frame.extend([0x60, 0, 0, 0]);
            frame.extend((length as u16).to_be_bytes());
            frame.extend([protocol, 64]);
            frame.extend([0xfd; 31]);
            frame.push(1);
        } else {
            frame.extend([0x45, 0]);
            frame.extend((length as u16 + 20).to_be_bytes());
            frame.extend([0xff, 0xfe, 0x40, 0, 64, protocol, 0, 0]);
            frame.extend([10, 0, 0, 1, 10, 0, 0, 2]);
        }
        frame.extend([0, 7, 0, 8]);
        if self.udp {
            frame.extend((length as u16).to_be_bytes());
            frame.extend([0, 0]);
        } else {
            frame.extend(sequence.to_be_bytes());
            frame.extend([0, 0, 0, 1, 0x80, ACK, 1, 0, 0, 0, 0, 0]);
            frame.extend([1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2]);
        }
        frame.extend(payload);
        edit(&mut frame);
        self.fill(&mut frame);
        frame
    }

    fn ends(self, frame: &[u8]) -> (IpAddress, IpAddress) {
        let ip = &frame[self.ip()..];
        match self.v6 {
            true => {
                let ip = Ipv6Packet::new_unchecked(ip);
                (ip.src_addr().into(), ip.dst_addr().into())
            }
            false => {
                let ip = Ipv4Packet::new_unchecked(ip);
                (ip.src_addr().into(), ip.dst_addr().into())
            }
        }
    }

    fn fill(self, frame: &mut [u8]) {
        let (from, to) = self.ends(frame);
        if !self.v6 {
            Ipv4Packet::new_unchecked(&mut frame[self.ip()..]).fill_checksum();
        }
        let transport = &mut frame[self.transport()..];
        match self.udp {
            true => UdpPacket::new_unchecked(transport).fill_checksum(&from, &to),
            false => TcpPacket::new_unchecked(transport).fill_checksum(&from, &to),
        }
    }

    /// Fails unless all lengths and checksums are right.
    #[track_caller]
    fn check(self, frame: &[u8]) {
        let (from, to) = self.ends(frame);
        let ip = &frame[self.ip()..];
        if self.v6 {
            assert_eq!(Ipv6Packet::new_checked(ip).unwrap().total_len(), ip.len());
        } else {
            let packet = Ipv4Packet::new_checked(ip).unwrap();
            assert_eq!(usize::from(packet.total_len()), ip.len());
            assert!(packet.verify_checksum());
        }
        let transport = &frame[self.transport()..];
        if self.udp {
            let packet = UdpPacket::new_checked(transport).unwrap();
            assert_eq!(usize::from(packet.len()), transport.len());
            assert!(packet.checksum() != 0 && packet.verify_checksum(&from, &to));
        } else {
            let packet = TcpPacket::new_checked(transport).unwrap();
            assert!(packet.verify_checksum(&from, &to));
        }
    }

    /// As the kernel hands a frame over: with the pseudo-header's sum only.
    fn unfinished(self, frame: &mut [u8]) -> Virtio {
        let ip = self.ip();
        let length = (frame.len() - self.transport()) as u32;
        let protocol = if self.udp { 17 } else { 6 };
        let addresses = match self.v6 {
            true => &frame[ip + 8..ip + 40],
            false => &frame[ip + 12..ip + 20],
        };
        let words = addresses
            .chunks(2)
            .map(|word| u32::from(word[0]) << 8 | u32::from(word[1]));
        let mut sum = words.sum::<u32>() + length + protocol;
        while sum > 0xffff {
            sum = (sum >> 16) + (sum & 0xffff);
        }
        let at = self.checksum();
        frame[at..at + 2].copy_from_slice(&(sum as u16).to_be_bytes());
        Virtio {
            needs_checksum: true,
            start: self.transport() as u16,
            offset: (at - self.transport()) as u16,
            segments: None,
        }
    }

    fn segments(self, size: usize) -> Option<Segments> {
        Some(Segments {
            kind: match (self.udp, self.v6) {
                (true, _) => Kind::Udp,
                (false, true) => Kind::TcpV6,
                (false, false) => Kind::TcpV4,
            },
            ecn: false,
            headers: self.payload() as u16,
            size: size as u16,
        })
    }

    /// A frame with so much payload to be cut, and what is to be done.
    fn whole(self, length: usize, size: usize) -> (Vec<u8>, Virtio) {
        let mut frame = self.edited(0xffff_ff00, &payload(length), |frame| {
            if !self.udp {
                frame[self.transport() + 13] |= PSH;
            }
        });
        let mut virtio = self.unfinished(&mut frame);
        virtio.segments = self.segments(size);
        (frame, virtio)
    }
}

fn payload(length: usize) -> Vec<u8> {
    (0..length).map(|n| (n * 7 + n / 251) as u8).collect()
}

/// What becomes of a frame that the kernel hands over; `None` if it is not understood.
fn finished(frame: &[u8], virtio: &Virtio, whole: usize) -> Option<Vec<Vec<u8>>> {
    let mut frames = Frames::default();
    frames.room()[..frame.len()].copy_from_slice(frame);
    let done = frames.finish(frame.len(), virtio, whole);
    assert!(done.is_some() || frames.len() == 0);
    done.map(|()| frames.iter().map(<[u8]>::to_vec).collect())
}

/// What the kernel gets of a burst: frames, with what is left to do for those that are not as they
/// came.
fn joined(frames: &[Vec<u8>], limits: Limits) -> Vec<(Vec<u8>, Option<Virtio>)> {
    let mut joiner = Joiner::default();
    joiner.join(frames, limits);
    let mut members: Vec<usize> = Vec::new();
    let written = joiner.groups().iter().map(|group| {
        let group_members: Vec<_> = joiner.members(group).collect();
        assert_eq!(group_members.len(), group.count());
        members.extend(&group_members);
        let mut headers = Vec::new();
        match group.headers(frames, &mut headers) {
            None => {
                assert_eq!(group.count(), 1);
                (frames[group_members[0]].clone(), None)
            }
            Some((virtio, at)) => {
                let payloads = group_members.iter().flat_map(|&n| &frames[n][at..]);
                headers.extend(payloads);
                (headers, Some(virtio))
            }
        }
    });
    let written = written.collect();
    members.sort_unstable();
    assert!(members.into_iter().eq(0..frames.len()), "each frame once");
    written
}

#[test]
fn what_is_left_to_do_is_read_and_written() {
    let (_, virtio) = Shape::TCP_V6.whole(3000, 1000);
    assert_eq!(Virtio::decode(virtio.encode()), Some(virtio));
    let mut with_ecn = virtio;
    with_ecn.segments.as_mut().unwrap().ecn = true;
    assert_eq!(with_ecn.encode()[1], 0x84);
    assert_eq!(Virtio::decode(with_ecn.encode()), Some(with_ecn));
    assert_eq!(Virtio::default().encode(), [0; Virtio::LENGTH]);
    // UDP in fragments, which was not offered.
    let mut bytes = virtio.encode();
    bytes[1] = 3;
    assert_eq!(Virtio::decode(bytes), None);
}

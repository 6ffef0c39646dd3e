//! Frames and headers that nobody would send.

use super::*;

/// Numbers by chance, the same each time.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 >> 11
    }

    fn below(&mut self, limit: usize) -> usize {
        self.next() as usize % limit
    }

    fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    fn shape(&mut self) -> Shape {
        Shape {
            v6: self.once_in(2),
            udp: self.once_in(2),
            vlan: self.once_in(4),
        }
    }

    /// Some bytes turned, cut or added.
    fn spoil(&mut self, frame: &mut Vec<u8>) {
        for _ in 0..1 + self.below(3) {
            match self.below(4) {
                0 => frame.truncate(self.below(frame.len() + 1)),
                1 => frame.push(self.next() as u8),
                _ if frame.is_empty() => {}
                _ => {
                    // The headers are worth more than the rest.
                    let most = frame.len().min(100);
                    let at = self.below(most);
                    frame[at] = self.next() as u8;
                }
            }
        }
    }
}

#[test]
fn whatever_comes_is_written_once_and_in_order() {
    let mut chance = Chance(0x5eed);
    for _ in 0..1000 {
        let mut sequences = [0; 12];
        let frames: Vec<_> = (0..1 + chance.below(40))
            .map(|_| {
                let flow = chance.below(12);
                let shape = [Shape::TCP, Shape::UDP, Shape::TCP_V6][flow % 3];
                let length = [0, 1, 100, 100, 100, 1400, 3000][chance.below(7)];
                let mut frame = shape.edited(sequences[flow], &payload(length), |frame| {
                    frame[shape.transport() + 1] = flow as u8;
                });
                sequences[flow] += length as u32;
                if chance.once_in(8) {
                    chance.spoil(&mut frame);
                }
                frame
            })
            .collect();
        // Cut again, it is what came: all of it, and each flow in its order.
        let mut after = Vec::new();
        for (frame, virtio) in joined(&frames, LIMITS) {
            match virtio {
                None => after.push(frame),
                Some(virtio) if frame.len() > 3000 && virtio.segments.unwrap().size > 1400 => {
                    after.extend(finished(&frame, &virtio, usize::MAX).unwrap());
                }
                Some(virtio) => after.extend(finished(&frame, &virtio, 0).unwrap()),
            }
        }
        let flows = |frames: &[Vec<u8>]| {
            let mut flows: Vec<(Vec<u8>, Vec<u8>)> =
                frames.iter().map(|frame| marked(frame)).collect();
            flows.sort_by(|a, b| a.0.cmp(&b.0));
            flows
        };
        assert!(flows(&frames) == flows(&after));
    }
}

/// Which flow a frame is of, and what is not an id or a checksum of the network's header.
fn marked(frame: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let v6 = frame.get(12) == Some(&0x86);
    let parts = match v6 {
        true => [0..14, 20..21, 22..54, 54..58],
        false => [0..14, 23..24, 26..34, 34..38],
    };
    let parts = parts.map(|part| frame.get(part).unwrap_or_default());
    let mut rest = frame.to_owned();
    if !v6 && rest.len() > 26 {
        rest[18..20].fill(0);
        rest[24..26].fill(0);
    }
    (parts.concat(), rest)
}

#[test]
fn nothing_that_the_kernel_could_say_is_too_much() {
    let mut chance = Chance(0xbeef);
    for _ in 0..5000 {
        let shape = chance.shape();
        let length = chance.below(3000);
        let size = 1 + chance.below(1500);
        let (mut frame, virtio) = shape.whole(length, size);
        if chance.once_in(2) {
            chance.spoil(&mut frame);
        }
        let mut header = virtio.encode();
        for _ in 0..chance.below(3) {
            header[chance.below(Virtio::LENGTH)] = chance.next() as u8;
        }
        if let Some(virtio) = Virtio::decode(header) {
            let whole = chance.below(2) * 65_536;
            let done = finished(&frame, &virtio, whole);
            assert!(done.is_none_or(|frames| !frames.is_empty()));
        }
    }
}

/// Beside a sum of one word at a time.
#[test]
fn sums_of_all_lengths_are_right() {
    let mut chance = Chance(1);
    for length in 0..300 {
        let bytes: Vec<_> = (0..length)
            .map(|_| {
                if chance.once_in(2) {
                    0xff
                } else {
                    chance.next() as u8
                }
            })
            .collect();
        let words = bytes
            .chunks(2)
            .map(|word| u64::from(word[0]) << 8 | u64::from(word.get(1).copied().unwrap_or(0)));
        let mut sum: u64 = words.sum();
        while sum > 0xffff {
            sum = (sum >> 16) + (sum & 0xffff);
        }
        let fast = super::super::sum::Sum::of(&bytes);
        assert_eq!(u64::from(fast.value()), sum, "{length}");
        let (front, back) = bytes.split_at((length / 2) & !1);
        assert_eq!(
            super::super::sum::Sum::of(front).add(back).value(),
            fast.value()
        );
    }
}

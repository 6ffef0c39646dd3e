//! The frames that the kernel gets.

use std::io::{self, IoSlice};
use std::time::{Duration, Instant};

use memif::Packet;

use super::device::Tap;
use crate::link::offload::{Group, Joiner, Limits, Virtio};

/// How long the device's MTU, which others may change, is believed.
const FRESH: Duration = Duration::from_secs(1);

/// Writes to a queue.
pub(crate) struct TapWriter {
    tap: Tap,
    queue: u8,
    joiner: Joiner,
    /// Of the frame that is being written.
    headers: Vec<u8>,
    mtu: Option<(usize, Instant)>,
}

impl TapWriter {
    pub(crate) fn new(tap: Tap, queue: u8) -> Self {
        Self {
            tap,
            queue,
            joiner: Joiner::default(),
            headers: Vec::new(),
            mtu: None,
        }
    }

    /// Hands frames to the kernel; how many it took, and their bytes. None while the device is down.
    pub(crate) fn write(&mut self, packets: &[Packet<'_>]) -> (usize, usize) {
        let mut taken = Taken::default();
        if self.tap.has_headers() {
            let mut joiner = std::mem::take(&mut self.joiner);
            let limits = self.limits();
            joiner.join(packets, limits);
            for group in joiner.groups() {
                self.write_group(packets, &joiner, group, &mut taken);
            }
            self.joiner = joiner;
        } else {
            let device = self.tap.device(self.queue);
            for packet in packets {
                self.note(device.send(packet), packet.len(), 1, &mut taken);
            }
        }
        (taken.packets, taken.bytes)
    }

    fn write_group(
        &mut self,
        packets: &[Packet<'_>],
        joiner: &Joiner,
        group: &Group,
        taken: &mut Taken,
    ) {
        let device = self.tap.device(self.queue);
        if let Some((virtio, payload)) = group.headers(packets, &mut self.headers) {
            let virtio = virtio.encode();
            let members = joiner.members(group).map(|n| &packets[n]);
            let mut parts = Vec::with_capacity(group.count() + 2);
            parts.extend([IoSlice::new(&virtio), IoSlice::new(&self.headers)]);
            parts.extend(
                members
                    .clone()
                    .map(|packet| IoSlice::new(&packet[payload..])),
            );
            let bytes = members.map(|packet| packet.len()).sum();
            if self.note(device.send_vectored(&parts), bytes, group.count(), taken) {
                return;
            }
        }
        // Each by itself, also where the kernel did not take them together.
        let nothing_left = Virtio::default().encode();
        for n in joiner.members(group) {
            let packet = &packets[n];
            let parts = [IoSlice::new(&nothing_left), IoSlice::new(packet)];
            self.note(device.send_vectored(&parts), packet.len(), 1, taken);
        }
    }

    fn note(
        &self,
        written: io::Result<usize>,
        bytes: usize,
        packets: usize,
        taken: &mut Taken,
    ) -> bool {
        match written {
            Ok(_) => {
                taken.packets += packets;
                taken.bytes += bytes;
            }
            Err(ref e) => log::debug!("tap:{}: {e}", self.tap.name),
        }
        written.is_ok()
    }

    fn limits(&mut self) -> Limits {
        let device = self.tap.device(self.queue);
        let now = Instant::now();
        let known = self.mtu.filter(|(_, since)| now - *since < FRESH);
        let (mtu, _) = *self.mtu.insert(known.unwrap_or_else(|| {
            let last = self.mtu.map_or(1500, |(mtu, _)| mtu);
            (device.mtu().map_or(last, usize::from), now)
        }));
        Limits {
            mtu,
            udp: device.udp_gso(),
        }
    }
}

/// What the kernel took.
#[derive(Default)]
struct Taken {
    packets: usize,
    bytes: usize,
}

//! A link that is up: rings, descriptors, packets.

use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};

use super::*;

/// A descriptor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Desc {
    pub flags: u16,
    pub region: u16,
    pub length: u32,
    pub offset: u32,
    pub metadata: u32,
}

/// Where a ring lies, and its eventfd.
#[derive(Clone, Debug)]
pub struct Ring {
    pub region: u16,
    pub offset: usize,
    pub log2: u8,
    pub efd: Fd,
}

pub fn ring_bytes(log2: u8) -> usize {
    128 + (16 << log2)
}

/// A link that is up, seen from the raw side.
#[derive(Debug)]
pub struct Link {
    pub wire: Wire,
    pub regions: Vec<Memory>,
    pub s2m: Vec<Ring>,
    pub m2s: Vec<Ring>,
}

impl Link {
    pub fn ring(&self, ring: &Ring) -> RingView<'_> {
        RingView {
            memory: &self.regions[usize::from(ring.region)],
            base: ring.offset,
            size: 1 << ring.log2,
            efd: Arc::clone(&ring.efd),
        }
    }

    pub fn s2m(&self) -> RingView<'_> {
        self.ring(&self.s2m[0])
    }

    pub fn m2s(&self) -> RingView<'_> {
        self.ring(&self.m2s[0])
    }

    /// The bytes that a descriptor points to.
    pub fn data(&self, desc: Desc) -> Vec<u8> {
        self.regions[usize::from(desc.region)].read(desc.offset as usize, desc.length as usize)
    }

    /// As slave: sends a packet that fits one buffer.
    pub fn slave_sends(&self, packet: &[u8]) {
        self.slave_publishes(packet);
        self.s2m().wake();
    }

    /// As slave: puts a packet on the ring, and tells nobody.
    pub fn slave_publishes(&self, packet: &[u8]) {
        let ring = self.s2m();
        let head = ring.head();
        self.fill(&ring, head, packet);
        ring.set_head(head.wrapping_add(1));
    }

    /// As master: sends a packet that fits one buffer, into the slave's buffer.
    pub fn master_sends(&self, packet: &[u8]) {
        self.master_publishes(packet);
        self.m2s().wake();
    }

    /// As master: puts a packet into the slave's buffer, and tells nobody.
    pub fn master_publishes(&self, packet: &[u8]) {
        let ring = self.m2s();
        let tail = ring.tail();
        assert_ne!(ring.head(), tail, "the slave has offered a buffer");
        self.fill(&ring, tail, packet);
        ring.set_tail(tail.wrapping_add(1));
    }

    fn fill(&self, ring: &RingView<'_>, slot: u16, packet: &[u8]) {
        let mut desc = ring.desc(slot);
        self.regions[usize::from(desc.region)].write(desc.offset as usize, packet);
        desc.length = packet.len() as u32;
        desc.flags = 0;
        ring.set_desc(slot, desc);
    }

    /// As slave: offers all buffers of the first ring.
    pub fn offer(&self) {
        let ring = self.m2s();
        ring.set_head(ring.size);
    }
}

/// A ring in shared memory.
#[derive(Debug)]
pub struct RingView<'a> {
    pub memory: &'a Memory,
    pub base: usize,
    pub size: u16,
    pub efd: Fd,
}

impl RingView<'_> {
    pub fn cookie(&self) -> u32 {
        self.memory.load32(self.base)
    }

    pub fn set_cookie(&self, cookie: u32) {
        self.memory.store32(self.base, cookie);
    }

    pub fn flags(&self) -> u16 {
        self.memory.load16(self.base + 4)
    }

    pub fn set_flags(&self, flags: u16) {
        self.memory.store16(self.base + 4, flags);
    }

    pub fn head(&self) -> u16 {
        self.memory.load16(self.base + 6)
    }

    pub fn set_head(&self, head: u16) {
        self.memory.store16(self.base + 6, head);
    }

    pub fn tail(&self) -> u16 {
        self.memory.load16(self.base + 64)
    }

    pub fn set_tail(&self, tail: u16) {
        self.memory.store16(self.base + 64, tail);
    }

    fn slot(&self, counter: u16) -> usize {
        self.base + 128 + 16 * usize::from(counter & (self.size - 1))
    }

    pub fn desc(&self, counter: u16) -> Desc {
        let at = self.slot(counter);
        Desc {
            flags: self.memory.load16(at),
            region: self.memory.load16(at + 2),
            length: self.memory.load32(at + 4),
            offset: self.memory.load32(at + 8),
            metadata: self.memory.load32(at + 12),
        }
    }

    pub fn set_desc(&self, counter: u16, desc: Desc) {
        let at = self.slot(counter);
        self.memory.store16(at, desc.flags);
        self.memory.store16(at + 2, desc.region);
        self.memory.store32(at + 4, desc.length);
        self.memory.store32(at + 8, desc.offset);
        self.memory.store32(at + 12, desc.metadata);
    }

    /// Tells the receiver, if it wants to be told.
    pub fn wake(&self) {
        fence(Ordering::SeqCst);
        if self.flags() & NO_INTERRUPT == 0 {
            nix::unistd::write(&*self.efd, &1u64.to_ne_bytes()).expect("the eventfd");
        }
    }
}

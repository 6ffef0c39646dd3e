//! What the peer does: by the book, and not.

use super::*;

impl World<'_> {
    /// As a well-behaved peer would: a packet of one or several buffers.
    pub(super) fn peer_sends(&mut self) {
        let (slots, length) = (u16::from(self.u8() % 4) + 1, self.u16());
        let number = self.number;
        self.number = number.wrapping_add(1);
        let (buffer, master) = (self.layout.buffer, self.master);
        let Some(link) = &self.link else { return };
        let (ring, _) = self.rings().expect("there is a link");
        let counter = if master { ring.head() } else { ring.tail() };
        for i in 0..slots {
            let slot = counter.wrapping_add(i);
            let mut desc = ring.desc(slot);
            let last = i + 1 == slots;
            desc.length = if last {
                u32::from(length) % (buffer + 1)
            } else {
                buffer
            };
            desc.flags = if last { 0 } else { NEXT };
            let inside = link.regions.get(usize::from(desc.region));
            if let Some(memory) = inside
                && desc.offset as usize + 8 <= memory.len()
                && !self.in_rings(&desc)
            {
                memory.write(desc.offset as usize, &[number; 8]);
            }
            ring.set_desc(slot, desc);
        }
        if master {
            ring.set_head(counter.wrapping_add(slots));
        } else {
            ring.set_tail(counter.wrapping_add(slots));
        }
        raise(&ring.efd, 1);
    }

    /// Takes what the victim sent; as a slave offers as much again.
    pub(super) fn peer_takes(&mut self) {
        let count = u16::from(self.u8());
        let Some((_, ring)) = self.rings() else {
            return;
        };
        if self.master {
            let size = ring.size;
            let taken = ring
                .tail()
                .wrapping_add(size)
                .wrapping_sub(ring.head())
                .min(count);
            for i in 0..taken {
                let slot = ring.head().wrapping_add(i);
                let mut desc = ring.desc(slot);
                desc.length = self.layout.buffer;
                ring.set_desc(slot, desc);
            }
            ring.set_head(ring.head().wrapping_add(taken));
        } else {
            let taken = ring.head().wrapping_sub(ring.tail()).min(count);
            ring.set_tail(ring.tail().wrapping_add(taken));
        }
    }

    /// A number near an edge, of which there are few that matter.
    fn edge(&mut self, size: u32) -> u32 {
        let choice = self.u8();
        let near = u32::from(choice & 31);
        match choice >> 5 {
            0 => near,
            1 => size.wrapping_sub(near),
            2 => size.wrapping_add(near),
            3 => u32::MAX - near,
            4 => (1 << 31) + near - 16,
            5 => size.wrapping_mul(near),
            6 => 4096_u32.wrapping_mul(near).wrapping_sub(1),
            _ => self.u32(),
        }
    }

    pub(super) fn bend_descriptor(&mut self) {
        self.honest = false;
        let (choice, slot) = (self.u8(), self.u8());
        let Some(link) = &self.link else { return };
        let region_size = link.regions[usize::from(choice & 1) % link.regions.len()].len() as u32;
        let buffer = self.layout.buffer;
        let (offset, length) = if slot & 1 == 0 {
            (self.edge(region_size), self.edge(buffer))
        } else {
            // Ends near the region's end.
            let (length, beyond) = (self.u16().into(), self.u8());
            let beyond = [0, 1, 8, 64, 4096, 1 << 20][usize::from(beyond) % 6];
            (
                region_size.wrapping_sub(length).wrapping_add(beyond),
                length,
            )
        };
        let (reading, writing) = self.rings().expect("there is a link");
        let ring = if choice & 2 == 0 { reading } else { writing };
        // What is read next of all that is published, or written next.
        let slot = u16::from(slot >> 1) % ring.size;
        let slot = match (self.master, choice & 2 == 0) {
            (true, true) => ring.head().wrapping_sub(1 + slot),
            (false, true) => ring.tail().wrapping_sub(1 + slot),
            (true, false) => ring.tail().wrapping_add(slot),
            (false, false) => ring.head().wrapping_add(slot),
        };
        let mut desc = ring.desc(slot);
        if choice & 4 == 0 {
            desc.offset = offset;
        }
        if choice & 8 == 0 {
            desc.length = length;
        }
        if choice & 16 != 0 {
            desc.region = u16::from(choice & 1) + if choice & 32 == 0 { 0 } else { 2 };
        }
        if choice & 64 != 0 {
            desc.flags ^= if choice & 128 == 0 { NEXT } else { 0xffff };
        }
        ring.set_desc(slot, desc);
    }

    /// A few packets, one of which reaches, or does not quite, beyond the end of its region, and a
    /// burst.
    pub(super) fn attack(&mut self, choice: u8) {
        for _ in 0..=choice & 3 {
            self.peer_sends();
        }
        let (region, length, beyond) = (self.u8() & 1, self.u16(), self.u8());
        self.honest = false;
        if let Some((ring, _)) = self.rings()
            && let Some(link) = &self.link
        {
            let region = u16::from(region) % link.regions.len() as u16;
            let size = link.regions[usize::from(region)].len() as u32;
            let counter = if self.master {
                ring.head()
            } else {
                ring.tail()
            };
            let slot = counter.wrapping_sub(1 + u16::from(choice >> 2 & 3));
            let mut desc = ring.desc(slot);
            let length = u32::from(length) % (2 * self.layout.buffer);
            let beyond = [0, 1, 2, 8, 16, 64, 4096, 1 << 20][usize::from(beyond & 7)];
            desc.region = region;
            desc.length = length;
            desc.offset = size.wrapping_sub(length).wrapping_add(beyond);
            ring.set_desc(slot, desc);
        }
        self.receive();
    }

    pub(super) fn bend_counter(&mut self) {
        self.honest = false;
        let (choice, by) = (self.u8(), self.u8());
        let any = self.u16();
        let Some((reading, writing)) = self.rings() else {
            return;
        };
        let ring = if choice & 1 == 0 { reading } else { writing };
        let by = if choice & 4 == 0 {
            u16::from(by & 63).wrapping_sub(32)
        } else {
            any
        };
        if choice & 2 == 0 {
            ring.set_head(ring.head().wrapping_add(by));
        } else {
            ring.set_tail(ring.tail().wrapping_add(by));
        }
        if choice & 8 != 0 {
            ring.set_flags(by);
        }
    }

    pub(super) fn bend_anything(&mut self) {
        self.honest = false;
        let (choice, place, value) = (self.u8(), self.u16(), self.u32());
        let Some(link) = &self.link else { return };
        let memory = &link.regions[usize::from(choice) % link.regions.len()];
        memory.store32((usize::from(place) * 4) % (memory.len() & !3), value);
    }

    /// Eventfds that are full, empty or made blocking; memory that is to shrink.
    pub(super) fn bend_files(&mut self) {
        self.honest = false;
        let choice = self.u8();
        let Some((reading, writing)) = self.rings() else {
            return;
        };
        let ring = if choice & 1 == 0 { &reading } else { &writing };
        match choice >> 1 & 7 {
            0 => raise(&ring.efd, u64::MAX - 1),
            1 => {
                fcntl(&*ring.efd, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).expect("fcntl");
                _ = nix::unistd::read(&*ring.efd, &mut [0; 8]);
            }
            2 => _ = fcntl(&*ring.efd, FcntlArg::F_SETFL(OFlag::empty())),
            3 => _ = nix::unistd::ftruncate(&*ring.memory.fd, i64::from(choice)),
            4 => {
                let mode = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
                // SAFETY: only makes zeros of what the mapping holds.
                unsafe {
                    libc::fallocate(
                        ring.memory.fd.as_raw_fd(),
                        mode,
                        0,
                        ring.memory.len() as i64,
                    )
                };
            }
            _ => ring.set_flags(u16::from(choice >> 4)),
        }
    }

    /// Whether a descriptor points at what the victim writes as it receives.
    pub(super) fn in_rings(&self, desc: &Desc) -> bool {
        desc.region == 0
            && (desc.offset as usize) < self.layout.rings() * ring_bytes(self.layout.log2)
    }
}

/// Raises an eventfd, which may be full and blocking.
fn raise(efd: &Fd, by: u64) {
    let flags = OFlag::from_bits_retain(fcntl(efd, FcntlArg::F_GETFL).expect("fcntl"));
    fcntl(efd, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK)).expect("fcntl");
    let _ = nix::unistd::write(efd, &by.to_ne_bytes());
    fcntl(efd, FcntlArg::F_SETFL(flags)).expect("fcntl");
}

//! What the victim does, and what must have come of it.

use super::*;

impl World<'_> {
    pub(super) fn victim_looks(&mut self) {
        if let Some((_, ring)) = self.rings()
            && !self.master
        {
            let taken = ring.tail();
            if taken.wrapping_sub(self.sending.taken)
                <= self.sending.done.wrapping_sub(self.sending.taken)
            {
                self.sending.taken = taken;
            }
        }
    }

    pub(super) fn receive(&mut self) {
        let (choice, snaplen) = (self.u8(), u32::from(self.u16()) % 5000 + 1);
        let count = u16::from(choice & 63);
        if self.in_place {
            return self.receive_in_place(count, choice >> 6);
        }
        let mut arena = vec![0; snaplen as usize + usize::from(choice >> 6) * 1000];
        let all: Option<Vec<Desc>> = self
            .rings()
            .map(|(ring, _)| (0..ring.size).map(|i| ring.desc(i)).collect());
        let packets = match self.iface.receive_into(0, &mut arena, snaplen, count) {
            Ok(packets) => packets,
            Err(err) => {
                assert!(
                    err == DISCONNECTED || err == MFMSG,
                    "an error that no peer can cause: {err}"
                );
                self.read_next = None;
                if err == MFMSG {
                    self.offence();
                }
                return;
            }
        };
        // In this call, or as it waited or looked before.
        if self.iface.overrun(0) != self.overrun {
            self.read_next = None;
        }
        let (Some(mut slot), Some(all), Some(link)) = (self.read_next, all, &self.link) else {
            return;
        };
        for packet in packets {
            let (mut expected, mut chain) = (Vec::new(), 0);
            let mut comparable = true;
            loop {
                let desc = all[usize::from(slot) & (all.len() - 1)];
                chain += 1;
                assert!(chain <= all.len(), "a chain longer than the ring was taken");
                slot = slot.wrapping_add(1);
                let memory = link
                    .regions
                    .get(usize::from(desc.region))
                    .expect("a known region");
                let (from, len) = (desc.offset as usize, desc.length as usize);
                assert!(from + len <= memory.len(), "it reached out of the region");
                comparable &= !self.in_rings(&desc);
                if expected.len() < packet.captured as usize {
                    expected.extend(
                        memory.read(from, len.min(packet.captured as usize - expected.len())),
                    );
                }
                if desc.flags & NEXT == 0 {
                    break;
                }
            }
            let start = packet.offset as usize;
            let got = &arena[start..start + packet.captured as usize];
            assert!(!comparable || got == expected, "not what was in the ring");
        }
        self.read_next = Some(slot);
    }

    fn receive_in_place(&mut self, count: u16, keep: u8) {
        let mut bufs = vec![memif_buffer_t::default(); usize::from(count).max(1)];
        let mut got = 0;
        // SAFETY: as many buffers as told.
        let err =
            unsafe { memif_rx_burst(self.iface.conn(), 0, bufs.as_mut_ptr(), count, &mut got) };
        assert!(got <= count);
        for buf in &bufs[..usize::from(got)] {
            // SAFETY: the victim says that so many bytes are there; the sanitizer and the guards
            // look.
            let sum = unsafe {
                std::slice::from_raw_parts(buf.data.cast::<u8>().cast_const(), buf.len as usize)
            }
            .iter()
            .fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
            std::hint::black_box(sum);
        }
        let back = got.saturating_sub(keep.into());
        // SAFETY: alive.
        unsafe { memif_refill_queue(self.iface.conn(), 0, back, u16::from(keep) * 16) };
        if err == MFMSG {
            self.offence();
        }
    }

    pub(super) fn send(&mut self) {
        let (choice, length) = (self.u8(), u32::from(self.u16()) % 6000);
        let lengths: Vec<u32> = (0..u32::from(choice & 15))
            .map(|i| (length >> (i & 3)).max(1))
            .collect();
        if self.in_place {
            return self.send_in_place(length as u16, choice);
        }
        let first = self.number;
        let result = self.iface.send(0, &lengths, first);
        self.number = first.wrapping_add(16);
        self.victim_looks();
        match result {
            Ok(sent) => self.check_sent(&lengths[..sent], first),
            Err(MFMSG) => {
                self.offence();
            }
            Err(_) => {}
        }
    }

    /// The packets stand in the ring as they were given.
    fn check_sent(&mut self, lengths: &[u32], first: u8) {
        let Some((_, ring)) = self.rings() else {
            return;
        };
        if !self.honest {
            // It may have offered a place twice, or the rings themselves, or bent our counter.
            return;
        }
        let counter = if self.master {
            ring.tail()
        } else {
            ring.head()
        };
        let mut slot = self.sending.done;
        let ahead = ring.tail().wrapping_sub(slot);
        if !self.master && ahead != 0 && ahead <= counter.wrapping_sub(slot) {
            // It had said before that it took some of these: their buffers may be in use again.
            self.sending.done = counter;
            return;
        }
        let link = self.link.as_ref().expect("there is a ring");
        for (i, &length) in lengths.iter().enumerate() {
            let mut left = length;
            loop {
                let desc = ring.desc(slot);
                slot = slot.wrapping_add(1);
                assert!(
                    desc.length <= left && (desc.flags & NEXT != 0) == (desc.length < left),
                    "{desc:?}"
                );
                left -= desc.length;
                let memory = &link.regions[usize::from(desc.region)];
                let ends = [
                    desc.offset as usize,
                    desc.offset as usize + desc.length as usize - 1,
                ];
                for at in ends {
                    assert!(
                        memory.read(at, 1) == [first.wrapping_add(i as u8)],
                        "{desc:?}"
                    );
                }
                if left == 0 {
                    break;
                }
            }
        }
        if !lengths.is_empty() {
            assert_eq!(counter, slot, "all is published, and no more");
        }
        let size = usize::from(ring.size);
        self.sending.done = slot;
        if self.master {
            return;
        }
        let outstanding = slot.wrapping_sub(self.sending.taken);
        assert!(
            usize::from(outstanding) <= size,
            "more is published than the ring has"
        );
        let fresh = (0..outstanding.min(lengths.len() as u16)).map(|i| slot.wrapping_sub(i + 1));
        let mut buffers = HashSet::new();
        for slot in fresh {
            let (ring, _) = (self.rings().expect("there is a ring").1, ());
            let desc = ring.desc(slot);
            assert!(
                buffers.insert((desc.region, desc.offset)),
                "one buffer is in two slots"
            );
        }
    }

    fn send_in_place(&mut self, size: u16, choice: u8) {
        let count = u16::from(choice & 15).max(1);
        // A whole packet may take more than were asked for.
        let room = count.max(size.div_ceil(self.iface.shape.buffer));
        let mut bufs = vec![memif_buffer_t::default(); room.into()];
        let mut got = 0;
        // SAFETY: as many buffers as are promised.
        unsafe {
            memif_buffer_alloc(
                self.iface.conn(),
                0,
                bufs.as_mut_ptr(),
                count,
                &mut got,
                size,
            )
        };
        assert!(usize::from(got) <= bufs.len());
        for buf in &bufs[..usize::from(got)] {
            // SAFETY: the victim says that so many bytes may be written; the sanitizer and the
            // guards look.
            unsafe { buf.data.cast::<u8>().write_bytes(choice, buf.len as usize) };
        }
        self.reserved.extend_from_slice(&bufs[..usize::from(got)]);
        if choice & 16 == 0 {
            let mut sent = 0;
            let mut all = std::mem::take(&mut self.reserved);
            // SAFETY: they were reserved on this queue, and if it has another link by now, are
            // refused.
            let err = unsafe {
                memif_tx_burst(
                    self.iface.conn(),
                    0,
                    all.as_mut_ptr(),
                    all.len() as u16,
                    &mut sent,
                )
            };
            assert!(usize::from(sent) <= all.len());
            if err == MFMSG {
                self.offence();
            }
        }
    }
}

//! Ring and descriptor memory under bursts: a link to a raw peer that writes anything anywhere.
//!
//! The input is a program: role, sizes and settings, then steps. Some are the peer's (descriptors,
//! counters, flags, eventfds, the file's size), some the victim's (bursts of both interfaces,
//! waiting, looking, polling, reconnecting).
//!
//! What must hold, besides no access outside the memory (guard.rs): a packet received is what the
//! descriptors say; a packet sent stands in its slots as it was given; no buffer is in two slots
//! at a time; an offence ends the link, with a reason, and then a new link works.

use std::collections::HashSet;
use std::os::fd::AsRawFd;

use libfuzzer_sys::arbitrary::Unstructured;
use nix::fcntl::{FcntlArg, OFlag, fcntl};

use crate::ffi::*;
use crate::guard;
use crate::peer::*;
use crate::plan::*;
use crate::victim::*;

const STEPS: usize = 200;
const DISCONNECTED: i32 = MEMIF_ERR_DISCONNECTED as i32;
const MFMSG: i32 = MEMIF_ERR_MFMSG as i32;

/// Runs one input.
pub fn run(data: &[u8]) {
    let before = (descriptors(), guard::mappings());
    {
        let mut world = World::new(Unstructured::new(data));
        for _ in 0..STEPS {
            if world.input.is_empty() {
                break;
            }
            world.step();
        }
        world.end();
    }
    assert_eq!(
        (descriptors(), guard::mappings()),
        before,
        "descriptors or mappings leak"
    );
}

/// What is known of a ring that the victim sends on.
#[derive(Clone, Copy, Default)]
struct Sending {
    /// Published so far.
    done: u16,
    /// Up to where the peer had taken them when the victim may have looked.
    taken: u16,
}

struct World<'a> {
    input: Unstructured<'a>,
    // In this order: the peer, the interface, the socket.
    link: Option<Link>,
    iface: Box<Iface>,
    victim: Victim,
    path: String,
    layout: Layout,
    master: bool,
    /// The 4.0 calls are used, which work in place.
    in_place: bool,
    /// Next slot to read, and whether that is known: no other call has read, no fault was met.
    read_next: Option<u16>,
    sending: Sending,
    /// Buffers of the 4.0 interface that the victim holds.
    reserved: Vec<memif_buffer_t>,
    number: u8,
    /// The peer has written nothing but packets to this link.
    honest: bool,
}

impl<'a> World<'a> {
    fn new(mut input: Unstructured<'a>) -> Self {
        let settings: u8 = input.arbitrary().unwrap_or(0);
        let sizes: u8 = input.arbitrary().unwrap_or(0);
        let master = settings & 1 == 0;
        let layout = Layout {
            log2: 1 + sizes % 6,
            buffer: [64, 100, 256, 1500][usize::from(sizes >> 4 & 3)],
            s2m: 1,
            m2s: 1,
            single: sizes & 0x40 != 0,
        };
        let path = path();
        let victim = Victim::new(&path, false);
        let shape = Shape {
            master,
            id: 0,
            secret: false,
            s2m: 1,
            m2s: 1,
            log2: layout.log2,
            buffer: layout.buffer as u16,
            keep_unread: settings & 2 != 0,
            interrupts: false,
            allow_unsealed: false,
        };
        let listener = (!master).then(|| raw_listener(&path));
        let iface = Iface::new(&victim, shape).expect("the first interface");
        if settings & 4 != 0 {
            iface.set_polling(0, true);
        }
        let mut world = Self {
            input,
            link: None,
            iface,
            victim,
            path,
            layout,
            master,
            in_place: settings & 8 != 0,
            read_next: None,
            sending: Sending::default(),
            reserved: Vec::new(),
            number: 0,
            honest: true,
        };
        match listener {
            Some(listener) => {
                let wire = try_accept(&listener).expect("it has connected");
                world.serve(wire);
            }
            None => {
                let wire = try_connect(&world.path).expect("it listens");
                world.connect(wire);
            }
        }
        world
    }

    fn u8(&mut self) -> u8 {
        self.input.arbitrary().unwrap_or(0)
    }

    fn u16(&mut self) -> u16 {
        self.input.arbitrary().unwrap_or(0)
    }

    fn u32(&mut self) -> u32 {
        self.input.arbitrary().unwrap_or(0)
    }

    /// The raw slave connects to the victim.
    fn connect(&mut self, wire: Wire) {
        let plan = self.layout.plan(0, b"");
        for step in &plan.steps {
            step.send(&wire).expect("it takes them");
        }
        self.victim.poll_times(plan.steps.len() + 3);
        self.came_up(Link {
            wire,
            regions: plan.regions,
            s2m: plan.s2m,
            m2s: plan.m2s,
        });
        let link = self.link.as_ref().expect("just made");
        // HELLO, the ACKs and CONNECTED.
        while readable(&link.wire) {
            link.wire.receive().expect("the link is up");
        }
    }

    /// The raw master takes the victim's connection.
    fn serve(&mut self, wire: Wire) {
        let messages = master_messages(2, 2);
        for message in &messages {
            wire.send(message);
        }
        self.victim.poll_times(messages.len() + 3);
        let link = slaves_link(wire).expect("it comes up");
        self.came_up(link);
    }

    fn came_up(&mut self, link: Link) {
        assert!(self.iface.up(), "a well-behaved peer is not served");
        self.link = Some(link);
        // Packets of earlier links may come first.
        self.read_next = (self.iface.links.get() == 1).then_some(0);
        self.sending = Sending::default();
        self.reserved.clear();
        self.honest = true;
        self.offer();
    }

    /// The ring that the victim reads, and the one that it writes.
    fn rings(&self) -> Option<(RingView<'_>, RingView<'_>)> {
        let link = self.link.as_ref()?;
        Some(if self.master {
            (link.s2m(), link.m2s())
        } else {
            (link.m2s(), link.s2m())
        })
    }

    /// All buffers for the victim's packets.
    fn offer(&mut self) {
        if self.master
            && let Some(link) = &self.link
        {
            link.offer();
        }
    }

    fn step(&mut self) {
        match self.u8() % 24 {
            0..=2 => self.peer_sends(),
            3 | 4 => self.bend_descriptor(),
            5 => self.bend_counter(),
            6 => self.bend_anything(),
            7 => self.peer_takes(),
            8 => self.bend_files(),
            9..=12 => self.receive(),
            13..=15 => self.send(),
            16 => _ = self.iface.wait(0),
            17 => {
                self.iface.look(0);
                self.victim_looks();
            }
            18 => {
                let polling = self.u8() & 1 == 0;
                self.iface.set_polling(0, polling);
            }
            19 => self.iface.details(2048),
            20 => {
                self.victim.poll();
                self.notice_end();
            }
            21 => {
                // Goes without a word; what it sent stays readable.
                self.link = None;
                self.victim.poll_times(3);
                assert!(!self.iface.up());
            }
            22 => self.reconnect(),
            _ => {
                let mode = self.u8();
                if mode == 0xc1 {
                    self.iface.close();
                    self.link = None;
                } else {
                    self.attack(mode);
                }
            }
        }
    }

    fn reconnect(&mut self) {
        if self.link.is_some() || !self.iface.alive() || self.iface.links.get() > 40 {
            return;
        }
        if self.master {
            // It may be closed.
            if let Some(wire) = try_connect(&self.path) {
                self.connect(wire);
            }
        } else {
            let listener = raw_listener(&self.path);
            self.iface.connect();
            if let Some(wire) = try_accept(&listener) {
                self.serve(wire);
            }
        }
    }

    /// The victim was told of one.
    fn offence(&mut self) {
        self.victim.poll_times(2);
        // It may have been on an earlier link, whose packets were read only now.
        let earlier = self.iface.shape.keep_unread && self.iface.links.get() > 1;
        assert!(earlier || !self.iface.up(), "an offence ends the link");
        self.notice_end();
    }

    /// After polling: the link is up, or the peer was told why not.
    fn notice_end(&mut self) {
        if self.iface.up() {
            return;
        }
        let Some(link) = self.link.take() else { return };
        let mut reason = None;
        while let Some(received) = link.wire.receive() {
            if received.message.kind() == DISCONNECT {
                reason = Some(received.message.reason());
            }
        }
        assert!(!reason.expect("a DISCONNECT").is_empty());
        self.read_next = None;
    }

    /// As a well-behaved peer would: a packet of one or several buffers.
    fn peer_sends(&mut self) {
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
    fn peer_takes(&mut self) {
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

    fn bend_descriptor(&mut self) {
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

    /// A few packets, one of which reaches, or does not quite, beyond the end of its region, and a burst.
    fn attack(&mut self, choice: u8) {
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

    fn bend_counter(&mut self) {
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

    fn bend_anything(&mut self) {
        self.honest = false;
        let (choice, place, value) = (self.u8(), self.u16(), self.u32());
        let Some(link) = &self.link else { return };
        let memory = &link.regions[usize::from(choice) % link.regions.len()];
        memory.store32((usize::from(place) * 4) % (memory.len() & !3), value);
    }

    /// Eventfds that are full, empty or made blocking; memory that is to shrink.
    fn bend_files(&mut self) {
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
    fn in_rings(&self, desc: &Desc) -> bool {
        desc.region == 0
            && (desc.offset as usize) < self.layout.rings() * ring_bytes(self.layout.log2)
    }

    fn victim_looks(&mut self) {
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

    fn receive(&mut self) {
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
            // SAFETY: the victim says that so many bytes are there; the sanitizer and the guards look.
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

    fn send(&mut self) {
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
        if self.master && !self.honest {
            // It may have offered a place twice, or the rings themselves.
            self.sending.done = ring.tail();
            return;
        }
        let link = self.link.as_ref().expect("there is a ring");
        let mut slot = self.sending.done;
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
            let counter = if self.master {
                ring.tail()
            } else {
                ring.head()
            };
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
            // SAFETY: the victim says that so many bytes may be written; the sanitizer and the guards look.
            unsafe { buf.data.cast::<u8>().write_bytes(choice, buf.len as usize) };
        }
        self.reserved.extend_from_slice(&bufs[..usize::from(got)]);
        if choice & 16 == 0 {
            let mut sent = 0;
            let mut all = std::mem::take(&mut self.reserved);
            // SAFETY: they were reserved on this queue, and if it has another link by now, are refused.
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

    /// What had arrived is read to its end, and a new link works.
    fn end(&mut self) {
        self.victim.poll_times(2);
        self.notice_end();
        self.link = None;
        self.victim.poll_times(3);
        assert!(!self.iface.up());
        let mut arena = vec![0; 8192];
        for bursts in 0.. {
            match self.iface.receive_into(0, &mut arena, 4096, 64) {
                Err(DISCONNECTED) => break,
                Err(err) if err == MFMSG || self.in_place => {}
                Err(err) => panic!("an error that no peer can cause: {err}"),
                Ok(_) => {}
            }
            if self.in_place {
                break;
            }
            assert!(bursts < 4000, "the end never comes");
        }
    }
}

/// Raises an eventfd, which may be full and blocking.
fn raise(efd: &Fd, by: u64) {
    let flags = OFlag::from_bits_retain(fcntl(efd, FcntlArg::F_GETFL).expect("fcntl"));
    fcntl(efd, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK)).expect("fcntl");
    let _ = nix::unistd::write(efd, &by.to_ne_bytes());
    fcntl(efd, FcntlArg::F_SETFL(flags)).expect("fcntl");
}

//! What is in the shared memory.

use crate::*;

#[test]
fn a_slave_s_bad_descriptors_end_the_link_after_the_packets_before_them() {
    let context = context();
    let master = side(&context, Role::Master);
    // Two good packets are in slots 0 and 1. The case publishes what follows.
    fn publish(link: &Link, head: u16, bend: impl Fn(u16, &mut Desc)) {
        let ring = link.s2m();
        for slot in 2..16 {
            let mut desc = ring.desc(slot);
            desc.length = 64;
            bend(slot, &mut desc);
            ring.set_desc(slot, desc);
        }
        ring.set_head(head);
        ring.wake();
    }
    type Case = (&'static str, fn(&Link));
    let cases: &[Case] = &[
        ("region 2", |l| publish(l, 3, |_, d| d.region = 2)),
        ("region 65535", |l| publish(l, 3, |_, d| d.region = 65535)),
        ("offset 4294967295", |l| {
            publish(l, 3, |_, d| d.offset = u32::MAX)
        }),
        ("length 4294967295", |l| {
            publish(l, 3, |_, d| d.length = u32::MAX)
        }),
        ("out of the memory", |l| {
            publish(l, 3, |_, d| (d.offset, d.length) = (u32::MAX, u32::MAX))
        }),
        ("out of the memory", |l| {
            let end = l.regions[1].len() as u32;
            publish(l, 3, |_, d| (d.offset, d.length) = (end - 63, 64));
        }),
        ("out of the memory", |l| {
            let end = l.regions[1].len() as u32;
            publish(l, 3, |_, d| (d.offset, d.length) = (end, 1));
        }),
        // In the middle of a chain.
        ("slot 4", |l| {
            publish(l, 6, |slot, d| {
                d.flags = u16::from(slot < 5);
                d.region = if slot == 4 { 9 } else { d.region };
            })
        }),
        ("beyond what is published", |l| {
            publish(l, 3, |_, d| d.flags = NEXT)
        }),
        ("beyond what is published", |l| {
            publish(l, 16, |_, d| d.flags = NEXT)
        }),
        ("beyond what is published", |l| {
            publish(l, 16, |_, d| d.flags = 65535)
        }),
    ];
    for (i, (words, case)) in cases.iter().enumerate() {
        let link = Plan::new(0).up(master.socket());
        up(&master);
        let mut handle = master.packet_handle(0, 32).unwrap();
        link.slave_sends(b"one");
        link.slave_sends(b"two");
        case(&link);
        violated(&mut handle, &[b"one", b"two"], i);
        link.wire.expect_refusal();
        // The message's field may be too short for all of it.
        down(&master);
        let error = master.details().unwrap().error;
        assert!(error.contains(words), "case {i}: {error}");
    }
    works_as_slave(&Plan::new(0).up(master.socket()), &master);
}

#[test]
fn a_slave_s_head_that_jumps_ends_the_link() {
    let context = context();
    let master = side(&context, Role::Master);
    for (i, head) in [17, 18, 0x8000, 0xffff, 1].into_iter().enumerate() {
        let link = Plan::new(0).up(master.socket());
        up(&master);
        let mut handle = master.packet_handle(0, 32).unwrap();
        if head == 1 {
            // Backwards.
            link.slave_sends(b"one");
            link.slave_sends(b"two");
            assert_eq!(read(&mut handle), b"one");
            assert_eq!(read(&mut handle), b"two");
            assert_eq!(eof(handle.read_packet()), Eof::Empty);
        }
        link.s2m().set_head(head);
        link.s2m().wake();
        violated(&mut handle, &[], i);
        link.wire.expect_refusal().says("slots are published");
        down(&master);
    }
    works_as_slave(&Plan::new(0).up(master.socket()), &master);
}

#[test]
fn a_full_ring_of_empty_and_whole_region_packets_is_read() {
    // Strange, but inside the memory.
    let context = context();
    let master = side(&context, Role::Master);
    let link = Plan::new(0).up(master.socket());
    up(&master);
    let mut handle = master.packet_handle(0, 32).unwrap();
    let size = link.regions[1].len() as u32;
    let ring = link.s2m();
    for slot in 0..16 {
        let length = if slot % 2 == 0 { 0 } else { size };
        let whole = Desc {
            region: 1,
            length,
            ..Desc::default()
        };
        ring.set_desc(slot, whole);
    }
    ring.set_head(16);
    ring.wake();
    for slot in 0..16 {
        let length = if slot % 2 == 0 { 0 } else { size as usize };
        let packet = handle.read_packet_timeout(Some(LONG)).unwrap();
        assert_eq!(packet.len(), length);
    }
    assert_eq!(ring.tail(), 16);
}

#[test]
fn offers_that_can_t_be_end_the_link_of_a_writing_master() {
    let context = context();
    let master = side(&context, Role::Master);
    fn offer(link: &Link, bend: impl Fn(&mut Desc)) {
        let ring = link.m2s();
        let mut desc = ring.desc(0);
        bend(&mut desc);
        ring.set_desc(0, desc);
        ring.set_head(1);
    }
    type Case = (&'static str, fn(&Link));
    let cases: &[Case] = &[
        ("slots are outstanding", |l| l.m2s().set_head(17)),
        ("slots are outstanding", |l| l.m2s().set_head(0xffff)),
        ("unusable", |l| offer(l, |d| d.region = 2)),
        ("unusable", |l| offer(l, |d| d.offset = u32::MAX)),
        ("unusable", |l| offer(l, |d| d.length = 0)),
        ("unusable", |l| offer(l, |d| d.length = u32::MAX)),
    ];
    for (i, (words, case)) in cases.iter().enumerate() {
        let link = Plan::new(0).up(master.socket());
        up(&master);
        let mut handle = master.packet_handle(0, 32).unwrap();
        assert_eq!(
            eof(handle.write_packet(b"x")),
            Eof::Full,
            "nothing is offered"
        );
        case(&link);
        let error = handle.write_packet(b"x").unwrap_err();
        assert_eq!(
            error.kind(),
            ErrorKind::MalformedMessage,
            "case {i}: {error}"
        );
        let refusal = link.wire.expect_refusal();
        assert!(refusal.reason.contains(words), "case {i}: {refusal:?}");
        down(&master);
        assert_eq!(eof(handle.write_packet(b"x")), Eof::LinkDown);
    }
    works_as_slave(&Plan::new(0).up(master.socket()), &master);
}

#[test]
fn a_master_can_t_make_a_slave_read_elsewhere() {
    let (_context, raw, slave) = attacked();
    // Publishes slot 1 after a good packet in slot 0.
    fn publish(link: &Link, bend: impl Fn(&mut Desc)) {
        let ring = link.m2s();
        let mut desc = ring.desc(1);
        desc.length = 64;
        bend(&mut desc);
        ring.set_desc(1, desc);
        ring.set_tail(2);
        ring.wake();
    }
    let cases: &[fn(&Link)] = &[
        // The next slot's buffer, the ring itself, outside of all.
        |l| publish(l, |d| d.offset += BUFFER as u32),
        |l| publish(l, |d| d.offset -= 1),
        |l| publish(l, |d| (d.region, d.offset) = (0, 0)),
        |l| publish(l, |d| d.region = 7),
        |l| publish(l, |d| d.offset = u32::MAX),
        |l| publish(l, |d| d.length = BUFFER as u32 + 1),
        |l| publish(l, |d| d.length = u32::MAX),
        |l| publish(l, |d| (d.offset, d.length) = (d.offset + 1, BUFFER as u32)),
        |l| publish(l, |d| d.flags = NEXT),
    ];
    for (i, case) in cases.iter().enumerate() {
        let link = raw.go(Stage::Up);
        up(&slave);
        until("offered buffers", || link.m2s().head() == 16);
        let mut handle = slave.packet_handle(0, 8).unwrap();
        link.master_sends(b"good");
        case(&link);
        violated(&mut handle, &[b"good"], i);
        link.wire.expect_refusal();
    }
    works_as_master(&raw.go(Stage::Up), &slave);
}

#[test]
fn a_master_s_tail_beyond_the_offer_ends_the_link() {
    let (_context, raw, slave) = attacked();
    for (i, tail) in [17, 0x8000, 0xffff].into_iter().enumerate() {
        let link = raw.go(Stage::Up);
        up(&slave);
        until("offered buffers", || link.m2s().head() == 16);
        let mut handle = slave.packet_handle(0, 8).unwrap();
        link.m2s().set_tail(tail);
        link.m2s().wake();
        violated(&mut handle, &[], i);
        link.wire.expect_refusal().says("slots are published");
    }
    works_as_master(&raw.go(Stage::Up), &slave);
}

#[test]
fn a_master_that_takes_more_than_was_sent_ends_the_link() {
    let (_context, raw, slave) = attacked();
    for tail in [17, 0x8000, 0xffff] {
        let link = raw.go(Stage::Up);
        up(&slave);
        let mut handle = slave.packet_handle(0, 8).unwrap();
        handle.write_packet(b"x").unwrap();
        link.s2m().set_tail(tail);
        // The counter is looked at when room is needed.
        let error = loop {
            match handle.write_packet(b"y") {
                Ok(()) => {}
                Err(e) => break e,
            }
        };
        assert_eq!(error.kind(), ErrorKind::MalformedMessage, "{tail}: {error}");
        link.wire.expect_refusal().says("slots are outstanding");
        assert_eq!(handle.wait(Some(LONG)).unwrap(), Wait::LinkDown);
    }
    // Whoever looks first is told, and nobody after.
    let link = raw.go(Stage::Up);
    up(&slave);
    let mut handle = slave.packet_handle(0, 8).unwrap();
    handle.write_packet(b"x").unwrap();
    link.s2m().set_tail(2);
    let error = handle.flush(LONG).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::MalformedMessage, "{error}");
    let next = eof(handle.write_packet(b"x"));
    assert!(matches!(next, Eof::Full | Eof::LinkDown), "{next}");
    link.wire.expect_refusal().says("slots are outstanding");
    assert_eq!(handle.wait(Some(LONG)).unwrap(), Wait::LinkDown);
    drop(handle);
    works_as_master(&raw.go(Stage::Up), &slave);
}

#[test]
fn a_slave_sends_from_its_own_buffers_whatever_the_ring_says() {
    let (_context, raw, slave) = attacked();
    let link = raw.go(Stage::Up);
    up(&slave);
    let mut handle = slave.packet_handle(0, 8).unwrap();
    let ring = link.s2m();
    let made: Vec<_> = (0..16).map(|slot| ring.desc(slot)).collect();
    let rings = link.regions[0].read(0, link.regions[0].len());
    for slot in 0..16 {
        let elsewhere = Desc {
            flags: NEXT,
            region: 0,
            length: u32::MAX,
            offset: 128,
            metadata: 7,
        };
        ring.set_desc(slot, elsewhere);
    }
    let mut used = std::collections::HashSet::new();
    for slot in 0..16u16 {
        let packet = pattern(u64::from(slot), 100);
        handle.write_packet(&packet).unwrap();
        let desc = ring.desc(slot);
        // Any buffer of its own that is not in use: never where the ring was made to point.
        assert_eq!(desc.region, made[usize::from(slot)].region);
        assert!(used.insert(desc.offset), "slot {slot}");
        assert_eq!((desc.flags, desc.length), (0, 100));
        assert_same(&link.data(desc), &packet, slot);
    }
    // The rest of the rings' region is as it was.
    let now = link.regions[0].read(0, rings.len());
    let end = ring_bytes(LOG2);
    assert_eq!(now[..6], rings[..6]);
    assert_eq!(now[end..], rings[end..]);
    ring.set_tail(16);
}

#[test]
fn a_slave_offers_its_own_buffers_whatever_the_ring_says() {
    let (_context, raw, slave) = attacked();
    let link = raw.go(Stage::Up);
    up(&slave);
    until("offered buffers", || link.m2s().head() == 16);
    let mut handle = slave.packet_handle(0, 8).unwrap();
    let ring = link.m2s();
    for round in 0..40u16 {
        let made = ring.desc(round);
        let packet = pattern(u64::from(round), 100);
        link.master_sends(&packet);
        assert_same(&read(&mut handle), &packet, round);
        // It was offered again, as it was, though its length and flags were changed.
        until("an offer", || ring.head() == round.wrapping_add(17));
        assert_eq!(ring.desc(round), made);
    }
}

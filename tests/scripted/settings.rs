//! What peers settle on in the handshake.

use crate::*;

/// VPP and libmemif as masters name 255 as the highest ring: as many as are asked for.
#[test]
fn a_master_that_allows_255_rings_gets_as_many_as_are_wanted() {
    let context = context();
    let name = socket();
    let mut raw = Master::listen(&name);
    raw.hello = raw.hello.put16(at::HELLO_MAX_S2M, 255);
    raw.hello = raw.hello.put16(at::HELLO_MAX_M2S, 255);
    raw.hello = raw.hello.put16(at::HELLO_MAX_REGION, 255);
    let slave = context
        .create_interface(MemifConfig::new(&name).queues(3, 2))
        .unwrap();
    let link = raw.go(Stage::Up);
    up(&slave);
    assert_eq!((link.m2s.len(), link.s2m.len()), (3, 2));
}

/// A slave's ring of 2^15 slots: libmemif takes it, whatever HELLO says.
#[test]
fn a_slave_may_have_rings_of_32768_slots() {
    let context = context();
    let master = ours(&context, Role::Master);
    let mut plan = Plan::new(0);
    let bytes = ring_bytes(15);
    plan.regions[0] = Memory::new(2 * bytes);
    let (fd, len) = (plan.regions[0].fd.clone(), plan.regions[0].len());
    plan.steps[P_REGION0] = Step::new(Message::add_region(0, len as u64), &[&fd]);
    for (step, ring, offset) in [
        (P_S2M, &mut plan.s2m[0], 0),
        (P_M2S, &mut plan.m2s[0], bytes),
    ] {
        (ring.log2, ring.offset) = (15, offset);
        plan.steps[step].put8(at::RING_LOG2, 15);
        plan.steps[step].put32(at::RING_OFFSET, offset as u32);
        plan.regions[0].store32(offset, COOKIE);
    }
    let link = plan.up(master.socket());
    up(&master);
    let mut handle = master.packet_handle(0).unwrap().with_burst(255);
    let ring = link.s2m();
    let desc = |slot: u16| Desc {
        region: 1,
        length: 8,
        offset: 8 * u32::from(slot % 64),
        ..Desc::default()
    };
    for round in 0..5u16 {
        // The whole ring at once, over the end of the numbers.
        for slot in 0..=32767 {
            ring.set_desc(slot, desc(slot));
        }
        ring.set_head(ring.head().wrapping_add(32768));
        ring.wake();
        for _ in 0..32768 {
            assert_eq!(read(&mut handle).len(), 8);
        }
        assert_eq!(ring.tail(), ring.head(), "round {round}");
    }
    assert_eq!(eof(handle.read_packet()), memif::Eof::Empty);
    let offered = link.m2s();
    for slot in 0..=32767 {
        offered.set_desc(slot, desc(slot));
    }
    offered.set_head(32768);
    for _ in 0..32768 {
        handle.write_packet(b"12345678").unwrap();
    }
    assert_eq!(handle.write_packet(b"x"), Err(memif::Error::Full));
    offered.set_head(32768 + 1);
    handle.write_packet(b"x").unwrap();
    assert_eq!(master.stats().rx_queues[0].overrun_slots, 0);
    offered.set_head(offered.tail().wrapping_add(32768)); // or closing would wait
}

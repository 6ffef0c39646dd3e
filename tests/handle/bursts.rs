//! What bursts, queues and handles tell of themselves, and what they do where there is nothing.

use memif::{
    Burst, CaptureInfo, Eof, Error, MemifConfig, Packet, PacketSink, PacketSource, Role, Timestamp,
};

use crate::common::*;
use crate::support::*;

#[test]
fn a_burst_tells_what_it_holds() {
    for reader in ROLES {
        let pair = Pair::new();
        let mut to = pair.side(other(reader)).tx_queue(0).unwrap();
        let mut from = pair.side(reader).rx_queue(0).unwrap();
        let mut burst = Burst::new(8).with_snaplen(100);
        assert_eq!((burst.capacity(), burst.snaplen()), (8, 100));
        assert!(burst.is_empty() && burst.get(0).is_none());

        to.tx_burst(&[[1; 60], [2; 60], [3; 60]]).unwrap();
        assert_eq!(from.rx_burst(&mut burst).unwrap(), 3);
        assert_eq!((burst.len(), burst.is_empty()), (3, false));
        assert_eq!(burst.get(2).unwrap().data(), [3; 60]);
        let mut packets = burst.iter();
        for n in 1..=3u8 {
            assert_eq!(packets.len(), 4 - usize::from(n));
            assert_eq!(packets.next().unwrap().data(), [n; 60]);
        }
        assert_eq!((packets.len(), packets.next().is_none()), (0, true));
        assert_eq!((&burst).into_iter().count(), 3);
        let shown = format!("{burst:?}");
        assert!(
            shown.contains("len: 3") && shown.contains("capacity: 8"),
            "{shown}"
        );

        // What an earlier burst has left behind is not shown.
        to.tx_burst(&[[4; 60]]).unwrap();
        assert_eq!(from.rx_burst(&mut burst).unwrap(), 1);
        assert!(burst.get(1).is_none());
        pair.side(other(reader)).close();
        down(pair.side(reader));
        assert_eq!(eof(from.rx_burst(&mut burst)), Eof::LinkDown);
        assert!(burst.is_empty() && burst.get(0).is_none());
    }
}

#[test]
fn a_burst_has_room_for_packets_of_the_usual_length() {
    let pair = Pair::new();
    let mut to = pair.slave.tx_queue(0).unwrap();
    let mut from = pair.master.rx_queue(0).unwrap();
    for burst in [Burst::new(64), Burst::new(64).with_snaplen(1500)] {
        let mut burst = burst;
        assert_eq!(to.tx_burst(&[[1; 1500]; 64]).unwrap(), 64);
        assert_eq!(from.rx_burst(&mut burst).unwrap(), 64);
    }
}

#[test]
fn queues_know_their_ids() {
    let pair = Pair::with(|c| c.queues(3, 3).id(42));
    let mut to = pair.slave.tx_queue(2).unwrap();
    let mut from = pair.master.rx_queue(2).unwrap();
    assert_eq!((to.id(), from.id()), (2, 2));
    to.tx_burst(&[[1; 60]]).unwrap();
    let views = from.views(8).unwrap();
    let view = views.iter().next().unwrap();
    assert_eq!(view.info().interface_index, 42);
    assert!(!view.is_empty() && view.info().timestamp.seconds() > 1_600_000_000);
    assert!(format!("{views:?}").contains("len: 60"));
}

#[test]
fn nothing_is_sent_where_nothing_is_given() {
    for writer in ROLES {
        let pair = Pair::new();
        let mut to = pair.side(writer).tx_queue(0).unwrap();
        let none: [&[u8]; 0] = [];
        assert_eq!(to.tx_burst(&none), Ok(0));
        assert_eq!(to.forward(&Burst::new(8), 0), Ok(0));
        let stats = pair.side(writer).stats().tx_queues[0];
        assert_eq!((stats.packets, stats.ring_full), (0, 0));
    }
}

#[test]
fn a_handle_forwards_as_much_as_there_is_room_for() {
    for reader in ROLES {
        let (first, second) = (Pair::new(), Pair::small(2, 2048));
        let mut to = first.side(other(reader)).tx_queue(0).unwrap();
        let mut burst = Burst::new(8);
        to.tx_burst(&[[7; 60]; 6]).unwrap();
        let mut rx = first.side(reader).rx_queue(0).unwrap();
        assert_eq!(rx.rx_burst(&mut burst).unwrap(), 6);

        let (mut to, mut from) = second.handles(reader, 8);
        assert_eq!(to.forward(&burst, 0), Ok(4));
        assert_eq!(to.forward(&burst, 4), Err(Error::Full));
        assert_eq!(to.forward(&burst, 6), Ok(0), "nothing is left of it");
        let stats = second.side(other(reader)).stats().tx_queues[0];
        assert_eq!((stats.packets, stats.bytes, stats.ring_full), (4, 240, 2));
        assert_eq!(to.pending_slots(), Ok(4));
        assert_eq!(drain(&mut from).0.len(), 4);
        assert_eq!(to.forward(&burst, 4), Ok(2));
        assert_eq!(to.pending_slots(), Ok(2));
        to.closer().close();
        assert_eq!(eof(to.forward(&burst, 0)), Eof::Closed);
    }
}

#[test]
fn a_handle_is_a_sink_and_a_source_and_its_halves_know_the_link() {
    for reader in ROLES {
        let pair = Pair::new();
        let (mut to, mut from) = pair.handles(reader, 8);
        let packet = pattern(1, 100);
        let info = CaptureInfo::whole(100, Timestamp::default());
        PacketSink::write_packet(&mut to, &Packet::new(&packet, info)).unwrap();
        let got = PacketSource::read_packet(&mut from).unwrap();
        assert_same(&got, &packet, reader);
        assert!(to.is_link_up() && from.is_link_up());
        let (mut reading, mut writing) = to.split();
        PacketSink::write_packet(&mut writing, &Packet::new(&packet, info)).unwrap();
        assert_same(&read(&mut from), &packet, reader);
        assert!(reading.is_link_up() && writing.is_link_up());
        from.write_packet(&packet).unwrap();
        let got = PacketSource::read_packet(&mut reading).unwrap();
        assert_same(&got, &packet, reader);
        pair.side(reader).close();
        down(pair.side(other(reader)));
        assert!(!reading.is_link_up() && !writing.is_link_up());
        reading.close();
        assert!(writing.closer().is_closed());
        assert!(format!("{:?}", writing.closer()).contains("closed: true"));
    }
}

#[test]
fn a_closed_queue_lends_what_had_arrived_first() {
    for reader in ROLES {
        let pair = Pair::new();
        let mut from = pair.side(reader).rx_queue(0).unwrap();
        let mut to = pair.side(other(reader)).tx_queue(0).unwrap();
        to.tx_burst(&[[1; 60]]).unwrap();
        from.closer().close();
        assert_eq!(from.views(8).unwrap().len(), 1);
        assert_eq!(eof(from.views(8).map(drop)), Eof::Closed);
    }
}

/// A queue that exists in one direction only: the other half of its handle says so.
#[test]
fn a_handle_may_have_one_direction_only() {
    let (context, socket) = (context(), socket());
    let config = MemifConfig::new(&socket).role(Role::Master).queues(1, 2);
    let master = context.create_interface(config).unwrap();
    let slave = context
        .create_interface(MemifConfig::new(&socket).queues(2, 1))
        .unwrap();
    up(&slave);
    up(&master);
    let mut to = master.packet_handle(1).unwrap();
    let mut from = slave.packet_handle(1).unwrap();
    to.write_packet_timeout(b"x", Some(LONG)).unwrap();
    assert_eq!(read(&mut from), b"x");
    assert!(!to.read_packet().unwrap_err().is_eof());
    let mut packets = to.packets();
    assert!(packets.next().expect("an error").is_err());
    assert!(packets.next().is_none(), "it would come again and again");
    assert!(!from.write_packet(b"x").unwrap_err().is_eof());
    assert!(master.packet_handle(2).is_err());
    assert!(fill(&mut to, 60).len() > 1);
}

//! The two halves, and the iterator over packets.

use std::sync::mpsc;
use std::thread;

use memif::{Eof, MemifConfig, PacketReader};

use crate::common::*;

fn count_in_order(mut reader: PacketReader, packets: u64, length: usize) {
    for i in 0..packets {
        let packet = reader.read_packet_timeout(Some(LONG)).expect("a packet");
        assert_same(&packet, &pattern(i, length), i);
    }
}

#[test]
fn halves_work_on_two_threads() {
    const PACKETS: u64 = 5000;
    let pair = Pair::small(4, 128);
    let mut threads = Vec::new();
    for role in ROLES {
        let (reader, mut writer) = pair
            .side(role)
            .packet_handle(0)
            .unwrap()
            .with_burst(16)
            .split();
        threads.push(thread::spawn(move || count_in_order(reader, PACKETS, 200)));
        threads.push(thread::spawn(move || {
            for i in 0..PACKETS {
                let packet = pattern(i, 200);
                writer.write_packet_timeout(&packet, Some(LONG)).unwrap();
            }
        }));
    }
    for thread in threads {
        thread.join().unwrap();
    }
}

#[test]
fn closing_one_half_closes_both() {
    let pair = Pair::new();
    let (mut reader, mut writer) = pair.master.packet_handle(0).unwrap().with_burst(1).split();
    reader.closer().close();
    assert_eq!(eof(writer.write_packet(b"x")), Eof::Closed);
    assert_eq!(eof(reader.read_packet()), Eof::Closed);
    assert!(writer.closer().is_closed());
}

#[test]
fn packets_ends_when_the_link_is_down_and_drained() {
    for reader in ROLES {
        let pair = Pair::new();
        let (mut to, mut from) = pair.handles(reader, 4);
        let peer = pair.side(other(reader)).clone();
        let writing = thread::spawn(move || {
            for i in 0..20 {
                to.write_packet(&pattern(i, 60)).unwrap();
            }
            peer.close();
        });
        let mut packets = from.packets();
        for i in 0..20 {
            let packet = packets.next().expect("a packet").unwrap();
            assert_same(&packet, &pattern(i, 60), i);
        }
        assert!(packets.next().is_none());
        assert!(packets.next().is_none(), "it stays ended");
        writing.join().unwrap();
    }
}

#[test]
fn following_goes_on_over_reconnects() {
    for reader in ROLES {
        let socket = socket();
        let reading_context = context();
        let writing_context = context();
        let reading = MemifConfig::new(&socket).role(reader);
        let reading = reading_context.create_interface(reading).unwrap();
        let (mut half, _writer) = reading.packet_handle(0).unwrap().with_burst(4).split();
        let closer = half.closer();
        let (packets, received) = mpsc::channel();
        let following = thread::spawn(move || {
            for packet in half.packets().follow(true) {
                packets.send(packet.unwrap().into_data()).unwrap();
            }
        });
        for round in 0..5 {
            let writing = MemifConfig::new(&socket).role(other(reader));
            let writing = writing_context.create_interface(writing).unwrap();
            up(&writing);
            let mut to = writing.packet_handle(0).unwrap().with_burst(1);
            for i in 0..10 {
                let packet = pattern(round * 10 + i, 60);
                to.write_packet_timeout(&packet, Some(LONG)).unwrap();
            }
            writing.close();
        }
        for i in 0..50 {
            let packet = received.recv_timeout(LONG).expect("a packet");
            assert_same(&packet, &pattern(i, 60), i);
        }
        closer.close();
        following.join().unwrap();
        assert!(received.try_recv().is_err(), "nothing else came");
    }
}

#[test]
fn the_halves_of_one_handle_are_reunited_and_no_others() {
    let pair = Pair::new();
    let (reader, writer) = pair.master.packet_handle(0).unwrap().split();
    let (other_reader, other_writer) = pair.slave.packet_handle(0).unwrap().split();
    let error = reader.reunite(other_writer).unwrap_err();
    assert!(error.to_string().contains("different handles"));
    let (reader, other_writer) = (error.0, error.1);
    let mut one = reader.reunite(writer).unwrap();
    let mut other = other_reader.reunite(other_writer).unwrap();
    one.write_packet(b"x").unwrap();
    assert_eq!(read(&mut other), b"x");
}

#[test]
fn what_only_listens_does_not_keep_an_interface() {
    let pair = Pair::new();
    let mut handle = pair.slave.packet_handle(0).unwrap();
    handle.write_packet(b"last").unwrap();
    assert_eq!(read(&mut pair.master.packet_handle(0).unwrap()), b"last");
    let closer = handle.closer();
    let mut interrupts = pair.slave.interrupts().unwrap();
    let waiting = thread::spawn(move || {
        loop {
            match interrupts.recv(None) {
                Err(memif::Error::Eof(reason)) => return reason,
                Err(e) => panic!("{e}"),
                Ok(_) => {}
            }
        }
    });
    let Pair { master, slave, .. } = pair;
    drop(handle);
    drop(slave);
    down(&master);
    assert_eq!(waiting.join().unwrap(), Eof::Closed);
    closer.close();
}

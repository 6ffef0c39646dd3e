//! Writing pcap: what reaches the file, and when.

use std::cell::RefCell;
use std::io::{self, Write};
use std::rc::Rc;

use memif::DEFAULT_SNAPLEN;
use memif::pcap::{CaptureReader, PcapWriter};
use memif::{CaptureInfo, Error, LinkType, Packet, PacketSink, PacketSource, Timestamp};

use crate::files::*;

/// A file that others can look into, with room for so many bytes; it takes
/// at most `step` of them at once.
#[derive(Clone, Default)]
struct Disk(Rc<RefCell<State>>);

#[derive(Default)]
struct State {
    bytes: Vec<u8>,
    room: usize,
    step: usize,
    flushes: usize,
    interrupt: bool,
}

impl Disk {
    fn new(room: usize, step: usize) -> Self {
        let disk = Self::default();
        disk.0.borrow_mut().room = room;
        disk.0.borrow_mut().step = step;
        disk
    }

    fn bytes(&self) -> Vec<u8> {
        self.0.borrow().bytes.clone()
    }
}

impl Write for Disk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut state = self.0.borrow_mut();
        state.interrupt = !state.interrupt;
        if state.interrupt {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let count = bytes.len().min(state.room).min(state.step);
        if count == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        state.bytes.extend_from_slice(&bytes[..count]);
        state.room -= count;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.borrow_mut().flushes += 1;
        Ok(())
    }
}

fn packet(data: &[u8], nanos: u64, length: usize) -> Packet<'_> {
    let mut info = CaptureInfo::whole(length, Timestamp::from_nanos(nanos));
    info.interface_index = 3;
    Packet::new(data, info)
}

#[test]
fn what_is_written_is_read_back() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.pcap");
    let lengths = [0, 1, 59, 60, 1514, 9000, 65535, 262_144];
    let data: Vec<u8> = (0..262_144u32).map(|n| n as u8).collect();
    let mut writer = PcapWriter::create(&path, LinkType::RAW, None).unwrap();
    let mut expected = Vec::new();
    for round in 0..5 {
        for (n, length) in lengths.into_iter().enumerate() {
            let nanos = 1_500_000_000_999_999_999 + round * 1_000 + n as u64;
            writer
                .write_packet(&packet(&data[..length], nanos, length + n))
                .unwrap();
            expected.push(seen(nanos, &data[..length], length + n, 0));
        }
    }
    let bytes = writer.bytes_accepted();
    assert_eq!(writer.packets_accepted(), 40);
    writer.close().unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().len(), bytes);

    let mut reader = CaptureReader::open(&path).unwrap();
    assert_eq!(reader.link_type(), LinkType::RAW);
    let (packets, end) = drain(&mut reader);
    assert_clean(&end);
    assert!(packets == expected);
}

#[test]
fn the_header_is_there_at_once_and_packets_when_flushed() {
    let disk = Disk::new(usize::MAX, usize::MAX);
    let mut writer = PcapWriter::new(disk.clone(), LinkType::ETHERNET, None).unwrap();
    let native = if cfg!(target_endian = "big") {
        Order::Big
    } else {
        Order::Little
    };
    assert_eq!(disk.bytes(), pcap_header(native, true, DEFAULT_SNAPLEN, 1));
    assert_eq!(disk.0.borrow().flushes, 1);

    writer
        .write_packet(&packet(b"abc", 1_000_000_002, 3))
        .unwrap();
    assert_eq!((writer.packets_written(), writer.bytes_written()), (0, 24));
    assert_eq!(
        (writer.packets_accepted(), writer.bytes_accepted()),
        (1, 43)
    );
    assert_eq!(disk.bytes().len(), 24);
    writer.flush().unwrap();
    assert_eq!((writer.packets_written(), writer.bytes_written()), (1, 43));
    assert_eq!(disk.bytes()[24..], pcap_record(native, 1, 2, 3, b"abc"));
    assert_eq!(disk.0.borrow().flushes, 2);

    let mut writer = writer.flush_each(true);
    writer.write_packet(&packet(b"de", 0, 2)).unwrap();
    assert_eq!(disk.bytes().len(), 43 + 18);
    assert_eq!(disk.0.borrow().flushes, 3);
}

#[test]
fn dropping_flushes() {
    let disk = Disk::new(usize::MAX, 7);
    let mut writer = PcapWriter::new(disk.clone(), LinkType::ETHERNET, None).unwrap();
    writer.write_packet(&packet(b"abc", 0, 3)).unwrap();
    drop(writer);
    assert_eq!(read_all(&disk.bytes()).0.len(), 1);

    // Nor does it panic where that fails.
    let disk = Disk::new(30, 7);
    let mut writer = PcapWriter::new(disk, LinkType::ETHERNET, None).unwrap();
    writer.write_packet(&packet(b"abc", 0, 3)).unwrap();
}

#[test]
fn a_full_disk_at_any_byte_keeps_what_is_whole_and_goes_on() {
    let data = [&b"one"[..], b"", b"and a third"];
    let sound = {
        let disk = Disk::new(usize::MAX, usize::MAX);
        let mut writer = PcapWriter::new(disk.clone(), LinkType::ETHERNET, None).unwrap();
        for data in data {
            writer.write_packet(&packet(data, 5, data.len())).unwrap();
        }
        writer.close().unwrap();
        disk.bytes()
    };
    let ends = [24 + 19, 24 + 19 + 16, 24 + 19 + 16 + 27];
    assert_eq!(ends[2], sound.len());

    for room in 0..sound.len() {
        for (step, each) in [(usize::MAX, false), (5, false), (5, true)] {
            let disk = Disk::new(room, step);
            let writer = PcapWriter::new(disk.clone(), LinkType::ETHERNET, None);
            if room < 24 {
                let error = writer.unwrap_err();
                assert!(matches!(error, Error::Io { .. }));
                assert!(error.to_string().contains(" 0 packets"), "{error}");
                continue;
            }
            let mut writer = writer.unwrap().flush_each(each);
            let mut failed = None;
            for data in data {
                failed = failed.or(writer.write_packet(&packet(data, 5, data.len())).err());
            }
            let error = failed.or(writer.flush().err()).expect("the disk is full");

            let whole = ends.iter().filter(|&&end| end <= room).count();
            assert_eq!(writer.packets_written(), whole as u64, "room {room}");
            assert_eq!(
                writer.bytes_written(),
                if whole == 0 { 24 } else { ends[whole - 1] } as u64
            );
            assert!(
                error.to_string().contains(&format!("{whole} packets")),
                "{error}"
            );
            assert_eq!(disk.bytes(), sound[..room]);

            disk.0.borrow_mut().room = 3;
            assert!(room + 3 >= sound.len() || writer.flush().is_err());
            disk.0.borrow_mut().room = usize::MAX;
            writer.flush().unwrap();
            assert_eq!(writer.packets_written(), 3);
            assert_eq!(writer.bytes_written(), sound.len() as u64);
            assert_eq!(disk.bytes(), sound, "room {room}, step {step}");
        }
    }
}

#[test]
fn the_buffer_is_bounded_while_the_disk_is_full() {
    let disk = Disk::new(1000, usize::MAX);
    let mut writer = PcapWriter::new(disk.clone(), LinkType::ETHERNET, None).unwrap();
    let mut refused = 0;
    for _ in 0..1000 {
        let before = writer.packets_accepted();
        if writer.write_packet(&packet(&[1; 1000], 0, 1000)).is_err() {
            assert_eq!(writer.packets_accepted(), before, "refused, so not taken");
            refused += 1;
        }
    }
    assert_eq!(writer.packets_accepted(), 1000 - refused);
    assert!(writer.bytes_accepted() <= 24 + (256 << 10));
    disk.0.borrow_mut().room = usize::MAX;
    writer.flush().unwrap();
    assert_eq!(read_all(&disk.bytes()).0.len() as u64, 1000 - refused);
}

#[test]
fn dev_full_is_a_full_disk() {
    let error = PcapWriter::create("/dev/full", LinkType::ETHERNET, None).unwrap_err();
    assert!(
        matches!(&error, Error::Io { error, .. } if error.kind() == io::ErrorKind::StorageFull)
    );
    assert!(error.to_string().contains("/dev/full"), "{error}");
}

#[test]
fn long_packets_are_cut_to_the_snap_length() {
    let mut file = Vec::new();
    let mut writer = PcapWriter::new(&mut file, LinkType::ETHERNET, Some(4)).unwrap();
    assert_eq!(writer.snaplen(), 4);
    writer
        .write_packet(&packet(b"four and more", 0, 100))
        .unwrap();
    writer.write_packet(&packet(b"few", 0, 3)).unwrap();
    writer.close().unwrap();
    assert_eq!(
        read_all(&file).0,
        [seen(0, b"four", 100, 0), seen(0, b"few", 3, 0)]
    );

    let huge = PcapWriter::new(io::sink(), LinkType::ETHERNET, Some(u32::MAX)).unwrap();
    assert_eq!(huge.snaplen(), 64 << 20);
}

#[test]
fn what_has_no_room_in_a_pcap_is_refused_and_not_taken() {
    let mut writer = PcapWriter::new(io::sink(), LinkType::ETHERNET, None).unwrap();
    let latest = (u64::from(u32::MAX) + 1) * 1_000_000_000 - 1;
    writer.write_packet(&packet(b"x", latest, 1)).unwrap();
    let late = writer
        .write_packet(&packet(b"x", latest + 1, 1))
        .unwrap_err();
    assert!(late.to_string().contains("2106"), "{late}");
    let long = writer.write_packet(&packet(b"x", 0, 1 << 32)).unwrap_err();
    assert!(long.to_string().contains("4294967296"), "{long}");
    assert_eq!(writer.packets_accepted(), 1);

    assert!(matches!(
        PcapWriter::new(io::sink(), LinkType::from(65536), None),
        Err(Error::Config {
            what: "link type",
            ..
        })
    ));
}

#[test]
fn every_link_type_survives() {
    for number in 0..=u32::from(u16::MAX) {
        let mut file = Vec::new();
        PcapWriter::new(&mut file, LinkType::from(number), None)
            .unwrap()
            .close()
            .unwrap();
        assert_eq!(
            CaptureReader::new(&file[..]).unwrap().link_type(),
            LinkType::from(number)
        );
    }
}

#[test]
fn each_packet_goes_through_a_named_pipe_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("pipe");
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
    std::thread::scope(|scope| {
        let (sender, turn) = std::sync::mpsc::channel();
        let reader = scope.spawn(|| {
            let sender = sender;
            let mut reader = CaptureReader::open(&path).unwrap();
            sender.send(()).unwrap();
            for n in 0..3u8 {
                assert_eq!(reader.read_packet().unwrap().data(), [n]);
                sender.send(()).unwrap();
            }
            assert_clean(&reader.read_packet().unwrap_err());
        });
        let mut writer = PcapWriter::create(&path, LinkType::ETHERNET, None).unwrap();
        for n in 0..3u8 {
            turn.recv().unwrap();
            writer.write_packet(&packet(&[n], 0, 1)).unwrap();
        }
        turn.recv().unwrap();
        writer.close().unwrap();
        reader.join().unwrap();
    });
}

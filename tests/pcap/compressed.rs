//! Files that are compressed, whole and cut.

use std::fs::{self, File};
use std::io::{self, Cursor, Read, Write};
use std::path::Path;
use std::sync::mpsc::{Sender, TryRecvError, channel};
use std::time::Duration;

use memif::pcap::{
    CaptureReader, Compression, Effort, FileReader, InterfaceInfo, PcapNgWriter, PcapWriter,
};
use memif::{CaptureInfo, Eof, Error, LinkType, Packet, PacketSink, PacketSource, Timestamp};

const KINDS: [(&str, Compression); 3] = [
    ("x.pcap", Compression::None),
    ("x.pcap.gz", Compression::Gzip),
    ("x.pcap.zst", Compression::Zstd),
];

fn write(path: &Path, compression: Compression, from: u32, packets: u32) {
    let file = File::create(path).unwrap();
    let mut writer = PcapWriter::compressed(file, compression, LinkType::ETHERNET, None).unwrap();
    for n in from..from + packets {
        let time = Timestamp::from_nanos(n.into());
        let bytes = n.to_be_bytes().repeat(20);
        let info = CaptureInfo::whole(bytes.len(), time);
        writer.write_packet(&Packet::new(&bytes, info)).unwrap();
    }
    writer.finish().unwrap();
    // Twice is once.
    writer.finish().unwrap();
    writer.close().unwrap();
}

/// How many packets there are, each with its number, and what ends the file: with a thread that
/// decompresses, too.
fn read(path: &Path) -> (u32, Error) {
    let open = || CaptureReader::open(path).unwrap();
    let found = read_with(open());
    assert_eq!(read_with(open().decompress_ahead().unwrap()), found);
    found
}

fn read_with(mut reader: CaptureReader<FileReader>) -> (u32, Error) {
    let mut packets = 0_u32;
    loop {
        match reader.read_packet() {
            Ok(packet) => {
                assert_eq!(packet[..4], packets.to_be_bytes());
                packets += 1;
            }
            Err(error) => {
                // Once, then the end for ever.
                assert!(reader.read_packet().unwrap_err().is_eof());
                return (packets, error);
            }
        }
    }
}

#[test]
fn what_is_packed_is_unpacked() {
    let dir = tempfile::tempdir().unwrap();
    let mut sizes = Vec::new();
    for (name, compression) in KINDS {
        assert_eq!(Compression::of_name(name), compression);
        let path = dir.path().join(name);
        write(&path, compression, 0, 10_000);
        let (packets, end) = read(&path);
        assert_eq!(packets, 10_000, "{name}");
        assert!(end.is_eof(), "{end}");
        sizes.push(fs::metadata(&path).unwrap().len());
    }
    assert!(
        sizes[1] < sizes[0] / 4 && sizes[2] < sizes[0] / 4,
        "{sizes:?}"
    );
}

#[test]
fn by_their_bytes_not_by_their_names() {
    let dir = tempfile::tempdir().unwrap();
    for (_, compression) in KINDS {
        let path = dir.path().join("capture");
        write(&path, compression, 0, 10);
        assert_eq!(read(&path).0, 10);
        let mut reader =
            CaptureReader::new(FileReader::new(File::open(&path).unwrap()).unwrap()).unwrap();
        assert_eq!(reader.read_packet().unwrap().len(), 80);
    }
}

/// As `cat a.gz b.gz` makes them, of which the second has no header of its own here.
#[test]
fn several_parts_are_one_file() {
    let dir = tempfile::tempdir().unwrap();
    for (name, compression) in &KINDS[1..] {
        let (whole, path) = (dir.path().join("whole"), dir.path().join(name));
        write(&whole, Compression::None, 0, 100);
        let bytes = fs::read(&whole).unwrap();
        let mut all = Vec::new();
        for part in [&bytes[..5000], &bytes[5000..]] {
            all.extend(pack(part, *compression));
        }
        fs::write(&path, all).unwrap();
        let (packets, end) = read(&path);
        assert!(packets == 100 && end.is_eof(), "{name}: {packets} {end}");
    }
}

#[test]
fn a_cut_file_gives_what_is_there_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    for (name, compression) in &KINDS[1..] {
        let path = dir.path().join(name);
        write(&path, *compression, 0, 50_000);
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
        let (packets, end) = read(&path);
        assert!((1..50_000).contains(&packets), "{name}: {packets}");
        assert!(!end.is_eof() && end.to_string().contains(name), "{end}");
    }
}

#[test]
fn how_much_has_been_read_is_counted_on_the_disk() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.pcap.zst");
    write(&path, Compression::Zstd, 0, 10_000);
    let open = || CaptureReader::open(&path).unwrap();
    for mut reader in [open(), open().decompress_ahead().unwrap()] {
        while reader.read_packet().is_ok() {}
        assert_eq!(reader.file_position(), fs::metadata(&path).unwrap().len());
        assert_eq!(reader.position(), 24 + 10_000 * 96);
    }
}

/// A file in memory, which tells when it is closed.
struct Closing(Cursor<Vec<u8>>, Sender<()>);

impl Read for Closing {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Drop for Closing {
    fn drop(&mut self) {
        let _ = self.1.send(());
    }
}

/// Has a part of a file at a time, and says in between that there is nothing yet.
struct Dripping {
    file: Cursor<Vec<u8>>,
    part: usize,
    waits: bool,
}

impl Read for Dripping {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.waits = !self.waits;
        if self.waits && self.file.position() > 4 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let most = buffer.len().min(self.part);
        self.file.read(&mut buffer[..most])
    }
}

/// Each try again tries again, also with what came while nobody asked.
#[test]
fn a_reader_that_does_not_block_may_be_decompressed_by_a_thread() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.pcap.zst");
    write(&path, Compression::Zstd, 0, 20_000);
    let bytes = fs::read(&path).unwrap();
    let part = bytes.len() / 7;
    let tries = |ahead: bool| {
        let file = Cursor::new(bytes.clone());
        let waits = true;
        let file = FileReader::new(Dripping { file, part, waits }).unwrap();
        let mut reader = CaptureReader::new(file).unwrap(); // the first part has the header
        if ahead {
            reader = reader.decompress_ahead().unwrap();
        }
        let (mut packets, mut tries) = (0_u32, 0);
        loop {
            match reader.read_packet() {
                Ok(packet) => {
                    assert_eq!(packet[..4], packets.to_be_bytes());
                    packets += 1;
                }
                Err(Error::Eof(Eof::Empty)) => tries += 1,
                Err(end) => {
                    assert!(end.is_eof(), "{end}");
                    return (packets, tries);
                }
            }
        }
    };
    let (packets, waits) = tries(false);
    assert!(packets == 20_000 && waits > 2, "{packets} {waits}");
    assert_eq!(tries(true), (packets, waits));
}

#[test]
fn a_thread_that_decompresses_ends_with_its_reader() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.pcap.zst");
    write(&path, Compression::Zstd, 0, 100_000);
    for read_before in [0, 1, 50_000, 100_000] {
        let (closing, closed) = channel();
        let file = Closing(Cursor::new(fs::read(&path).unwrap()), closing);
        let reader = CaptureReader::new(FileReader::new(file).unwrap()).unwrap();
        let mut reader = reader.decompress_ahead().unwrap();
        for _ in 0..read_before {
            reader.read_packet().unwrap();
        }
        assert_eq!(closed.try_recv(), Err(TryRecvError::Empty));
        drop(reader);
        assert_eq!(closed.recv_timeout(Duration::from_secs(60)), Ok(()));
    }
}

/// As the programs of these names do.
fn pack(bytes: &[u8], compression: Compression) -> Vec<u8> {
    match compression {
        Compression::Gzip => {
            let mut packer = flate2::write::GzEncoder::new(Vec::new(), Default::default());
            packer.write_all(bytes).unwrap();
            packer.finish().unwrap()
        }
        _ => zstd::encode_all(bytes, 0).unwrap(),
    }
}

#[test]
fn a_file_is_compressed_as_its_name_says_and_whole_when_closed_or_dropped() {
    let dir = tempfile::tempdir().unwrap();
    for (name, _) in KINDS {
        for ng in [false, true] {
            for drops in [false, true] {
                let path = dir.path().join(name);
                let packet = Packet::whole(&[7; 60], Timestamp::from_nanos(1));
                if ng {
                    let interface = InterfaceInfo::new("x", LinkType::ETHERNET);
                    let mut writer = PcapNgWriter::create(&path, &[interface]).unwrap();
                    writer.write_packet(&packet).unwrap();
                    if !drops {
                        writer.close().unwrap();
                    }
                } else {
                    let mut writer = PcapWriter::create(&path, LinkType::ETHERNET, None).unwrap();
                    writer.write_packet(&packet).unwrap();
                    if !drops {
                        writer.close().unwrap();
                    }
                }
                let bytes = fs::read(&path).unwrap();
                let plain = match name {
                    "x.pcap.gz" => {
                        let mut plain = Vec::new();
                        let mut unpacker = flate2::read::GzDecoder::new(&bytes[..]);
                        unpacker.read_to_end(&mut plain).unwrap();
                        plain
                    }
                    "x.pcap.zst" => zstd::decode_all(&bytes[..]).unwrap(),
                    _ => bytes,
                };
                let mut reader = CaptureReader::new(&plain[..]).unwrap();
                assert_eq!(reader.packets().count(), 1, "{name} {ng} {drops}");
            }
        }
    }
}

#[test]
fn closing_returns_the_writer_beneath() {
    for (_, compression) in KINDS {
        let writer =
            PcapWriter::compressed(Vec::new(), compression, LinkType::ETHERNET, None).unwrap();
        let bytes = writer.close().unwrap();
        let reader = FileReader::new(std::io::Cursor::new(bytes)).unwrap();
        assert_eq!(CaptureReader::new(reader).unwrap().packets().count(), 0);
    }
}

#[test]
fn threads_pack_the_same() {
    let dir = tempfile::tempdir().unwrap();
    for (threads, level) in [(0, None), (1, Some(1)), (3, Some(9))] {
        let mut effort = Effort::default();
        (effort.threads, effort.level) = (threads, level);
        for (name, compression) in KINDS {
            let path = dir.path().join(name);
            let file = File::create(&path).unwrap();
            let ethernet = LinkType::ETHERNET;
            let mut writer =
                PcapWriter::compressed_by(effort, file, compression, ethernet, None).unwrap();
            for n in 0..50_000_u32 {
                let bytes = n.to_be_bytes().repeat(20);
                let packet = Packet::whole(&bytes, Timestamp::from_nanos(n.into()));
                writer.write_packet(&packet).unwrap();
                if n == 30_000 {
                    // All that was written can be read, though there is no end yet.
                    PacketSink::flush(&mut writer).unwrap();
                    assert_eq!(read(&path).0, 30_001, "{name}, {threads}");
                }
            }
            writer.close().unwrap();
            let (packets, end) = read(&path);
            assert_eq!((packets, end.is_eof()), (50_000, true), "{name}, {threads}");
        }
    }
}

#[test]
fn levels_are_checked() {
    let pack = |compression, level| {
        let mut effort = Effort::default();
        effort.level = Some(level);
        PcapWriter::compressed_by(effort, Vec::new(), compression, LinkType::ETHERNET, None)
    };
    for (compression, level) in [
        (Compression::Gzip, 10),
        (Compression::Gzip, -1),
        (Compression::Zstd, 23),
    ] {
        let error = pack(compression, level).unwrap_err();
        assert!(error.to_string().contains(&level.to_string()), "{error}");
    }
    assert!(pack(Compression::Zstd, -5).is_ok());
}

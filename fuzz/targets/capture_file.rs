//! Capture files: any bytes, that come in pieces of any size. What is read is written again, and
//! read again, and must be the same.
#![no_main]

use std::io::{self, Read};

use libfuzzer_sys::fuzz_target;
use memif::pcap::{CaptureReader, InterfaceInfo, PcapNgWriter, PcapWriter};
use memif::{Direction, Eof, Error, LinkType, PacketBuf, PacketSink, PacketSource};

/// Gives so many bytes at a time, and now and then none yet.
struct Pieces<'a> {
    data: &'a [u8],
    size: usize,
    waits: bool,
    waited: bool,
}

impl Read for Pieces<'_> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        if self.waits && !self.waited {
            self.waited = true;
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.waited = false;
        let size = self.size.min(self.data.len()).min(to.len());
        to[..size].copy_from_slice(&self.data[..size]);
        self.data = &self.data[size..];
        Ok(size)
    }
}

/// All packets; the damage comes once, then the end for ever.
fn read_all(input: impl Read, most: usize) -> (LinkType, Vec<PacketBuf>) {
    let Ok(mut reader) = CaptureReader::new(input) else {
        return (LinkType::ETHERNET, Vec::new());
    };
    let link_type = reader.link_type();
    let (mut packets, mut position) = (Vec::new(), 0);
    let mut turns = 0;
    loop {
        turns += 1;
        assert!(turns <= 4 * most + 64, "it does not end");
        match reader.read_packet() {
            Ok(packet) => packets.push(PacketBuf::from(packet)),
            Err(Error::Eof(Eof::Empty)) => continue,
            Err(Error::Eof(Eof::EndOfFile)) => break,
            Err(Error::Capture { offset, .. }) => {
                assert!(offset as usize <= most, "beyond the file");
                assert_eq!(
                    reader.read_packet().unwrap_err().eof(),
                    Some(Eof::EndOfFile)
                );
                break;
            }
            Err(other) => panic!("an error that no bytes can cause: {other}"),
        }
        assert!(reader.position() > position || reader.position() as usize <= most);
        position = reader.position();
    }
    assert_eq!(
        reader.read_packet().unwrap_err().eof(),
        Some(Eof::EndOfFile)
    );
    (link_type, packets)
}

fuzz_target!(|data: &[u8]| {
    let Some((&control, file)) = data.split_first() else {
        return;
    };
    let pieces = Pieces {
        data: file,
        size: if control & 0x3f == 0 {
            usize::MAX
        } else {
            usize::from(control & 0x3f)
        },
        waits: false,
        waited: false,
    };
    let (link_type, packets) = read_all(pieces, file.len());
    let slow = Pieces {
        data: file,
        size: 97,
        waits: control & 0x80 != 0,
        waited: true,
    };
    let (_, again) = read_all(slow, file.len());
    // A header that is not there yet is an error of opening.
    if control & 0x80 == 0 {
        assert_eq!(packets, again, "the size of the pieces makes a difference");
    }

    let mut out = Vec::new();
    let written = if control & 0x40 == 0 {
        write_pcap(&mut out, link_type, &packets)
    } else {
        write_pcapng(&mut out, link_type, &packets)
    };
    if let Err(error) = written {
        assert!(
            matches!(error, Error::Config { .. }),
            "memory takes all: {error}"
        );
        return;
    }
    let (same_type, same) = read_all(&out[..], out.len());
    assert_eq!(same_type, link_type);
    assert_eq!(same.len(), packets.len());
    for (a, b) in same.iter().zip(&packets) {
        assert_eq!(a[..], b[..]);
        let (a, b) = (a.info(), b.info());
        assert_eq!(
            a.length.max(a.capture_length),
            b.length.max(b.capture_length)
        );
        if control & 0x40 != 0 {
            assert_eq!(a.timestamp, b.timestamp);
        }
    }
});

fn write_pcap(out: &mut Vec<u8>, link_type: LinkType, packets: &[PacketBuf]) -> Result<(), Error> {
    let mut writer = PcapWriter::new(out, link_type, None)?;
    for packet in packets {
        writer.write_packet(&packet.as_packet())?;
    }
    writer.close().map(drop)
}

fn write_pcapng(
    out: &mut Vec<u8>,
    link_type: LinkType,
    packets: &[PacketBuf],
) -> Result<(), Error> {
    let mut writer = PcapNgWriter::new(out, &[InterfaceInfo::new("fuzz", link_type)])?;
    for packet in packets {
        writer.write_packet_on(0, Direction::Inbound, &packet.as_packet())?;
    }
    writer.close().map(drop)
}

//! Our files in others' hands, and theirs in ours. Skipped where the tools are
//! missing, unless MEMIF_REQUIRE_INTEROP=1 demands them.

use std::path::Path;
use std::process::Command;

use memif::pcap::{CaptureReader, PcapWriter};
use memif::{CaptureInfo, LinkType, Packet, PacketSink, Timestamp};

use crate::files::*;

/// What the tool prints, or nothing where it is missing.
fn run(tool: &str, arguments: &[&str]) -> Option<String> {
    match Command::new(tool).args(arguments).output() {
        Ok(output) => {
            let errors = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.success(), "{tool} {arguments:?}: {errors}");
            Some(String::from_utf8_lossy(&output.stdout).into_owned())
        }
        Err(error) => {
            let required =
                std::env::var_os("MEMIF_REQUIRE_INTEROP").is_some_and(|v| v == "1" || v == "all");
            assert!(!required, "{tool} is required and can't be run: {error}");
            eprintln!("skipped: {tool} can't be run: {error}");
            None
        }
    }
}

const PACKETS: [(u64, usize, usize); 3] = [
    (1_500_000_000_123_456_789, 60, 60),
    (1_500_000_001_000_000_001, 40, 1514),
    (1_500_000_002_999_999_999, 1514, 1514),
];

fn write_ours(path: &Path) {
    let mut writer = PcapWriter::create(path, LinkType::ETHERNET, None).unwrap();
    for (nanos, captured, length) in PACKETS {
        let data = vec![0xaa; captured];
        let info = CaptureInfo::whole(length, Timestamp::from_nanos(nanos));
        writer.write_packet(&Packet::new(&data, info)).unwrap();
    }
    writer.close().unwrap();
}

fn fields(file: &str) -> Option<Vec<(String, usize, usize)>> {
    let wanted = ["frame.time_epoch", "frame.cap_len", "frame.len"];
    let mut arguments = vec!["-n", "-r", file, "-T", "fields"];
    arguments.extend(wanted.iter().flat_map(|field| ["-e", field]));
    let text = run("tshark", &arguments)?;
    let row = |line: &str| {
        let mut columns = line.split('\t').map(str::to_owned);
        let mut next = || columns.next().unwrap();
        (next(), next().parse().unwrap(), next().parse().unwrap())
    };
    Some(text.lines().map(row).collect())
}

#[test]
fn tshark_reads_our_files_to_the_nanosecond() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ours.pcap");
    write_ours(&path);
    let Some(rows) = fields(path.to_str().unwrap()) else {
        return;
    };
    let expected = PACKETS.map(|(nanos, captured, length)| {
        let time = Timestamp::from_nanos(nanos).to_string();
        (time, captured, length)
    });
    assert_eq!(rows, expected);
}

#[test]
fn capinfos_finds_our_header_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ours.pcap");
    write_ours(&path);
    let Some(text) = run(
        "capinfos",
        &["-t", "-E", "-c", "-l", path.to_str().unwrap()],
    ) else {
        return;
    };
    for expected in ["nanosecond", "Ethernet", "262144"] {
        assert!(text.contains(expected), "{expected} not in {text}");
    }
    assert!(
        text.lines()
            .any(|line| line.starts_with("Number of packets") && line.ends_with('3')),
        "{text}"
    );
}

#[test]
fn we_read_what_editcap_makes_of_our_files() {
    let dir = tempfile::tempdir().unwrap();
    let ours = dir.path().join("ours.pcap");
    write_ours(&ours);
    let (expected, _) = drain(&mut CaptureReader::open(&ours).unwrap());
    for (format, exact) in [("pcapng", true), ("nsecpcap", true), ("pcap", false)] {
        let theirs = dir.path().join(format);
        let (from, to) = (ours.to_str().unwrap(), theirs.to_str().unwrap());
        if run("editcap", &["-F", format, from, to]).is_none() {
            return;
        }
        let (packets, end) = drain(&mut CaptureReader::open(&theirs).unwrap());
        assert_clean(&end);
        let mut expected = expected.clone();
        for packet in expected.iter_mut().filter(|_| !exact) {
            packet.nanos -= packet.nanos % 1_000;
        }
        assert_eq!(packets, expected, "{format}");
    }
}

#[test]
fn tshark_and_we_agree_on_a_pcapng_with_odd_clocks() {
    let dir = tempfile::tempdir().unwrap();
    for order in ORDERS {
        let path = dir.path().join(format!("{order:?}.pcapng"));
        let offset = option(order, 14, &order.u64(1_000_000_000));
        let file = [
            section(order),
            interface(order, 1, 0, &[option(order, 9, &[3]), offset].concat()),
            interface(order, 1, 0, &option(order, 9, &[0x80 | 20])),
            interface(order, 1, 0, &[]),
            enhanced(order, 0, 500_000_000_123, 60, &[1; 60]),
            enhanced(order, 1, (1_500_000_000 << 20) | (1 << 19), 1514, &[2; 61]),
            enhanced(order, 2, 1_500_000_000_000_007, 62, &[3; 62]),
        ]
        .concat();
        std::fs::write(&path, file).unwrap();
        let (packets, end) = drain(&mut CaptureReader::open(&path).unwrap());
        assert_clean(&end);
        let ours: Vec<_> = packets
            .iter()
            .map(|p| {
                (
                    Timestamp::from_nanos(p.nanos).to_string(),
                    p.data.len(),
                    p.length,
                )
            })
            .collect();
        let Some(theirs) = fields(path.to_str().unwrap()) else {
            return;
        };
        let number = |time: &str| -> (u64, u32) {
            let (seconds, fraction) = time.split_once('.').unwrap();
            (
                seconds.parse().unwrap(),
                format!("{fraction:0<9}").parse().unwrap(),
            )
        };
        assert_eq!(ours.len(), theirs.len());
        for (ours, theirs) in ours.iter().zip(&theirs) {
            assert_eq!(number(&ours.0), number(&theirs.0));
            assert_eq!((ours.1, ours.2), (theirs.1, theirs.2));
        }
    }
}

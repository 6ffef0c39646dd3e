//! What is printed, pinned, and beside what tcpdump prints of the same packets.

use std::process::Command;

use crate::process::{installed, run};

const MIXED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../testdata/mixed.pcap");
const PROTOCOLS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../testdata/protocols.pcap");

fn printed(options: &[&str]) -> Vec<String> {
    run(&[&["capture", "-r"][..], options].concat())
        .good()
        .lines()
}

/// The packets of protocols.pcap, in order, with `-t`.
const LINES: &[&str] = &[
    "ARP, Reverse Request who-is 02:00:00:00:00:01 tell 02:00:00:00:00:01, length 46",
    "vlan 5, p 0, ARP, Request who-has 192.0.2.2 tell 192.0.2.1, length 42",
    "vlan 7, p 0, vlan 100, p 1, IP6 2001:db8::1 > 2001:db8::2: ICMP6, echo request, id 7, seq 1, length 16",
    "MPLS (label 100, tc 0, [S], ttl 64) IP 192.0.2.1 > 192.0.2.2: ICMP echo request, id 7, seq 1, length 32",
    "MPLS (label 16000, tc 0, ttl 64) (label 17, tc 0, [S], ttl 64) IP6 2001:db8::1 > 2001:db8::2: ICMP6, echo request, id 7, seq 2, length 32",
    "IP 192.0.2.1 > 192.0.2.2: GREv0, length 56: IP 192.0.2.1 > 192.0.2.2: ICMP echo request, id 7, seq 1, length 32",
    "IP 192.0.2.1 > 192.0.2.2: GREv0, key=0x1234, length 60: IP 192.0.2.1 > 192.0.2.2: ICMP echo request, id 7, seq 1, length 32",
    "IP 192.0.2.1 > 192.0.2.2: GREv0, seq 9, length 60: IP 192.0.2.1 > 192.0.2.2: ICMP echo request, id 7, seq 1, length 32",
    "IP 192.0.2.1 > 192.0.2.2: GREv0, length 70: IP 192.0.2.2 > 192.0.2.1: ICMP echo reply, id 7, seq 1, length 32",
    "IP 192.0.2.1 > 192.0.2.2: GREv0, length 8: gre-proto-0x1234",
    "IP 192.0.2.1.50000 > 192.0.2.2.4789: VXLAN, flags [I] (0x08), vni 12345: IP 192.0.2.2 > 192.0.2.1: ICMP echo reply, id 7, seq 1, length 32",
    "IP6 2001:db8::1.50000 > 2001:db8::2.4789: VXLAN, flags [I] (0x08), vni 12345: IP 192.0.2.2 > 192.0.2.1: ICMP echo reply, id 7, seq 1, length 32",
    "IP 192.0.2.1.40000 > 192.0.2.2.53: 4660+ A? example.com. (29)",
    "IP 192.0.2.2.53 > 192.0.2.1.40000: 4660 2/0/0 CNAME www.example.com., A 192.0.2.80 (63)",
    "IP 192.0.2.1.40000 > 192.0.2.2.53: 4661+ AAAA? example.com. (29)",
    "IP 192.0.2.2.53 > 192.0.2.1.40000: 4661 1/0/0 AAAA 2001:db8::2 (57)",
    "IP 192.0.2.1.40000 > 192.0.2.2.53: 4662 MX? example.com. (29)",
    "IP 192.0.2.2.53 > 192.0.2.1.40000: 4662 1/0/0 MX mail.example.com. 10 (50)",
    "IP 192.0.2.1.40000 > 192.0.2.2.53: 4663+ TXT? example.com. (29)",
    "IP 192.0.2.2.53 > 192.0.2.1.40000: 4663 NXDomain 0/0/0 (29)",
    "IP 192.0.2.1.40000 > 192.0.2.2.53: 4664+ PTR? example.com. (29)",
    "IP 192.0.2.2.53 > 192.0.2.1.40000: 4664 ServFail* 0/0/0 (29)",
    "IP6 2001:db8::1.5353 > 2001:db8::2.5353: 4660+ A (QM)? example.com. (29)",
    "IP 192.0.2.1.68 > 192.0.2.2.67: BOOTP/DHCP, Request from 02:00:00:00:00:01, length 300, Discover",
    "IP 192.0.2.2.67 > 192.0.2.1.68: BOOTP/DHCP, Reply, length 300, Offer, your IP 192.0.2.1",
    "IP 192.0.2.1.68 > 192.0.2.2.67: BOOTP/DHCP, Request from 02:00:00:00:00:01, length 300, Request",
    "IP 192.0.2.2.67 > 192.0.2.1.68: BOOTP/DHCP, Reply, length 300, ACK, your IP 192.0.2.1",
    "IP6 2001:db8::2 > ff02::1: ICMP6, router advertisement, length 24",
    "IP6 2001:db8::2 > 2001:db8::1: ICMP6, destination unreachable, unreachable port, 2001:db8::2 udp port 5999, length 76",
    "IP6 2001:db8::2 > 2001:db8::1: ICMP6, time exceeded in-transit for 2001:db8::2, length 76",
    "LLDP, length 46",
    "02:00:00:00:00:01 > 02:00:00:00:00:02, ethertype Unknown (0x88b5), length 64",
    "\t0x0000:  6d65 6d69 6620 7465 7374 6461 7461 0a6d  memif.testdata.m",
    "\t0x0010:  656d 6966 2074 6573 7464 6174 610a 6d65  emif.testdata.me",
    "\t0x0020:  6d69 6620 7465 7374 6461 7461 0a6d 656d  mif.testdata.mem",
    "\t0x0030:  6966                                     if",
];

#[test]
fn every_protocol_has_its_words() {
    let lines = printed(&[PROTOCOLS, "-t"]);
    for (ours, expected) in lines.iter().zip(LINES) {
        assert_eq!(ours, expected);
    }
    assert_eq!(lines.len(), LINES.len());
}

#[test]
fn tcp_counts_from_where_the_connection_began() {
    let shown = |options: &[&str]| {
        let lines = printed(&[&[MIXED, "-t"][..], options].concat());
        let tcp = lines.into_iter().filter(|line| line.contains("Flags ["));
        tcp.map(|line| {
            let (_, line) = line.split_once("Flags ").unwrap();
            line.split(", win").next().unwrap().to_owned()
        })
        .take(4)
        .collect::<Vec<_>>()
    };
    let first = [
        "[S], seq 4294965295",
        "[S.], seq 3000000000, ack 4294965296",
    ];
    assert_eq!(shown(&[])[..2], first);
    assert_eq!(shown(&[])[2..], ["[.], ack 1", "[P.], seq 1:7, ack 1"]);
    assert_eq!(shown(&["-S"])[..2], first);
    assert_eq!(
        shown(&["-S"])[2..],
        [
            "[.], ack 3000000001",
            "[P.], seq 4294965296:4294965302, ack 3000000001"
        ]
    );
}

/// Line by line the same as tcpdump, but for what the manual of the printer says is more.
#[test]
fn tcpdump_says_the_same() {
    if !installed(&["tcpdump"]) {
        return;
    }
    for file in [PROTOCOLS, MIXED] {
        for options in [
            &["-t"][..],
            &["-t", "-e"],
            &["-tt"],
            &["-tttt", "-q"],
            &["-t", "-q", "-e"],
            &["-ttt", "-xx"],
            &["-t", "-S"],
            &["-t", "-X"],
        ] {
            let theirs = Command::new("tcpdump")
                .args(["-n", "--nano", "-r", file])
                .args(options)
                .env("TZ", "UTC")
                .output()
                .unwrap();
            let theirs = String::from_utf8(theirs.stdout).unwrap();
            // The one thing that they print on a second line.
            let theirs = theirs.replace("vni 12345\n", "vni 12345: ");
            let theirs: Vec<_> = theirs.lines().map(alike).collect();
            let ours: Vec<_> = printed(&[&[file][..], options].concat())
                .iter()
                .map(|line| alike(line))
                .collect();
            let (ours, theirs) = (without_lldp(ours), without_lldp(theirs));
            for (ours, theirs) in ours.iter().zip(&theirs) {
                let start = ours.split(", id 4, offset").next().unwrap();
                assert!(
                    ours == theirs || (start != ours && start == theirs),
                    "{options:?}\nours:   {ours}\ntheirs: {theirs}"
                );
            }
            assert_eq!(ours.len(), theirs.len(), "{options:?}");
        }
    }
}

/// Without tags where no link header is printed, DHCP's message types, and marks at the end.
fn alike(line: &str) -> String {
    let mut line = line.trim_end_matches([':', ' ']).to_owned();
    if !line.contains("ethertype 802.1Q")
        && !line.contains("802.1Q, length")
        && !line.contains("QinQ, length")
    {
        while let Some(at) = line.find("vlan ") {
            let Some((after, _)) = line[at..].match_indices(", ").nth(1) else {
                break;
            };
            line.replace_range(at..at + after + 2, "");
        }
    }
    for more in [
        ", your IP 192.0.2.1",
        ", Discover",
        ", Offer",
        ", Request",
        ", ACK",
    ] {
        if line.contains("BOOTP") {
            line = line.trim_end_matches(more).to_owned();
        }
    }
    let line = line.replace("Unknown Ethertype (0x88b5)", "Unknown");
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// tcpdump looks into LLDP, we show it in hex.
fn without_lldp(lines: Vec<String>) -> Vec<String> {
    let mut out = Vec::new();
    let mut lldp = false;
    for line in lines {
        if line.contains("LLDP") {
            lldp = true;
        } else if !line.starts_with("0x") {
            lldp = false;
        }
        if !lldp {
            out.push(line);
        }
    }
    out
}

#[test]
fn times_are_those_asked_for() {
    for (option, first, second) in [
        ("-t", "ARP", "ARP"),
        (
            "-tt",
            "1700000000.123456789 ARP",
            "1700000000.132301563 ARP",
        ),
        ("-ttt", " 00:00:00.000000000 ARP", " 00:00:00.008844774 ARP"),
        (
            "-tttt",
            "2023-11-14 22:13:20.123456789 ARP",
            "2023-11-14 22:13:20.132301563 ARP",
        ),
        (
            "-ttttt",
            " 00:00:00.000000000 ARP",
            " 00:00:00.008844774 ARP",
        ),
    ] {
        let lines = printed(&[MIXED, option, "-c", "2"]);
        assert!(
            lines[0].starts_with(first) && lines[1].starts_with(second),
            "{option} {lines:?}"
        );
    }
}

#[test]
fn bytes_are_shown_in_hex() {
    let lines = printed(&[MIXED, "-t", "-X", "-c", "1"]);
    assert_eq!(
        lines[1],
        "\t0x0000:  0001 0800 0604 0001 0200 0000 0001 c000  ................"
    );
    let lines = printed(&[MIXED, "-t", "-xx", "-c", "1"]);
    assert_eq!(
        lines[1],
        "\t0x0000:  ffff ffff ffff 0200 0000 0001 0806 0001"
    );
    assert_eq!(lines.len(), 5);
}

#[test]
fn more_is_said_when_asked_for() {
    let lines = printed(&[MIXED, "-t", "-v"]);
    assert!(lines.iter().any(
        |l| l == "IP (tos 0x0, ttl 64, id 0, offset 0, flags [DF], proto ICMP (1), length 84)"
    ));
    assert!(
        lines
            .iter()
            .any(|l| l == "    192.0.2.1 > 192.0.2.2: ICMP echo request, id 7, seq 1, length 64")
    );
    assert!(lines.iter().any(|l| {
        l.starts_with("IP6 (hlim 255, next-header ICMPv6 (58) payload length: 16) 2001:db8::1 > ff02::2: [icmp6 sum ok]")
    }));
    for words in [
        "    192.0.2.1.40007 > 192.0.2.2.7: Flags [S], cksum 0x",
        " (correct), seq 4294965295, win 64240",
        "[udp sum ok] UDP, length ",
    ] {
        assert!(lines.iter().any(|line| line.contains(words)), "{words}");
    }
    let wrong = |line: &&String| line.contains("incorrect ->") || line.contains("[bad ");
    assert_eq!(lines.iter().find(wrong), None);
}

#[test]
fn colours_only_when_wanted() {
    let plain = printed(&[MIXED]).concat();
    assert!(!plain.contains('\x1b'));
    let colour = printed(&[MIXED, "--color", "always"]);
    assert!(
        colour
            .iter()
            .all(|line| line.contains("\x1b[2m") || line.starts_with('\t')),
        "{colour:?}"
    );
    let mut bare = colour.concat();
    for code in [
        "\x1b[2m",
        "\x1b[0m",
        "\x1b[32m",
        "\x1b[1;32m",
        "\x1b[36m",
        "\x1b[35m",
        "\x1b[33m",
    ] {
        bare = bare.replace(code, "");
    }
    assert_eq!(bare, plain);
}

#[test]
fn json_is_a_packet_a_line() {
    let lines = printed(&[MIXED, "--json"]);
    let values: Vec<serde_json::Value> = lines
        .iter()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(values.len(), 98);
    assert_eq!(values[0]["time"], "1700000000.123456789");
    assert_eq!(values[0]["ethernet"]["destination"], "ff:ff:ff:ff:ff:ff");
    let tcp = values
        .iter()
        .find(|v| v["transport"]["name"] == "tcp")
        .unwrap();
    assert_eq!(tcp["transport"]["flags"], "S");
    assert_eq!(tcp["transport"]["destination_port"], 7);
    assert_eq!(tcp["ip"]["ttl"], 64);
    assert!(
        tcp["summary"]
            .as_str()
            .unwrap()
            .starts_with("IP 192.0.2.1.40007 > ")
    );
    let tagged = values.iter().find(|v| v["vlan"].is_array()).unwrap();
    assert_eq!(tagged["vlan"][0], 5);
    let ping = &values[2]["transport"];
    assert_eq!((&ping["name"], &ping["type"]), (&"icmp".into(), &8.into()));
}

#[test]
fn packets_are_counted() {
    assert_eq!(printed(&[MIXED, "--count-only"]), ["98"]);
    assert_eq!(printed(&[MIXED, "--count-only", "-c", "5"]), ["5"]);
}

#[test]
fn a_file_is_read_and_written_in_another_form() {
    let place = crate::process::Place::new();
    let out = place.text("out.pcapng.gz");
    run(&["capture", "-r", MIXED, "-w", &out])
        .good()
        .says("98 packets written");
    let (ours, before) = (crate::packets::read(&out), crate::packets::read(MIXED));
    crate::packets::assert_same(&ours, &before);
    for (a, b) in ours.iter().zip(&before) {
        assert_eq!(a.info().timestamp, b.info().timestamp);
    }
    run(&["capture", "-r", "missing.pcap"]).failed(1, &["missing.pcap", "No such file"]);
}

//! `memif bench`: what scripts read of it; peers that are none of its own, or not there.

use memif::pcap::PcapWriter;
use memif::{CaptureInfo, Context, LinkType, MemifConfig, Packet, PacketSink, Role, Timestamp};
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::process::{Ended, PATIENCE, Place, Process, run};

/// The fields of the one object that a run prints, as numbers where they are.
fn fields(ended: &Ended) -> Value {
    let lines = ended.lines();
    assert_eq!(lines.len(), 1, "{ended:?}");
    serde_json::from_str(&lines[0]).unwrap()
}

fn number(fields: &Value, name: &str) -> f64 {
    fields[name]
        .as_f64()
        .unwrap_or_else(|| panic!("no number {name} in {fields}"))
}

#[test]
fn a_run_of_one_process_is_one_object() {
    let place = Place::new();
    let file = place.text("x.pcap");
    for (what, more) in [
        ("loop", &[][..]),
        ("capture", &["--file", &file]),
        ("replay", &["--file", &file]),
    ] {
        let options = [
            "bench", what, "--len", "100", "--burst", "8", "--secs", "0.02", "--json",
        ];
        let fields = fields(&run(&[&options[..], more].concat()).good());
        assert_eq!(fields["bench"], what);
        assert_eq!(
            (number(&fields, "len"), number(&fields, "burst")),
            (100.0, 8.0)
        );
        assert!(number(&fields, "ns_per_packet") > 0.0, "{fields}");
        assert!(number(&fields, "packets") >= 8.0, "{fields}");
    }
    assert!(!place.path("x.pcap").exists());
}

#[test]
fn senders_and_receivers_agree() {
    for mode in ["polling", "interrupt", "adaptive"] {
        let [sent, got] = one_way(&["--secs", "0.05"], &["--rx-mode", mode]);
        assert!(number(&sent, "packets") > 0.0);
        assert_eq!(sent["packets"], got["packets"]);
        for name in ["lost", "out_of_order"] {
            assert_eq!(number(&got, name), 0.0, "{name}");
        }
        for fields in [&sent, &got] {
            assert!(number(fields, "mpps") > 0.0 && number(fields, "gbps") > 0.0);
        }
    }
}

/// What both print, as one way between two processes.
fn one_way(of_send: &[&str], of_recv: &[&str]) -> [Value; 2] {
    let place = Place::new();
    let socket = place.socket();
    let recv = [&["bench", "recv", "-s", &socket, "--json"], of_recv].concat();
    let recv = Process::start(&recv);
    recv.wait_said("no slave has connected", 1);
    let send = [&["bench", "send", "-s", &socket, "--json"], of_send].concat();
    [fields(&run(&send).good()), fields(&recv.finish().good())]
}

#[test]
fn each_queue_has_its_own_numbers() {
    let [sent, got] = one_way(&["--queues", "3", "--secs", "0.05"], &[]);
    assert!(number(&sent, "packets") > 0.0);
    for (name, value) in [("queues", 3.0), ("lost", 0.0), ("out_of_order", 0.0)] {
        assert_eq!(number(&got, name), value, "{name}");
    }
    assert_eq!(sent["packets"], got["packets"]);
    let looped = run(&["bench", "loop", "--queues", "3", "--secs", "0.02", "--json"]).good();
    assert_eq!(number(&fields(&looped), "queues"), 3.0);
}

#[test]
fn a_rate_is_kept_and_packets_tell_how_long_they_took() {
    let paced = [
        "--pps",
        "10000",
        "--queues",
        "2",
        "--secs",
        "0.2",
        "--latency",
    ];
    let [sent, got] = one_way(&paced, &["--latency"]);
    let packets = number(&sent, "packets");
    assert!((1000.0..=2100.0).contains(&packets), "{packets}");
    assert_eq!(sent["packets"], got["packets"]);
    let times = ["p50_ns", "p99_ns", "p999_ns", "max_ns"].map(|p| number(&got, p));
    assert!(0.0 < times[0] && times.is_sorted(), "{got}");
    // Less than the run: a time was there, and it was read where it was written.
    assert!(times[3] < 10e9, "{got}");
    run(&["bench", "send", "-s", "@none", "--latency", "--len", "15"]).refused("16");
}

#[test]
fn round_trips_have_percentiles() {
    for mode in ["polling", "interrupt", "adaptive"] {
        let place = Place::new();
        let socket = place.socket();
        let pong = Process::start(&["bench", "pong", "-s", &socket, "--rx-mode", mode, "--json"]);
        pong.wait_said("no slave has connected", 1);
        let options = ["--secs", "0.05", "--rx-mode", mode, "--json"];
        let ping = run(&[&["bench", "ping", "-s", &socket][..], &options].concat()).good();
        let (ping, pong) = (fields(&ping), fields(&pong.finish().good()));
        assert_eq!(ping["packets"], pong["packets"]);
        let [half, most, nearly_all] = ["p50_ns", "p99_ns", "p999_ns"].map(|p| number(&ping, p));
        assert!(0.0 < half && half <= most && most <= nearly_all, "{ping}");
    }
}

#[test]
fn packets_of_others_are_counted_as_lost_and_no_more() {
    let place = Place::new();
    let (socket, file) = (place.socket(), place.text("short.pcap"));
    let mut writer = PcapWriter::create(&file, LinkType::ETHERNET, None).unwrap();
    for _ in 0..3 {
        let info = CaptureInfo::whole(4, Timestamp::from_nanos(0));
        writer.write_packet(&Packet::new(b"abcd", info)).unwrap();
    }
    writer.close().unwrap();
    let recv = Process::start(&["bench", "recv", "-s", &socket]);
    recv.wait_said("no slave has connected", 1);
    run(&["replay", "-s", &socket, &file]).good();
    let ended = recv.finish().good();
    assert!(ended.lines()[0].contains(" packets 3 "), "{ended:?}");
}

#[test]
fn a_sender_says_what_it_waits_for_and_may_be_stopped() {
    let place = Place::new();
    let socket = place.socket();
    let send = Process::start(&["bench", "send", "-s", &socket]);
    send.wait_said(&format!("nobody listens on {socket}"), 1);
    send.signal(Signal::SIGINT);
    send.finish()
        .failed(1, &["stopped before there was a link"]);
    run(&["bench", "loop", "--secs", "0"]).refused("--secs");

    // While it runs.
    let context = Context::new("master").unwrap();
    let config = MemifConfig::new(&socket).role(Role::Master);
    let master = context.create_interface(config).unwrap();
    let send = Process::start(&["bench", "send", "-s", &socket, "--secs", "1000"]);
    let mut handle = master.packet_handle(0).unwrap();
    master.wait_link_up(Some(PATIENCE)).unwrap();
    handle.read_packet_timeout(Some(PATIENCE)).unwrap();
    send.signal(Signal::SIGINT);
    while handle.read_packet_timeout(Some(PATIENCE)).is_ok() {}
    send.finish().good();
}

#[test]
fn packets_that_need_many_buffers_or_bytes_are_measured() {
    for args in [
        "loop --len 9000 --burst 512",
        "loop --len 65535 --burst 1024",
        "replay --len 5000",
    ] {
        let words: Vec<&str> = args.split(' ').collect();
        run(&[&["bench"], &words[..], &["--secs", "0.01"]].concat()).good();
    }
}

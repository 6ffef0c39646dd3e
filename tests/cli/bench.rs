//! `memif bench` with peers that are none of its own, or not there.

use memif::pcap::PcapWriter;
use memif::{CaptureInfo, LinkType, Packet, PacketSink, Timestamp};
use nix::sys::signal::Signal;

use crate::process::{Place, Process, run};

#[test]
fn packets_of_others_are_counted_as_lost_and_no_more() {
    let place = Place::new();
    let (socket, file) = (place.socket(), place.text("short.pcap"));
    let mut writer = PcapWriter::create(&file, LinkType::ETHERNET, 0).unwrap();
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
    let recv = Process::start(&["bench", "recv", "-s", &socket]);
    recv.wait_said("no slave has connected", 1);
    let send = Process::start(&["bench", "send", "-s", &socket, "--secs", "1000"]);
    recv.wait_said("connected to", 1);
    send.signal(Signal::SIGINT);
    send.finish().good();
    recv.finish().good();
}

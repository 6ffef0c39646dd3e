//! `memif respond` as its neighbour sees it, frame by frame.

use memif::{Context, Memif, MemifConfig, PacketHandle, Role};

use crate::process::{PATIENCE, Place, Process};

/// That of the responder with 192.0.2.1.
const MAC: [u8; 6] = [0x02, 0xfe, 192, 0, 2, 1];
const PEER: [u8; 6] = [2, 0, 0, 0, 0, 9];

fn master(context: &Context, socket: &str) -> Memif {
    let config = MemifConfig::new(socket).role(Role::Master);
    context.create_interface(config).unwrap()
}

/// The next frame for which this is true.
fn find(handle: &mut PacketHandle, what: &str, is_it: impl Fn(&[u8]) -> bool) -> Vec<u8> {
    loop {
        let packet = handle.read_packet_timeout(Some(PATIENCE));
        let packet = packet.unwrap_or_else(|e| panic!("{what}: {e}"));
        if is_it(&packet) {
            return packet.to_vec();
        }
    }
}

fn is_arp_for(frame: &[u8], ip: [u8; 4]) -> bool {
    frame[12..14] == [8, 6] && frame[20..22] == [0, 1] && frame[38..42] == ip
}

/// An unsolicited neighbour advertisement from this address.
fn is_advert_of(frame: &[u8], ip: [u8; 16]) -> bool {
    frame[12..14] == [0x86, 0xdd]
        && frame[20] == 58
        && frame[54] == 136
        && frame[58] == 0x20
        && frame[22..38] == ip
        && frame[62..78] == ip
}

fn ping(from: [u8; 4], number: u16) -> Vec<u8> {
    let mut frame = Vec::new();
    etherparse::PacketBuilder::ethernet2(PEER, MAC)
        .ipv4(from, [192, 0, 2, 1], 64)
        .icmpv4_echo_request(7, number)
        .write(&mut frame, b"are you there?")
        .unwrap();
    frame
}

/// Who has 192.0.2.1? The responder learns this side's address from it.
fn question() -> Vec<u8> {
    let mut arp = [[0xff; 6], PEER].concat();
    arp.extend([8, 6, 0, 1, 8, 0, 6, 4, 0, 1]);
    arp.extend(PEER);
    arp.extend([192, 0, 2, 9, 0, 0, 0, 0, 0, 0, 192, 0, 2, 1]);
    arp
}

#[test]
fn addresses_are_announced_on_every_link() {
    let place = Place::new();
    let context = Context::new("test").unwrap();
    let mut memif = master(&context, &place.socket());
    let args = ["respond", "-s", &place.socket(), "--ip", "192.0.2.1/24"];
    let process = Process::start(&args);
    let local = [
        0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0xfe, 0xc0, 0xff, 0xfe, 0, 2, 1,
    ];
    for _ in 0..3 {
        memif.wait_link_up(Some(PATIENCE)).unwrap();
        let mut handle = memif.packet_handle(0).unwrap();
        let gratuitous = find(&mut handle, "gratuitous ARP", |frame| {
            is_arp_for(frame, [192, 0, 2, 1])
        });
        assert_eq!(
            (&gratuitous[..6], &gratuitous[6..12]),
            (&[0xff; 6][..], &MAC[..])
        );
        assert_eq!(gratuitous[28..32], [192, 0, 2, 1]);
        let advert = find(&mut handle, "an advertisement", |frame| {
            is_advert_of(frame, local)
        });
        assert_eq!(advert[6..12], MAC);
        drop(handle);
        memif.close();
        memif = master(&context, &place.socket());
    }
    drop(process);
}

#[test]
fn what_is_behind_a_router_is_answered_through_it() {
    let place = Place::new();
    let context = Context::new("test").unwrap();
    let memif = master(&context, &place.socket());
    let socket = place.socket();
    let ip = ["respond", "-s", &socket, "--ip", "192.0.2.1/24"];
    let routes = ["--route", "10.1.0.0/16=192.0.2.8", "--gateway", "192.0.2.9"];
    let _process = Process::start(&[&ip[..], &routes].concat());
    memif.wait_link_up(Some(PATIENCE)).unwrap();
    let mut handle = memif.packet_handle(0).unwrap();
    // smoltcp looks for one neighbour a second, and keeps nothing meanwhile.
    for (from, router) in [
        ([10, 1, 0, 1], [192, 0, 2, 8]),
        ([10, 2, 0, 1], [192, 0, 2, 9]),
    ] {
        loop {
            handle
                .write_packet_timeout(&ping(from, 1), Some(PATIENCE))
                .unwrap();
            let asked = handle.read_packet_timeout(Some(std::time::Duration::from_millis(50)));
            if asked.is_ok_and(|frame| is_arp_for(&frame, router)) {
                break;
            }
        }
    }
}

#[test]
fn ten_thousand_pings_are_answered() {
    let place = Place::new();
    let context = Context::new("test").unwrap();
    let memif = master(&context, &place.socket());
    let args = ["respond", "-s", &place.socket(), "--ip", "192.0.2.1/24"];
    let _process = Process::start(&args);
    memif.wait_link_up(Some(PATIENCE)).unwrap();
    let mut handle = memif.packet_handle(0).unwrap();
    handle
        .write_packet_timeout(&question(), Some(PATIENCE))
        .unwrap();
    let start = std::time::Instant::now();
    for burst in 0..100u16 {
        for n in 0..100 {
            let ping = ping([192, 0, 2, 9], burst * 100 + n);
            handle.write_packet_timeout(&ping, Some(PATIENCE)).unwrap();
        }
        for n in 0..100 {
            let number = (burst * 100 + n).to_be_bytes();
            find(&mut handle, "an answer", |frame| {
                frame[12..14] == [8, 0] && frame[34] == 0 && frame[40..42] == number
            });
        }
    }
    println!("10000 pings in {:?}", start.elapsed());
}

/// smoltcp panics if such data does not fit in its buffer.
#[test]
fn a_peer_that_overruns_the_window_harms_only_itself() {
    let place = Place::new();
    let context = Context::new("test").unwrap();
    let memif = master(&context, &place.socket());
    let args = ["respond", "-s", &place.socket(), "--ip", "192.0.2.1/24"];
    let _process = Process::start(&args);
    memif.wait_link_up(Some(PATIENCE)).unwrap();
    let mut handle = memif.packet_handle(0).unwrap();
    let write = |handle: &mut PacketHandle, syn: bool, numbers: (u32, u32), data: &[u8]| {
        let builder = etherparse::PacketBuilder::ethernet2(PEER, MAC)
            .ipv4([192, 0, 2, 9], [192, 0, 2, 1], 64)
            .tcp(1000, 7, numbers.0, 60_000);
        let scales = [etherparse::TcpOptionElement::WindowScale(7)];
        let builder = match syn {
            true => builder.syn().options(&scales).unwrap(),
            false => builder.ack(numbers.1),
        };
        let mut frame = Vec::new();
        builder.write(&mut frame, data).unwrap();
        handle.write_packet_timeout(&frame, Some(PATIENCE)).unwrap();
    };
    handle
        .write_packet_timeout(&question(), Some(PATIENCE))
        .unwrap();
    write(&mut handle, true, (5, 0), b"");
    let answer = find(&mut handle, "SYN|ACK", |frame| {
        frame[12..14] == [8, 0] && frame[23] == 6 && frame[47] == 18
    });
    let number = u32::from_be_bytes(answer[38..42].try_into().unwrap());
    let numbers = (6 + (1 << 18), number.wrapping_add(1));
    write(&mut handle, false, numbers, b"x");
    let ping = ping([192, 0, 2, 9], 77);
    handle.write_packet_timeout(&ping, Some(PATIENCE)).unwrap();
    find(&mut handle, "an answer", |frame| {
        frame[12..14] == [8, 0] && frame[34] == 0 && frame[40..42] == [0, 77]
    });
}

//! What a peer may send.

use etherparse::{PacketBuilder, TcpOptionElement};
use memif::PacketHandle;

use super::*;

const PEER: [u8; 6] = [2, 0, 0, 0, 0, 9];
const HOST: [u8; 6] = [2, 0xfe, 10, 0, 0, 2];
const FIN: u8 = 1;
const SYN: u8 = 2;
const RST: u8 = 4;
const ACK: u8 = 16;

/// A host, and a peer that writes its packets itself.
struct Scene {
    pair: Pair,
    host: Net,
    peer: PacketHandle,
}

impl Scene {
    fn new() -> Self {
        Self::with(|builder| builder.buffers(2048, 2048))
    }

    fn with(set: impl Fn(NetBuilder) -> NetBuilder) -> Self {
        let pair = Pair::with(|c| c);
        let device = MemifDevice::new(&pair.master, 0).unwrap();
        let builder = set(Net::builder().address(B, 24));
        let host = builder.start(device).unwrap();
        let peer = pair.slave.packet_handle(0).unwrap();
        Self { pair, host, peer }
    }

    /// Sends packets, lets the host take them, and drops its answers.
    async fn send(&mut self, packet: &[u8]) {
        while self.peer.write_packet(packet).is_err() {
            tokio::task::yield_now().await;
        }
        while self.peer.read_packet().is_ok() {}
    }

    /// The next segment for this port: its number, flags and data.
    async fn heard(&mut self, port: u16) -> (u32, u8, Vec<u8>) {
        soon(async {
            loop {
                tokio::task::yield_now().await;
                let Ok(packet) = self.peer.read_packet() else {
                    continue;
                };
                let data = packet.data();
                if data.len() >= 54 && data[23] == 6 && data[36..38] == port.to_be_bytes() {
                    let number = u32::from_be_bytes(data[38..42].try_into().unwrap());
                    let end = 14 + usize::from(u16::from_be_bytes([data[16], data[17]]));
                    let start = 34 + usize::from(data[46] >> 4) * 4;
                    return (number, data[47], data[start..end].to_vec());
                }
            }
        })
        .await
    }

    /// Connects to the host: its next number.
    async fn connects(&mut self, port: u16) -> u32 {
        self.is_alive().await;
        self.write(&segment(A, port, "S", (5, 0), b""));
        let (number, flags, _) = self.heard(port).await;
        assert_eq!(flags, SYN | ACK);
        let next = number.wrapping_add(1);
        self.write(&segment(A, port, "A", (6, next), b""));
        next
    }

    fn write(&mut self, packet: &[u8]) {
        self.peer.write_packet(packet).unwrap();
    }

    /// Asks for more than the ring holds, and takes no answer.
    async fn fills_the_ring(&mut self) {
        self.is_alive().await;
        let wanted = self.host.stats().rx_packets + 1500;
        for _ in 0..1500 {
            while self.peer.write_packet(&ping(b"alive?")).is_err() {
                tokio::task::yield_now().await;
            }
        }
        until_async("answers", || self.host.stats().rx_packets >= wanted).await;
    }

    /// Waits until the host has taken all packets: it answers one that was sent after them.
    async fn is_alive(&mut self) {
        self.send(&arp(PEER, A)).await;
        soon(async {
            loop {
                self.peer.write_packet(&ping(b"alive?")).ok();
                tokio::task::yield_now().await;
                while let Ok(packet) = self.peer.read_packet() {
                    if packet.data().ends_with(b"alive?") && packet.data()[34] == 0 {
                        return;
                    }
                }
            }
        })
        .await;
    }
}

fn arp(mac: [u8; 6], ip: [u8; 4]) -> Vec<u8> {
    let mut frame = [[0xff; 6], mac].concat();
    frame.extend([8, 6, 0, 1, 8, 0, 6, 4, 0, 1]);
    frame.extend(mac);
    frame.extend(ip);
    frame.extend([0; 6]);
    frame.extend(B);
    frame
}

fn ping(data: &[u8]) -> Vec<u8> {
    let mut ping = Vec::new();
    let builder = PacketBuilder::ethernet2(PEER, HOST).ipv4(A, B, 64);
    let builder = builder.icmpv4_echo_request(7, 7);
    builder.write(&mut ping, data).unwrap();
    ping
}

/// A segment from a port of the peer with these flags.
fn segment(from: [u8; 4], port: u16, flags: &str, numbers: (u32, u32), data: &[u8]) -> Vec<u8> {
    segment_with(60_000, from, port, flags, numbers, data)
}

fn segment_with(
    window: u16,
    from: [u8; 4],
    port: u16,
    flags: &str,
    numbers: (u32, u32),
    data: &[u8],
) -> Vec<u8> {
    let builder = PacketBuilder::ethernet2(PEER, HOST).ipv4(from, B, 64);
    let mut builder = builder.tcp(port, PORT, numbers.0, window);
    for flag in flags.chars() {
        builder = match flag {
            'S' => {
                let scales = [TcpOptionElement::WindowScale(7)];
                builder.syn().options(&scales).unwrap()
            }
            'A' => builder.ack(numbers.1),
            'F' => builder.fin(),
            _ => builder.rst(),
        };
    }
    let mut packet = Vec::new();
    builder.write(&mut packet, data).unwrap();
    packet
}

#[tokio::test]
async fn a_flood_of_syns_is_bounded_by_the_backlog() {
    let mut scene = Scene::new();
    let listener = scene.host.listen_with_backlog((B, PORT), 16).unwrap();
    for n in 0..5000u16 {
        let from = [10, 0, 0, 3 + (n % 200) as u8];
        scene.send(&segment(from, 1000 + n, "S", (5, 0), b"")).await;
    }
    scene.is_alive().await;
    assert!(scene.host.sockets() <= 16, "{}", scene.host.sockets());
    // Those who change their mind leave nothing.
    for n in 0..5000u16 {
        let from = [10, 0, 0, 3 + (n % 200) as u8];
        scene.send(&segment(from, 1000 + n, "R", (6, 0), b"")).await;
    }
    scene.is_alive().await;
    assert_eq!(scene.host.sockets(), 0);
    drop(listener);
}

/// Handshakes that are finished, and reset before they are accepted.
#[tokio::test]
async fn connections_that_are_reset_at_once_leave_the_backlog() {
    let mut scene = Scene::new();
    let listener = scene.host.listen_with_backlog((B, PORT), 4).unwrap();
    scene.is_alive().await;
    for port in 1000..1100 {
        scene.write(&segment(A, port, "S", (5, 0), b""));
        let (number, flags, _) = scene.heard(port).await;
        assert_eq!(flags, SYN | ACK);
        let numbers = (6, number.wrapping_add(1));
        scene.send(&segment(A, port, "A", numbers, b"hello")).await;
        scene
            .send(&segment(A, port, "RA", (11, numbers.1), b""))
            .await;
    }
    scene.is_alive().await;
    assert_eq!(scene.host.sockets(), 0);
    drop(listener);
}

#[tokio::test]
async fn garbage_does_no_harm() {
    let rounds = if is_long() { 200_000 } else { 5_000 };
    let mut scene = Scene::new();
    let _listener = scene.host.listen_with_backlog((B, PORT), 16).unwrap();
    let _udp = scene.host.udp((B, 53)).unwrap();
    let mut udp = Vec::new();
    let builder = PacketBuilder::ethernet2(PEER, HOST).ipv4(A, B, 64);
    builder.udp(9, 53).write(&mut udp, b"data").unwrap();
    let mut v6 = Vec::new();
    let (from, to) = ([0xfe; 16], [0xfe; 16]);
    let builder = PacketBuilder::ethernet2(PEER, HOST).ipv6(from, to, 64);
    let builder = builder.icmpv6_echo_reply(1, 1);
    builder.write(&mut v6, b"data").unwrap();
    let whole = [
        arp(PEER, A),
        segment(A, 9, "S", (5, 0), b""),
        segment(A, 9, "A", (6, 1), b"data"),
        segment(A, 9, "FA", (6, 1), b"data"),
        udp,
        v6,
    ];
    for round in 0..rounds {
        let noise = pattern(round, 16);
        let mut packet = whole[usize::from(noise[0]) % whole.len()].clone();
        for change in noise[2..].chunks(2).take(usize::from(noise[1] % 6)) {
            let at = usize::from(change[0]) % packet.len();
            packet[at] = change[1];
        }
        if noise[1] & 0x80 > 0 {
            packet.truncate(1 + usize::from(noise[15]) % packet.len());
        }
        scene.send(&packet).await;
    }
    scene.is_alive().await;
    assert!(scene.host.sockets() <= 33, "{}", scene.host.sockets());
}

/// The stack would not repeat an end that is lost while data is under way.
#[tokio::test]
async fn the_end_comes_once_all_else_is_acknowledged() {
    let mut scene = Scene::new();
    let listener = scene.host.listen((B, PORT)).unwrap();
    let next = scene.connects(1000).await;
    let (mut stream, _) = soon(listener.accept()).await.unwrap();
    stream.write_all(b"all there is").await.unwrap();
    stream.shutdown().await.unwrap();
    assert_eq!(
        stream.write(b"more").await.unwrap_err().kind(),
        io::ErrorKind::BrokenPipe
    );
    // Repeated until it is acknowledged, and without an end.
    for _ in 0..2 {
        let (number, flags, data) = scene.heard(1000).await;
        assert_eq!((number, flags & FIN), (next, 0));
        assert_eq!(data, b"all there is");
    }
    let next = next.wrapping_add(12);
    scene.write(&segment(A, 1000, "A", (6, next), b""));
    for _ in 0..2 {
        let (number, flags, data) = scene.heard(1000).await;
        assert_eq!((number, flags & FIN, data.len()), (next, FIN, 0));
    }
}

/// A peer closes its window while data is under way, and what tells of room again is lost.
#[tokio::test]
async fn a_peer_without_room_is_asked_again() {
    let mut scene = Scene::new();
    let listener = scene.host.listen((B, PORT)).unwrap();
    let next = scene.connects(1000).await;
    let (mut stream, _) = soon(listener.accept()).await.unwrap();
    stream.write_all(b"data").await.unwrap();
    assert_eq!(scene.heard(1000).await.2, b"data");
    scene.write(&segment_with(0, A, 1000, "A", (6, next), b""));
    // Not the data, for which there is no room.
    let (number, _, data) = scene.heard(1000).await;
    assert!(
        number != next || data.len() <= 1,
        "{number} {next} {data:?}"
    );
    scene.write(&segment(A, 1000, "A", (6, next), b""));
    loop {
        let (number, _, data) = scene.heard(1000).await;
        if (number, &data[..]) == (next, b"data") {
            break;
        }
    }
}

/// smoltcp takes what a peer sends beyond the window that the handshake announced, up to a number
/// which must not exceed the buffer.
#[tokio::test]
async fn a_peer_that_overruns_the_window_harms_only_itself() {
    const LENGTH: usize = 40_000;
    for size in [0, 65_535, 65_536, 65_537, 100_000, 1 << 18, 1 << 20] {
        let mut scene = Scene::with(|builder| match size {
            0 => builder,
            _ => builder.buffers(size, 2048),
        });
        let _listener = scene.host.listen((B, PORT)).unwrap();
        for (port, first) in [(1000, 0), (1001, 1 << 16), (1002, size), (1003, size + 1)] {
            // The task of the host does not run before all of this is on the ring.
            let next = scene.connects(port).await;
            let mut at = 6 + first as u32;
            scene.write(&segment(A, port, "A", (at, next), b"x"));
            for _ in 0..3 {
                scene.write(&segment(A, port, "A", (at, next), &[0; LENGTH]));
                at += LENGTH as u32;
            }
            scene.is_alive().await;
            for start in (0..2 * size.max(1 << 16)).step_by(LENGTH) {
                let data = segment(A, port, "A", (6 + start as u32, next), &[0; LENGTH]);
                while scene.peer.write_packet(&data).is_err() {
                    tokio::task::yield_now().await;
                }
            }
            scene.is_alive().await;
        }
    }
}

/// The program still has the stream of a connection that has ended.
#[tokio::test]
async fn a_peer_may_use_its_port_again() {
    let mut scene = Scene::new();
    let listener = scene.host.listen((B, PORT)).unwrap();
    for is_reset in [true, false] {
        let next = scene.connects(1000).await;
        let (mut old, _) = soon(listener.accept()).await.unwrap();
        if is_reset {
            scene.write(&segment(A, 1000, "RA", (6, next), b""));
        } else {
            old.shutdown().await.unwrap();
            assert_eq!(scene.heard(1000).await.1 & FIN, FIN);
            let numbers = (6, next.wrapping_add(1));
            scene.write(&segment(A, 1000, "FA", numbers, b""));
        }
        scene.is_alive().await;
        let next = scene.connects(1000).await;
        let (mut new, _) = soon(listener.accept()).await.unwrap();
        drop(old);
        scene.is_alive().await;
        scene.write(&segment(A, 1000, "A", (6, next), b"hello"));
        let mut data = [0; 5];
        soon(new.read_exact(&mut data)).await.unwrap();
        assert_eq!(&data, b"hello");
        scene.write(&segment(A, 1000, "RA", (11, next), b""));
        scene.is_alive().await;
        drop(new);
    }
}

#[tokio::test]
async fn datagrams_that_nobody_can_answer_are_dropped() {
    let mut scene = Scene::new();
    let udp = scene.host.udp((B, 53)).unwrap();
    for (from, port) in [([0; 4], 9), (A, 0), (A, 9)] {
        let mut packet = Vec::new();
        let builder = PacketBuilder::ethernet2(PEER, HOST).ipv4(from, B, 64);
        builder.udp(port, 53).write(&mut packet, b"data").unwrap();
        scene.write(&packet);
    }
    let (_, from) = soon(udp.recv_from(&mut [0; 9])).await.unwrap();
    assert_eq!(from, at(A, 9));
}

/// As one that is halted: the link stays up.
#[tokio::test]
async fn a_peer_that_takes_nothing_is_given_up() {
    let mut scene = Scene::with(|builder| builder.patience(Duration::from_millis(50)));
    scene.fills_the_ring().await;
    let connected = soon(scene.host.connect((A, PORT))).await;
    assert_eq!(kind(connected), io::ErrorKind::TimedOut);
    // It goes on, and the host too.
    scene.is_alive().await;
    scene.fills_the_ring().await;
    let Scene { pair, host, peer } = scene;
    drop(host);
    until_async("the end of the host", || {
        MemifDevice::new(&pair.master, 0).is_ok()
    })
    .await;
    drop(peer);
}

/// Nobody has the stream any more, and the peer acknowledges nothing.
#[tokio::test]
async fn a_peer_that_is_given_up_is_told_so() {
    let mut scene = Scene::with(|builder| builder.patience(Duration::from_secs(3)));
    let listener = scene.host.listen((B, PORT)).unwrap();
    scene.connects(1000).await;
    drop(soon(listener.accept()).await.unwrap());
    while scene.heard(1000).await.1 & RST == 0 {}
    until_async("the end of it", || scene.host.sockets() == 0).await;
}

/// A host that wants to take an address of this one, and has none yet.
#[tokio::test]
async fn an_address_that_is_taken_is_defended() {
    let mut scene = Scene::new();
    scene.is_alive().await;
    let (own, nobodys) = ([0xfe, 10, 0, 0, 2], [0xfe, 10, 0, 0, 3]);
    for (end, is_own, mark) in [(nobodys, false, b"first!"), (own, true, b"second")] {
        let [a, b, c, d, e] = end;
        let address = [0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, a, b, 0xff, 0xfe, c, d, e];
        let mut group = [0; 16];
        (group[0], group[1]) = (0xff, 2);
        group[11..].copy_from_slice(&[1, 0xff, c, d, e]);
        let builder = PacketBuilder::ethernet2(PEER, [0x33, 0x33, 0xff, c, d, e]);
        let builder = builder.ipv6([0; 16], group, 255).icmpv6_raw(135, 0, [0; 4]);
        let mut probe = Vec::new();
        builder.write(&mut probe, &address).unwrap();
        scene.write(&probe);
        scene.write(&ping(mark));
        // What it says before it answers the ping.
        let mut told = false;
        soon(async {
            loop {
                tokio::task::yield_now().await;
                let Ok(packet) = scene.peer.read_packet() else {
                    continue;
                };
                let data = packet.data();
                if data.ends_with(mark) {
                    break;
                }
                told |= data[12..14] == [0x86, 0xdd] && data[54] == 136 && data[62..78] == address;
            }
        })
        .await;
        assert_eq!(told, is_own, "{address:?}");
    }
}

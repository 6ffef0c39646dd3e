//! Kernel, TAP, memif, TAP, kernel: two network namespaces, with and without offloads.

use std::io::{Read, Write};
use std::net::{IpAddr, Shutdown, TcpListener, TcpStream, UdpSocket};
use std::thread;

use memif::PacketSource;
use memif::pcap::CaptureReader;
use nix::sys::socket::{setsockopt, sockopt};
use smoltcp::wire::{Ipv4Packet, Ipv6Packet, TcpPacket, UdpPacket};

use crate::command::{Namespace, Running, Scene};
use crate::peers::{PATIENCE, wait_until};

/// Of the second namespace; the first ends with 1.
const ADDRESSES: [&str; 2] = ["10.9.0.2", "fd09::2"];

/// The bridges and their namespaces.
struct Kernels {
    scene: Scene,
    other: Namespace,
    bridges: [Running; 2],
}

impl Kernels {
    /// With options of each TAP and of its memif, a comma before each. The second's links are
    /// recorded.
    fn new(taps: [&str; 2], memifs: [&str; 2]) -> Option<Self> {
        let scene = Scene::new(&["ip", "ping"])?;
        let other = Namespace::new()?;
        let tap = |n: usize| format!("tap:mf{n}{}", taps[n]);
        let memif = |n: usize, role| format!("memif:{},role={role}{}", scene.socket, memifs[n]);
        let start = |namespace, args: &[&str]| {
            Running::start(Some(namespace), &[&["bridge"], args].concat())
        };
        let master = start(&scene.namespace, &[&tap(0), &memif(0, "master")]);
        master.says("no slave has connected");
        let record = record(&scene);
        let slave = start(&other, &[&tap(1), &memif(1, "slave"), "-w", &record]);
        slave.says("connected to");
        for (n, namespace) in [&scene.namespace, &other].into_iter().enumerate() {
            let last = n + 1;
            assert!(namespace.ip(&format!("addr add 10.9.0.{last}/24 dev mf{n}")));
            assert!(namespace.ip(&format!("addr add fd09::{last}/64 dev mf{n} nodad")));
        }
        for address in ADDRESSES {
            assert!(wait_until(PATIENCE, || scene.namespace.reaches(address)));
        }
        Some(Self {
            scene,
            other,
            bridges: [master, slave],
        })
    }

    /// Echoes so many bytes over several connections at once, and compares them.
    fn echo(&self, connections: usize, bytes: usize) {
        for address in ADDRESSES {
            let address: IpAddr = address.parse().unwrap();
            let listener = self
                .other
                .enter(|| TcpListener::bind((address, 0)).unwrap());
            let to = listener.local_addr().unwrap();
            thread::scope(|scope| {
                for n in 0..connections {
                    let connect = || TcpStream::connect_timeout(&to, PATIENCE).unwrap();
                    let client = self.scene.namespace.enter(connect);
                    let (server, _) = listener.accept().unwrap();
                    for stream in [&client, &server] {
                        stream.set_read_timeout(Some(PATIENCE)).unwrap();
                        stream.set_write_timeout(Some(PATIENCE)).unwrap();
                    }
                    scope.spawn(move || send_back(server));
                    scope.spawn(move || compare(client, n as u64, bytes));
                }
            });
        }
    }

    /// Datagrams that the sender's kernel gets as one keep their bounds.
    fn datagrams(&self) {
        for address in ADDRESSES {
            let address: IpAddr = address.parse().unwrap();
            let receiver = self.other.enter(|| UdpSocket::bind((address, 0)).unwrap());
            receiver.set_read_timeout(Some(PATIENCE)).unwrap();
            let any: IpAddr = if address.is_ipv4() { "0.0.0.0" } else { "::" }
                .parse()
                .unwrap();
            let sender = self
                .scene
                .namespace
                .enter(|| UdpSocket::bind((any, 0)).unwrap());
            setsockopt(&sender, sockopt::UdpGsoSegment, &1000).unwrap();
            let data: Vec<u8> = (0..20_500).map(|n| (n / 7) as u8).collect();
            let to = receiver.local_addr().unwrap();
            assert_eq!(sender.send_to(&data, to).unwrap(), data.len());
            let mut buffer = [0; 2000];
            for piece in data.chunks(1000) {
                let (length, _) = receiver.recv_from(&mut buffer).unwrap();
                assert!(buffer[..length] == *piece, "{length}");
            }
        }
    }

    /// Ends the bridges; the frames that crossed.
    fn stop(mut self) -> Vec<Vec<u8>> {
        for bridge in &mut self.bridges {
            let said = bridge.stop();
            // What the kernel says of its own accord when the other end has gone may be dropped.
            let to_tap = said.iter().find(|line| line.contains(":0 to tap:mf"));
            assert!(
                to_tap.is_some_and(|line| line.ends_with("; 0 dropped")),
                "{said:?}"
            );
        }
        let mut reader = CaptureReader::open(record(&self.scene)).unwrap();
        let mut frames = Vec::new();
        while let Ok(packet) = reader.read_packet() {
            frames.push(packet.to_vec());
        }
        frames
    }
}

fn send_back(mut stream: TcpStream) {
    let mut buffer = vec![0; 1 << 16];
    loop {
        let got = stream.read(&mut buffer).unwrap();
        if got == 0 {
            return;
        }
        stream.write_all(&buffer[..got]).unwrap();
    }
}

/// Sends so many bytes, of which all are to come back.
fn compare(mut stream: TcpStream, seed: u64, bytes: usize) {
    let data: Vec<u8> = (seed..seed + bytes as u64)
        .map(|n| (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as u8)
        .collect();
    let mut writer = stream.try_clone().unwrap();
    thread::scope(|scope| {
        scope.spawn(|| {
            writer.write_all(&data).unwrap();
            writer.shutdown(Shutdown::Write).unwrap();
        });
        let mut back = Vec::new();
        stream.read_to_end(&mut back).unwrap();
        assert!(back == data, "other bytes came back");
    });
}

fn record(scene: &Scene) -> String {
    scene.dir.path().join("x.pcapng").display().to_string()
}

/// Fails unless lengths and checksums of TCP and UDP are right; the length of the IP packet.
fn check(frame: &[u8]) -> usize {
    let ip = &frame[14..];
    let (from, to, protocol, transport) = match frame[12..14] {
        [0x08, 0x00] => {
            let packet = Ipv4Packet::new_checked(ip).unwrap();
            assert!(packet.verify_checksum());
            assert_eq!(usize::from(packet.total_len()), ip.len());
            let protocol = u8::from(packet.next_header());
            let (from, to) = (packet.src_addr().into(), packet.dst_addr().into());
            (from, to, protocol, packet.payload())
        }
        [0x86, 0xdd] => {
            let packet = Ipv6Packet::new_checked(ip).unwrap();
            assert_eq!(packet.total_len(), ip.len());
            let protocol = u8::from(packet.next_header());
            let (from, to) = (packet.src_addr().into(), packet.dst_addr().into());
            (from, to, protocol, packet.payload())
        }
        _ => return 0,
    };
    match protocol {
        6 => {
            let tcp = TcpPacket::new_checked(transport).unwrap();
            assert!(tcp.verify_checksum(&from, &to));
        }
        17 => {
            let udp = UdpPacket::new_checked(transport).unwrap();
            assert!(udp.checksum() != 0 && udp.verify_checksum(&from, &to));
            assert_eq!(usize::from(udp.len()), transport.len());
        }
        _ => {}
    }
    ip.len()
}

#[test]
fn segments_are_cut_and_joined_between_two_kernels() {
    let Some(kernels) = Kernels::new(["", ""], ["", ""]) else {
        return;
    };
    kernels.echo(2, 20_000_000);
    kernels.datagrams();
    let frames = kernels.stop();
    let longest = frames.iter().map(|frame| check(frame)).max();
    assert_eq!(longest, Some(1500));
}

#[test]
fn segments_cross_whole_where_both_bridges_are_told() {
    let Some(kernels) = Kernels::new(["", ""], [",gso=true", ",gso=true"]) else {
        return;
    };
    kernels.echo(2, 20_000_000);
    kernels.datagrams();
    let frames = kernels.stop();
    let longest = frames.iter().map(|frame| check(frame)).max();
    assert!(longest > Some(1500), "{longest:?}");
}

/// A ring that holds no more than 32 KiB, and a TAP that leaves nothing to be done.
#[test]
fn longer_segments_than_a_ring_holds_are_cut_and_a_plain_tap_takes_what_comes() {
    let memifs = [",gso=true", ",gso=true,ring-size=4"];
    let Some(kernels) = Kernels::new(["", ",offload=false"], memifs) else {
        return;
    };
    kernels.echo(1, 5_000_000);
    kernels.datagrams();
    let frames = kernels.stop();
    let longest = frames.iter().map(|frame| check(frame)).max().unwrap();
    assert!(longest <= 32 << 10, "{longest}");
}

#[test]
fn several_queues_of_a_tap_have_several_of_the_memif() {
    let taps = [",queues=2", ",queues=3,mtu=9000"];
    let Some(kernels) = Kernels::new(taps, [",queues=2", ",queues=2"]) else {
        return;
    };
    kernels.echo(6, 2_000_000);
    kernels.datagrams();
    kernels.stop().iter().for_each(|frame| {
        check(frame);
    });
}

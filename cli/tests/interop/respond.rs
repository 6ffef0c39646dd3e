//! `memif respond` against a stack of ours in this process: with faults, and without Ethernet.

use std::time::Instant as StdInstant;

use memif::phy::{self, MemifDevice, SharedDevice};
use memif::{Context, IfMode, MemifConfig, Role};
use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{ChecksumCapabilities, Device, FaultInjector, Medium};
use smoltcp::socket::{icmp, tcp};
use smoltcp::time::{Duration, Instant};
use smoltcp::wire::{
    EthernetAddress, EthernetFrame, EthernetProtocol, EthernetRepr, HardwareAddress, Icmpv4Packet,
    Icmpv4Repr, Icmpv6Packet, Icmpv6Repr, IpAddress, IpCidr, IpProtocol, Ipv6Address, Ipv6Packet,
    Ipv6Repr, NdiscRepr,
};

use crate::command::Running;
use crate::peers::{PATIENCE, is_long};

const HERE: IpAddress = IpAddress::v4(10, 8, 0, 2);
const THERE: IpAddress = IpAddress::v4(10, 8, 0, 1);
const LONG: std::time::Duration = std::time::Duration::from_secs(240);

/// Less than the responder's buffers hold: with faults, an echo that fills both sides' buffers was
/// seen to stop for good, each smoltcp answering the other's segments with bare acknowledgements.
const UNDER_WAY: usize = 128 << 10;

/// A stack of ours, and the responder in a process of its own.
fn with_responder(
    mode: IfMode,
    test: impl FnOnce(&mut Interface, &mut FaultInjector<SharedDevice>, SharedDevice),
) {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("s").display().to_string();
    let context = Context::new("interop").unwrap();
    let config = MemifConfig::new(&socket).role(Role::Master).mode(mode);
    let memif = context.create_interface(config).unwrap();
    let mode = mode.to_string();
    let args = [
        "respond",
        "-s",
        &socket,
        "--ip",
        "10.8.0.1/24",
        "--mode",
        &mode,
    ];
    let mut respond = Running::start(None, &args);
    respond.says("Answering as");
    memif.wait_link_up(Some(PATIENCE)).unwrap();

    let shared = SharedDevice::from(MemifDevice::new(&memif, 0).unwrap());
    let mut device = FaultInjector::new(shared.clone(), 0x5eed);
    let hardware = match device.capabilities().medium {
        Medium::Ip => HardwareAddress::Ip,
        _ => EthernetAddress([2, 0, 0, 0, 0, 2]).into(),
    };
    let mut iface = Interface::new(Config::new(hardware), &mut device, Instant::now());
    iface.update_ip_addrs(|list| list.push(IpCidr::new(HERE, 24)).unwrap());
    test(&mut iface, &mut device, shared);
    respond.stop();
}

/// One connection to the echo port, and how far it is.
struct Echo {
    handle: SocketHandle,
    bytes: usize,
    sent: usize,
    got: usize,
}

impl Echo {
    fn byte(n: usize) -> u8 {
        (n.wrapping_mul(0x9e37_79b9) >> 13) as u8
    }

    fn serve(&mut self, sockets: &mut SocketSet<'_>) {
        let socket = sockets.get_mut::<tcp::Socket>(self.handle);
        while self.sent < self.bytes && self.sent - self.got < UNDER_WAY && socket.can_send() {
            let most = (self.bytes - self.sent).min(UNDER_WAY - (self.sent - self.got));
            let more = socket.send(|room| {
                let n = room.len().min(most);
                (0..n).for_each(|i| room[i] = Self::byte(self.sent + i));
                (n, n)
            });
            self.sent += more.unwrap();
        }
        while socket.can_recv() {
            let more = socket.recv(|data| {
                let right = (0..data.len()).all(|i| data[i] == Self::byte(self.got + i));
                assert!(right, "other bytes after {}", self.got);
                (data.len(), data.len())
            });
            self.got += more.unwrap();
        }
        assert!(socket.is_open(), "refused, or ended after {}", self.got);
    }
}

/// Sends so many bytes to the echo port over each of several connections at once, and compares
/// what comes back. Faults begin when the first are back, and so both sides know each other: ARP
/// has no checksum, and a bit that flips in an answer is believed for a minute.
fn echo(
    iface: &mut Interface,
    device: &mut FaultInjector<SharedDevice>,
    mut shared: SharedDevice,
    connections: u16,
    bytes: usize,
    faults: u8,
) {
    let mut sockets = SocketSet::new(Vec::new());
    let memory = || tcp::SocketBuffer::new(vec![0; 1 << 16]);
    let mut echoes: Vec<Echo> = (0..connections)
        .map(|n| {
            let mut socket = tcp::Socket::new(memory(), memory());
            // smoltcp may wait for an update of the window that was lost.
            socket.set_keep_alive(Some(Duration::from_secs(1)));
            let from = 50_000 + n;
            socket.connect(iface.context(), (THERE, 7), from).unwrap();
            Echo {
                handle: sockets.add(socket),
                bytes,
                sent: 0,
                got: 0,
            }
        })
        .collect();
    let end = StdInstant::now() + LONG;
    while echoes.iter().any(|echo| echo.got < bytes) {
        iface.poll(Instant::now(), device, &mut sockets);
        echoes.iter_mut().for_each(|echo| echo.serve(&mut sockets));
        let got: Vec<usize> = echoes.iter().map(|echo| echo.got).collect();
        if got.iter().any(|got| *got > 0) {
            device.set_drop_chance(faults);
            device.set_corrupt_chance(faults);
        }
        let delay = phy::poll_delay(&mut shared, iface, &sockets, Instant::now());
        let at_most = Duration::from_millis(100);
        phy::wait(&mut shared, Some(delay.map_or(at_most, |d| d.min(at_most)))).unwrap();
        assert!(StdInstant::now() < end, "{got:?} of {bytes} came back");
    }
}

/// As many are damaged as dropped, in each direction. smoltcp sits out a timer for most losses, so
/// the bytes go over all the connections that the responder has at a time; fewer where losses are
/// many, as neighbours are asked for anew after a minute, and may then be told wrong.
#[test]
fn what_faults_hit_arrives_intact() {
    let all = if is_long() { 10 << 20 } else { 2 << 20 };
    for (percent, bytes) in [(1, all), (5, all / 5)] {
        with_responder(IfMode::Ethernet, |iface, device, shared| {
            echo(iface, device, shared, 8, bytes / 8, percent);
        });
    }
}

#[test]
fn ping_and_tcp_work_without_ethernet() {
    with_responder(IfMode::Ip, |iface, device, shared| {
        ping(iface, device, shared.clone(), 10);
        echo(iface, device, shared, 1, 4 << 20, 0);
    });
}

/// VPP and the kernel look for their neighbours from there.
#[test]
fn a_neighbour_that_asks_from_its_link_local_address_is_answered() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("s").display().to_string();
    let context = Context::new("interop").unwrap();
    let config = MemifConfig::new(&socket).role(Role::Master);
    let memif = context.create_interface(config).unwrap();
    let args = ["respond", "-s", &socket, "--ip6", "fd08::1/64"];
    let respond = Running::start(None, &args);
    respond.says("Answering as");
    memif.wait_link_up(Some(PATIENCE)).unwrap();
    let mut handle = memif.packet_handle(0).unwrap();

    let [asker, asked]: [Ipv6Address; 2] = ["fe80::2", "fd08::1"].map(|a| a.parse().unwrap());
    let link = EthernetAddress([2, 0, 0, 0, 0, 2]);
    let ask = Icmpv6Repr::Ndisc(NdiscRepr::NeighborSolicit {
        target_addr: asked,
        lladdr: Some(link.into()),
    });
    let ip = Ipv6Repr {
        src_addr: asker,
        dst_addr: "ff02::1:ff00:1".parse().unwrap(),
        next_header: IpProtocol::Icmpv6,
        payload_len: ask.buffer_len(),
        hop_limit: 255,
    };
    let mut frame = vec![0; 14 + ip.buffer_len() + ask.buffer_len()];
    EthernetRepr {
        src_addr: link,
        dst_addr: EthernetAddress([0x33, 0x33, 0xff, 0, 0, 1]),
        ethertype: EthernetProtocol::Ipv6,
    }
    .emit(&mut EthernetFrame::new_unchecked(&mut frame));
    ip.emit(&mut Ipv6Packet::new_unchecked(&mut frame[14..]));
    let checksum = ChecksumCapabilities::default();
    let mut message = Icmpv6Packet::new_unchecked(&mut frame[54..]);
    ask.emit(&asker, &ip.dst_addr, &mut message, &checksum);
    handle.write_packet(&frame).unwrap();

    loop {
        let packet = handle.read_packet_timeout(Some(PATIENCE)).unwrap();
        let Ok(ip) = Ipv6Packet::new_checked(&packet[14..]) else {
            continue;
        };
        let Ok(message) = Icmpv6Packet::new_checked(ip.payload()) else {
            continue;
        };
        let told = Icmpv6Repr::parse(&ip.src_addr(), &ip.dst_addr(), &message, &checksum);
        // Unasked, it tells all nodes.
        if let Ok(Icmpv6Repr::Ndisc(NdiscRepr::NeighborAdvert { target_addr, .. })) = told
            && ip.dst_addr() == asker
        {
            assert_eq!(target_addr, asked);
            return;
        }
    }
}

fn ping(
    iface: &mut Interface,
    device: &mut FaultInjector<SharedDevice>,
    mut shared: SharedDevice,
    count: u16,
) {
    let memory = || icmp::PacketBuffer::new(vec![icmp::PacketMetadata::EMPTY; 16], vec![0; 4096]);
    let mut socket = icmp::Socket::new(memory(), memory());
    socket.bind(icmp::Endpoint::Ident(7)).unwrap();
    let checksum = ChecksumCapabilities::default();
    for seq_no in 0..count {
        let request = Icmpv4Repr::EchoRequest {
            ident: 7,
            seq_no,
            data: b"are you there?",
        };
        let room = socket.send(request.buffer_len(), THERE).unwrap();
        request.emit(&mut Icmpv4Packet::new_unchecked(room), &checksum);
    }
    let mut sockets = SocketSet::new(Vec::new());
    let handle = sockets.add(socket);
    let end = StdInstant::now() + LONG;
    let mut next = 0;
    while next < count {
        iface.poll(Instant::now(), device, &mut sockets);
        let socket = sockets.get_mut::<icmp::Socket>(handle);
        while let Ok((packet, from)) = socket.recv() {
            let packet = Icmpv4Packet::new_checked(packet).unwrap();
            let reply = Icmpv4Repr::parse(&packet, &checksum).unwrap();
            assert_eq!(from, THERE);
            assert!(
                matches!(reply, Icmpv4Repr::EchoReply { ident: 7, seq_no, data: b"are you there?" } if seq_no == next)
            );
            next += 1;
        }
        phy::wait(&mut shared, Some(Duration::from_millis(100))).unwrap();
        assert!(StdInstant::now() < end, "{next} answers");
    }
}

//! Measures the throughput of smoltcp's TCP on a memif, and on a TAP device:
//!
//!     tcp_throughput [--device memif|tap] [--direction send|receive] [--bytes N] [--mtu N]
//!                    [--segmentation off|cut|whole] [--no-checksum] [--buffer BYTES]
//!                    [--rx-mode adaptive|interrupt]
//!
//! On a memif the peer is a second stack in a thread. On a TAP device it is the kernel, which needs
//! root. To use a network namespace of its own:
//! `unshare -n target/release/examples/tcp_throughput --device tap`.

mod common;

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use common::{Host, address, ends, fail, flag, option};
use memif::phy::{MemifDevice, Segmentation};
use memif::{Context, Memif, MemifConfig, RxMode};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use smoltcp::phy::{ChecksumCapabilities, Device, Medium, TunTapInterface};
use smoltcp::socket::tcp;

const PORT: u16 = 5001;

fn number(name: &str, default: &str) -> usize {
    option(name, default)
        .parse()
        .unwrap_or_else(|_| fail(&format!("{name}: no number")))
}

/// Sends or receives `bytes` over one connection; `wait` sleeps as the device needs it.
fn run<D: Device>(mut host: Host<D>, listen: bool, send: bool, wait: impl Fn(&mut Host<D>)) {
    let (bytes, buffer) = (
        number("--bytes", "1000000000"),
        number("--buffer", "1048575"),
    );
    let memory = || tcp::SocketBuffer::new(vec![0; buffer]);
    let mut socket = tcp::Socket::new(memory(), memory());
    if listen {
        socket.listen(PORT).unwrap();
    } else {
        socket
            .connect(host.iface.context(), (address(2), PORT), 50_000)
            .unwrap();
    }
    let handle = host.sockets.add(socket);
    let mut done = 0;
    loop {
        host.poll();
        let socket = host.sockets.get_mut::<tcp::Socket>(handle);
        while send && done < bytes && socket.can_send() {
            done += socket
                .send(|room| (room.len().min(bytes - done), room.len().min(bytes - done)))
                .unwrap();
        }
        while !send && socket.can_recv() {
            done += socket.recv(|data| (data.len(), data.len())).unwrap();
        }
        match socket.state() {
            // The sender closes when all is acknowledged, which also closes the receiver.
            tcp::State::CloseWait if done >= bytes => socket.close(),
            tcp::State::Established if send && done >= bytes => socket.close(),
            tcp::State::Closed | tcp::State::TimeWait => break,
            _ => {}
        }
        wait(&mut host);
    }
    assert_eq!(done, bytes);
}

fn device(memif: &Memif) -> MemifDevice {
    let segmentation = match option("--segmentation", "off").as_str() {
        "whole" => Segmentation::Whole,
        "cut" => Segmentation::Cut,
        "off" => Segmentation::Off,
        other => fail(&format!("--segmentation {other}: off, cut or whole")),
    };
    let rx_mode = match option("--rx-mode", "adaptive").as_str() {
        "adaptive" => RxMode::Adaptive {
            spin: Duration::from_micros(50),
        },
        "interrupt" => RxMode::Interrupt,
        other => fail(&format!("--rx-mode {other}: adaptive or interrupt")),
    };
    let mut device = MemifDevice::new(memif, 0).unwrap_or_else(|e| fail(&e.to_string()));
    device.set_rx_mode(rx_mode).unwrap();
    if flag("--no-checksum") {
        device = device.with_checksum(ChecksumCapabilities::ignored());
    }
    device
        .with_mtu(number("--mtu", "1500"))
        .with_segmentation(segmentation)
}

fn on_memif(send: bool) {
    let context = Context::new("tcp_throughput").unwrap();
    let config = |socket: &str| {
        let buffer = number("--buffer-size", "2048") as u16;
        MemifConfig::new(socket)
            .buffer_size(buffer)
            .log2_ring_size(number("--ring-size", "10") as u8)
    };
    let (near, far) = ends(&context, config).unwrap_or_else(|e| fail(&e.to_string()));
    let Some(far) = far else {
        fail("it measures both ends, in this process: no --socket");
    };
    let wait = |host: &mut Host<MemifDevice>| {
        host.wait();
    };
    let peer = thread::spawn(move || run(Host::new(device(&far), 2), true, !send, wait));
    run(Host::new(device(&near), 1), false, send, wait);
    peer.join().unwrap();
}

fn on_tap(send: bool) {
    const TAP: &str = "memif-tcp";
    let bytes = number("--bytes", "1000000000");
    let ip = |args: &str| {
        let status = Command::new("ip").args(args.split(' ')).status();
        if !status.is_ok_and(|s| s.success()) {
            fail(&format!("ip {args}: failed"));
        }
    };
    ip(&format!("tuntap add name {TAP} mode tap"));
    ip(&format!(
        "link set {TAP} mtu {} up",
        option("--mtu", "1500")
    ));
    ip(&format!("addr add {}/24 dev {TAP}", address(2)));
    let device = TunTapInterface::new(TAP, Medium::Ethernet).unwrap();
    let listener = TcpListener::bind((address(2).to_string(), PORT)).unwrap();
    let peer = thread::spawn(move || {
        let (mut stream, mut data, mut left) =
            (listener.accept().unwrap().0, vec![0; 1 << 20], bytes);
        while left > 0 {
            let part = left.min(data.len());
            left -= if send {
                stream.read(&mut data)
            } else {
                stream.write(&data[..part])
            }
            .unwrap();
        }
    });
    run(Host::new(device, 1), false, send, |host| {
        use std::os::fd::AsRawFd;
        let delay = host
            .iface
            .poll_delay(smoltcp::time::Instant::now(), &host.sockets);
        smoltcp::phy::wait(host.device.as_raw_fd(), delay).unwrap();
    });
    peer.join().unwrap();
    ip(&format!("tuntap del name {TAP} mode tap"));
}

fn main() {
    let (kind, direction) = (option("--device", "memif"), option("--direction", "send"));
    let send = match direction.as_str() {
        "send" => true,
        "receive" => false,
        other => fail(&format!("--direction {other}: send or receive")),
    };
    let start = Instant::now();
    match kind.as_str() {
        "tap" => on_tap(send),
        "memif" => on_memif(send),
        other => fail(&format!("--device {other}: memif or tap")),
    }
    let (time, gbytes) = (
        start.elapsed().as_secs_f64(),
        number("--bytes", "1000000000") as f64 / 1e9,
    );
    let usage = getrusage(UsageWho::RUSAGE_SELF).unwrap();
    let cpu = (usage.user_time() + usage.system_time()).num_microseconds() as f64 / 1e6;
    let per_gbyte = cpu / gbytes;
    println!(
        "{kind} {direction}: {:.3} Gbit/s, {cpu:.2} CPU seconds, {per_gbyte:.2} per Gbyte",
        gbytes * 8.0 / time
    );
}

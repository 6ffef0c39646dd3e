//! Two TCP/IP stacks on the two ends of a memif: one asks over TCP, the other answers.
//!
//!     cargo run --features smoltcp --example tcp_pair

use std::error::Error;
use std::thread;

use memif::phy::{self, MemifDevice};
use memif::{Context, Memif, MemifConfig, Role};
use smoltcp::iface::{self, Config, Interface, SocketSet};
use smoltcp::socket::tcp;
use smoltcp::time::Instant;
use smoltcp::wire::{EthernetAddress, IpAddress, IpCidr};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> Result<()> {
    let context = Context::new("tcp_pair")?;
    let socket = format!("@tcp-pair-{}", std::process::id());
    let master = context.create_interface(MemifConfig::new(&socket).role(Role::Master))?;
    let slave = context.create_interface(MemifConfig::new(&socket))?;
    thread::scope(|scope| {
        let server = scope.spawn(|| run(&master, 1, |socket, _| Ok(socket.listen(7)?), answer));
        let mut said = String::new();
        let connect = |socket: &mut tcp::Socket, stack: &mut iface::Context| {
            Ok(socket.connect(stack, (IpAddress::v4(10, 0, 0, 1), 7), 50_000)?)
        };
        run(&slave, 2, connect, |socket| ask(socket, &mut said))?;
        println!("the server says: {said}");
        server.join().expect("it does not panic")
    })
}

/// A stack with one TCP socket, until `work` says that it is done.
fn run(
    memif: &Memif,
    number: u8,
    open: impl FnOnce(&mut tcp::Socket, &mut iface::Context) -> Result<()>,
    mut work: impl FnMut(&mut tcp::Socket) -> Result<bool>,
) -> Result<()> {
    let mut device = MemifDevice::new(memif, 0)?;
    let config = Config::new(EthernetAddress([2, 0, 0, 0, 0, number]).into());
    let mut iface = Interface::new(config, &mut device, Instant::now());
    iface.update_ip_addrs(|list| {
        let own = IpCidr::new(IpAddress::v4(10, 0, 0, number), 24);
        list.push(own).expect("it is the first")
    });
    let buffer = || tcp::SocketBuffer::new(vec![0; 65_535]);
    let mut socket = tcp::Socket::new(buffer(), buffer());
    socket.set_ack_delay(None); // the last one goes before its sender ends
    open(&mut socket, iface.context())?;
    let mut sockets = SocketSet::new(vec![]);
    let handle = sockets.add(socket);
    loop {
        iface.poll(Instant::now(), &mut device, &mut sockets);
        if work(sockets.get_mut(handle))? {
            return Ok(());
        }
        phy::sleep(&mut device, &mut iface, &sockets)?;
    }
}

fn answer(socket: &mut tcp::Socket) -> Result<bool> {
    if socket.can_recv() {
        let question = socket.recv(|bytes| (bytes.len(), bytes.to_ascii_uppercase()))?;
        socket.send_slice(&question)?;
        socket.close();
    }
    Ok(!socket.is_open())
}

fn ask(socket: &mut tcp::Socket, said: &mut String) -> Result<bool> {
    if socket.can_send() {
        socket.send_slice(b"is anybody there?")?;
        socket.close();
    }
    while socket.can_recv() {
        *said +=
            &socket.recv(|bytes| (bytes.len(), String::from_utf8_lossy(bytes).into_owned()))?;
    }
    Ok(!socket.is_open())
}

//! Two ends of a memif, and a stack on an end.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant as StdInstant};

use memif::phy::{MemifDevice, Reach};
use memif::{Context, Memif, MemifConfig, Role};
use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{Device, Medium};
use smoltcp::socket::tcp;
use smoltcp::time::Instant;
use smoltcp::wire::{EthernetAddress, HardwareAddress, IpAddress, IpCidr};

/// How long anything may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Pair {
    pub(crate) context: Context,
    pub(crate) master: Memif,
    pub(crate) slave: Memif,
    pub(crate) socket: String,
}

/// The name of a socket that nobody else uses.
pub(crate) fn socket() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let n = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("@memif-test-smoltcp-{}-{n}", std::process::id())
}

/// A master and a slave that are connected; `set` is applied to both.
pub(crate) fn pair(set: impl Fn(MemifConfig) -> MemifConfig) -> Pair {
    let socket = socket();
    let context = Context::new("test").unwrap();
    let config = set(MemifConfig::new(&socket));
    let master = context
        .create_interface(config.clone().role(Role::Master))
        .unwrap();
    let slave = context.create_interface(config).unwrap();
    master.wait_link_up(Some(PATIENCE)).unwrap();
    slave.wait_link_up(Some(PATIENCE)).unwrap();
    Pair {
        context,
        master,
        slave,
        socket,
    }
}

pub(crate) struct Stack<D: Device> {
    pub(crate) iface: Interface,
    pub(crate) device: D,
    pub(crate) sockets: SocketSet<'static>,
}

/// Both the IPv4 and the IPv6 address of a stack.
pub(crate) fn addresses(host: u8) -> [IpAddress; 2] {
    [
        IpAddress::v4(10, 7, 0, host),
        IpAddress::v6(0xfd00, 0, 0, 0, 0, 0, 0, host.into()),
    ]
}

impl<D: Device> Stack<D> {
    pub(crate) fn new(mut device: D, host: u8) -> Self {
        let address = match device.capabilities().medium {
            Medium::Ethernet => EthernetAddress([2, 0, 0, 0, 0, host]).into(),
            Medium::Ip => HardwareAddress::Ip,
        };
        let mut config = Config::new(address);
        config.random_seed = host.into();
        let mut iface = Interface::new(config, &mut device, Instant::now());
        iface.update_ip_addrs(|list| {
            let [v4, v6] = addresses(host);
            list.push(IpCidr::new(v4, 24)).unwrap();
            list.push(IpCidr::new(v6, 64)).unwrap();
        });
        Self {
            iface,
            device,
            sockets: SocketSet::new(Vec::new()),
        }
    }

    pub(crate) fn add_tcp(&mut self, buffer: usize) -> SocketHandle {
        let memory = || tcp::SocketBuffer::new(vec![0; buffer]);
        self.sockets.add(tcp::Socket::new(memory(), memory()))
    }

    pub(crate) fn tcp(&mut self, handle: SocketHandle) -> &mut tcp::Socket<'static> {
        self.sockets.get_mut(handle)
    }

    pub(crate) fn connect(&mut self, handle: SocketHandle, to: (IpAddress, u16)) {
        let socket = self.sockets.get_mut::<tcp::Socket>(handle);
        socket.connect(self.iface.context(), to, 50_000).unwrap();
    }

    pub(crate) fn poll(&mut self) {
        self.iface
            .poll(Instant::now(), &mut self.device, &mut self.sockets);
    }
}

/// Byte `n` of what is transferred.
pub(crate) fn byte(n: usize) -> u8 {
    (n.wrapping_mul(0x9e37_79b9) >> 13) as u8
}

/// Polls both stacks until `length` bytes went from `a` to `b` and back again.
pub(crate) fn echo<A: Device + Reach, B: Device + Reach>(
    a: &mut Stack<A>,
    b: &mut Stack<B>,
    v6: bool,
    length: usize,
    buffer: usize,
) {
    let (client, server) = (a.add_tcp(buffer), b.add_tcp(buffer));
    b.tcp(server).listen(7).unwrap();
    a.connect(client, (addresses(2)[usize::from(v6)], 7));
    let (mut sent, mut got) = (0, 0);
    let end = StdInstant::now() + PATIENCE;
    while got < length {
        let socket = a.tcp(client);
        while sent < length && socket.can_send() {
            let more = socket.send(|room| {
                let n = room.len().min(length - sent);
                (0..n).for_each(|i| room[i] = byte(sent + i));
                (n, n)
            });
            sent += more.unwrap();
        }
        while socket.can_recv() {
            let more = socket.recv(|data| {
                let right = (0..data.len()).all(|i| data[i] == byte(got + i));
                assert!(right, "other bytes after {got}");
                (data.len(), data.len())
            });
            got += more.unwrap();
        }
        a.poll();
        let socket = b.tcp(server);
        while socket.can_recv() && socket.can_send() {
            // At a ring buffer's end less is sent than received at once.
            let room = socket.send_capacity() - socket.send_queue();
            let mut data = vec![0; room];
            let n = socket.recv_slice(&mut data).unwrap();
            assert_eq!(socket.send_slice(&data[..n]).unwrap(), n);
        }
        b.poll();
        // What either has left is published here; nothing sleeps.
        a.device.reach(MemifDevice::publish);
        b.device.reach(MemifDevice::publish);
        if StdInstant::now() >= end {
            let (a, b) = (a.device.reach(|d| d.stats()), b.device.reach(|d| d.stats()));
            panic!("{got} of {length} bytes came back\n{a:?}\n{b:?}");
        }
    }
}

//! What the smoltcp examples share: options, two ends of a memif, a host on an end.
#![allow(dead_code, unreachable_pub)] // No example needs all of it.

mod args;

pub use args::*;
use memif::phy::{self, Reach};
use memif::{Context, Error, Memif, MemifConfig, Role};
use smoltcp::iface::{Config, Interface, SocketSet};
use smoltcp::phy::{Device, Medium};
use smoltcp::time::{Duration, Instant};
use smoltcp::wire::{EthernetAddress, HardwareAddress, IpAddress, IpCidr};

/// With `--socket PATH` and `--role`: one end, which waits for its peer. Without: both ends in this
/// process.
pub fn ends(
    context: &Context,
    config: impl Fn(&str) -> MemifConfig,
) -> Result<(Memif, Option<Memif>), Error> {
    let socket = option("--socket", "");
    if !socket.is_empty() {
        let role: Role = option("--role", "slave")
            .parse()
            .unwrap_or_else(|e: String| fail(&e));
        let memif = context.create_interface(config(&socket).role(role))?;
        eprintln!("waiting for the peer: {memif}");
        memif.wait_link_up(None)?;
        return Ok((memif, None));
    }
    let socket = format!("@memif-example-{}", std::process::id());
    let master = context.create_interface(config(&socket).role(Role::Master))?;
    let slave = context.create_interface(config(&socket))?;
    slave.wait_link_up(None)?;
    master.wait_link_up(None)?;
    Ok((slave, Some(master)))
}

/// A host: an interface with the address 10.9.0.`number`, its device, its sockets.
pub struct Host<D> {
    pub iface: Interface,
    pub device: D,
    pub sockets: SocketSet<'static>,
}

pub fn address(number: u8) -> IpAddress {
    IpAddress::v4(10, 9, 0, number)
}

impl<D: Device> Host<D> {
    pub fn new(mut device: D, number: u8) -> Self {
        let hardware = match device.capabilities().medium {
            Medium::Ip => HardwareAddress::Ip,
            _ => EthernetAddress([2, 0, 0, 9, 0, number]).into(),
        };
        let mut config = Config::new(hardware);
        config.random_seed = std::process::id().into();
        let mut iface = Interface::new(config, &mut device, Instant::now());
        iface.update_ip_addrs(|list| list.push(IpCidr::new(address(number), 24)).unwrap());
        Self {
            iface,
            device,
            sockets: SocketSet::new(vec![]),
        }
    }

    /// Lets the stack work.
    pub fn poll(&mut self) {
        self.iface
            .poll(Instant::now(), &mut self.device, &mut self.sockets);
    }
}

impl<D: Device + Reach> Host<D> {
    /// Publishes, and sleeps until there is something to do: `false` when the interface is closed.
    pub fn wait(&mut self) -> bool {
        self.wait_at_most(None)
    }

    /// Like `wait`, but not longer than until this time.
    pub fn wait_until(&mut self, end: Instant) -> bool {
        let now = Instant::now();
        let left = if end > now { end - now } else { Duration::ZERO };
        self.wait_at_most(Some(left))
    }

    fn wait_at_most(&mut self, limit: Option<Duration>) -> bool {
        let now = Instant::now();
        let delay = phy::poll_delay(&mut self.device, &mut self.iface, &self.sockets, now);
        let delay = [delay, limit].into_iter().flatten().min();
        match phy::wait(&mut self.device, delay) {
            Ok(()) => true,
            Err(error) if error.is_eof() => false,
            Err(error) => fail(&error.to_string()),
        }
    }
}

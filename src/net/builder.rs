//! Makes a host.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use smoltcp::iface::{Config, Interface, Route};
use smoltcp::phy::{Device, Medium};
use smoltcp::wire::{EthernetAddress, HardwareAddress, IpAddress, IpCidr};

use super::addresses::{Addresses, error, link_local};
use super::defaults::{DEFAULT_BUFFER, DEFAULT_PATIENCE};
use super::driver::Driver;
use super::host::Net;
use super::settings::{BUFFERS, LONGEST, Settings, now};
use super::state::State;
use crate::phy::MemifDevice;

const LEAST_INTERVAL: Duration = Duration::from_millis(1);

/// Makes a [`Net`].
///
/// ```no_run
/// use memif::net::Net;
/// use memif::phy::MemifDevice;
/// # use memif::{Context, MemifConfig};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let context = Context::new("doc")?;
/// # let memif = context.create_interface(MemifConfig::new("/run/vpp/memif.sock"))?;
/// let net = Net::builder()
///     .address([192, 168, 1, 1], 24)
///     .address([0xfd00, 0, 0, 0, 0, 0, 0, 1], 64)
///     .gateway([192, 168, 1, 254])
///     .start(MemifDevice::new(&memif, 0)?.with_mtu(9000))?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until it is started"]
pub struct NetBuilder {
    addresses: Vec<(IpAddr, u8)>,
    routes: Vec<(IpAddr, u8, IpAddr)>,
    mac: Option<[u8; 6]>,
    receive_buffer: usize,
    send_buffer: usize,
    patience: Duration,
    keep_alive: Option<Duration>,
}

impl Net {
    /// A builder of a host.
    pub fn builder() -> NetBuilder {
        NetBuilder::new()
    }

    /// Starts a host with these addresses (each with the length of its prefix) on a device. Use a
    /// [builder](Self::builder) for routes and everything else.
    ///
    /// # Errors
    ///
    /// As for [`NetBuilder::start`].
    pub fn new(device: MemifDevice, addresses: &[(IpAddr, u8)]) -> io::Result<Self> {
        let builder = addresses
            .iter()
            .fold(NetBuilder::new(), |builder, (address, length)| {
                builder.address(*address, *length)
            });
        builder.start(device)
    }
}

impl NetBuilder {
    pub(super) fn new() -> Self {
        Self {
            addresses: Vec::new(),
            routes: Vec::new(),
            mac: None,
            receive_buffer: DEFAULT_BUFFER,
            send_buffer: DEFAULT_BUFFER,
            patience: DEFAULT_PATIENCE,
            keep_alive: None,
        }
    }

    /// Adds an address, with the length of its network's prefix. There may be seven.
    pub fn address(mut self, address: impl Into<IpAddr>, prefix_length: u8) -> Self {
        self.addresses.push((address.into(), prefix_length));
        self
    }

    /// Adds a route: packets to this network go to the router. There may be 32.
    pub fn route(
        mut self,
        network: impl Into<IpAddr>,
        prefix_length: u8,
        router: impl Into<IpAddr>,
    ) -> Self {
        let route = (network.into(), prefix_length, router.into());
        self.routes.push(route);
        self
    }

    /// Adds the route for everything that no other route is for, of IPv4 or of IPv6.
    pub fn gateway(self, router: impl Into<IpAddr>) -> Self {
        match router.into() {
            IpAddr::V4(router) => self.route(Ipv4Addr::UNSPECIFIED, 0, router),
            IpAddr::V6(router) => self.route(Ipv6Addr::UNSPECIFIED, 0, router),
        }
    }

    /// Sets the Ethernet address. By default it is `02:fe` and the last four bytes of the first
    /// address.
    pub fn mac(mut self, mac: [u8; 6]) -> Self {
        self.mac = Some(mac);
        self
    }

    /// Sets the sizes in bytes of the buffers that each connection has for what it receives and for
    /// what it sends; [`DEFAULT_BUFFER`] by default, at least 2048, at most 1 GiB. A single
    /// connection over a fast link gets faster with larger ones.
    ///
    /// A receive buffer of more than 65535 bytes gets the next size that is a power of two less
    /// one: 1 MiB - 1 for 1 MiB.
    pub fn buffers(mut self, receive: usize, send: usize) -> Self {
        let within = |size: usize| size.clamp(*BUFFERS.start(), *BUFFERS.end());
        (self.receive_buffer, self.send_buffer) = (receivable(within(receive)), within(send));
        self
    }

    /// Sets after how long a peer that owes an answer is given up, also while the link is down;
    /// [`DEFAULT_PATIENCE`] by default. A connection on which nothing is under way is kept for
    /// ever, unless there is a [keep-alive](Self::keep_alive).
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Asks the peers of quiet connections at this interval whether they are still there. Those
    /// that don't answer are given up by the host's [patience](Self::patience).
    pub fn keep_alive(mut self, interval: Duration) -> Self {
        self.keep_alive = Some(interval);
        self
    }

    /// Starts the host, as a task of the current tokio runtime. The device keeps its own settings,
    /// except for the receive mode, which is [`Interrupt`](crate::RxMode::Interrupt). The link need
    /// not be up.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) for addresses that no host can have, and for
    /// too many of them. Other kinds outside a tokio runtime, or if the system has no descriptor
    /// left.
    ///
    /// # Panics
    ///
    /// In a runtime that was built without [`enable_io`](tokio::runtime::Builder::enable_io).
    pub fn start(self, mut device: MemifDevice) -> io::Result<Net> {
        let runtime = tokio::runtime::Handle::try_current().map_err(io::Error::other)?;
        device
            .set_rx_mode(crate::link::rx_mode::RxMode::Interrupt)
            .map_err(io::Error::from)?;
        let capabilities = device.capabilities();
        let mac = match capabilities.medium {
            Medium::Ethernet => {
                let mac = EthernetAddress(self.mac.unwrap_or_else(|| self.default_mac()));
                if !mac.is_unicast() {
                    return Err(invalid(format!("{mac} is not the address of one host")));
                }
                Some(mac)
            }
            _ => None,
        };
        let addresses = self.checked(mac)?;
        let seed = RandomState::new().hash_one(std::process::id());
        let mut config = Config::new(mac.map_or(HardwareAddress::Ip, HardwareAddress::from));
        config.random_seed = seed;
        let mut iface = Interface::new(config, &mut device, now());
        let mut fit = true;
        iface.update_ip_addrs(|list| {
            for own in &addresses.own {
                fit &= list.push(*own).is_ok();
            }
        });
        iface.routes_mut().update(|list| {
            for route in &addresses.routes {
                fit &= list.push(*route).is_ok();
            }
        });
        if !fit {
            return Err(invalid("too many addresses or routes"));
        }
        let settings = Settings {
            receive_buffer: self.receive_buffer,
            send_buffer: self.send_buffer,
            patience: self.patience.min(LONGEST).into(),
            keep_alive: self
                .keep_alive
                .map(|d| d.clamp(LEAST_INTERVAL, LONGEST).into()),
            mtu: capabilities.ip_mtu(),
        };
        let state = State::new(iface, device, mac, settings, addresses, seed);
        let state = Arc::new(Mutex::new(state));
        let driver = Driver::new(state.clone())?;
        runtime.spawn(driver.run());
        Ok(Net::of(state))
    }

    fn default_mac(&self) -> [u8; 6] {
        let [a, b, c, d] = match self.addresses.first() {
            Some((IpAddr::V4(address), _)) => address.octets(),
            Some((IpAddr::V6(address), _)) => (address.to_bits() as u32).to_be_bytes(),
            None => [0, 0, 0, 1],
        };
        [0x02, 0xfe, a, b, c, d]
    }

    /// smoltcp panics on others.
    fn checked(&self, mac: Option<EthernetAddress>) -> io::Result<Addresses> {
        let mut addresses = Addresses::default();
        for (address, length) in &self.addresses {
            let address = IpAddress::from(*address);
            if !address.is_unicast() {
                return Err(invalid(format!("{address} is not the address of one host")));
            }
            addresses.own.push(cidr(address, *length)?);
        }
        if let Some(mac) = mac {
            let own = link_local(mac.0);
            if !addresses.has(own.address()) {
                addresses.own.push(own);
            }
        }
        for (network, length, router) in &self.routes {
            let (network, router) = (IpAddress::from(*network), IpAddress::from(*router));
            if !router.is_unicast() || router.version() != network.version() {
                return Err(invalid(format!("{router} is no router for {network}")));
            }
            addresses.routes.push(Route {
                cidr: cidr(network, *length)?,
                via_router: router,
                preferred_until: None,
                expires_at: None,
            });
        }
        Ok(addresses)
    }
}

/// After a handshake, smoltcp 0.14 takes as much as the largest window of its scale, 65535 shifted
/// by the bits of the size beyond 16, and panics if the buffer does not hold it.
fn receivable(size: usize) -> usize {
    match u16::try_from(size) {
        Ok(_) => size,
        Err(_) => size.next_power_of_two() - 1,
    }
}

fn cidr(address: IpAddress, length: u8) -> io::Result<IpCidr> {
    let most = match address {
        IpAddress::Ipv4(_) => 32,
        IpAddress::Ipv6(_) => 128,
    };
    if length > most {
        return Err(invalid(format!(
            "{address}/{length}: a prefix has at most {most} bits"
        )));
    }
    Ok(IpCidr::new(address, length))
}

fn invalid(why: impl Into<String>) -> io::Error {
    error(io::ErrorKind::InvalidInput, why)
}

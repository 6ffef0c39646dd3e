//! The addresses of a host, and which destinations it reaches from which of them.

use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use smoltcp::iface::Route;
use smoltcp::wire::{IpAddress, IpCidr, IpEndpoint, Ipv6Cidr};

#[derive(Clone, Debug, Default)]
pub(super) struct Addresses {
    pub(super) own: Vec<IpCidr>,
    pub(super) routes: Vec<Route>,
}

impl Addresses {
    pub(super) fn has(&self, address: IpAddress) -> bool {
        self.own.iter().any(|own| own.address() == address)
    }

    /// The address that packets to this one come from.
    pub(super) fn source(&self, to: IpAddress) -> io::Result<IpAddress> {
        let (invalid, unreachable) = (
            io::ErrorKind::InvalidInput,
            io::ErrorKind::NetworkUnreachable,
        );
        if !to.is_unicast() {
            return Err(error(invalid, format!("{to} is no address of a host")));
        }
        if self.has(to) || IpAddr::from(to).is_loopback() {
            let why = format!("{to} is this host itself, which has no loopback");
            return Err(error(io::ErrorKind::AddrNotAvailable, why));
        }
        if let Some(own) = self.own.iter().find(|own| own.contains_addr(&to)) {
            return Ok(own.address());
        }
        let routes = self.routes.iter().filter(|r| r.cidr.contains_addr(&to));
        let route = routes.max_by_key(|route| route.cidr.prefix_len());
        let route =
            route.ok_or_else(|| error(unreachable, format!("there is no route to {to}")))?;
        // Not a link-local one, which nobody beyond the router can answer.
        let near = |own: &&IpCidr| own.contains_addr(&route.via_router) && !is_link_local(own);
        let same = |own: &&IpCidr| own.address().version() == to.version() && !is_link_local(own);
        let own = self.own.iter().find(near);
        let own = own.or_else(|| self.own.iter().find(same));
        own.map(IpCidr::address)
            .ok_or_else(|| error(unreachable, format!("no address of this host reaches {to}")))
    }
}

fn is_link_local(cidr: &IpCidr) -> bool {
    matches!(cidr.address(), IpAddress::Ipv6(address) if address.is_unicast_link_local())
}

/// The address that every host of IPv6 has, by its Ethernet address, and the network of all of
/// these.
pub(super) fn link_local(mac: [u8; 6]) -> IpCidr {
    let [a, b, c, d, e, f] = mac;
    let words = [[a ^ 2, b], [c, 0xff], [0xfe, d], [e, f]].map(u16::from_be_bytes);
    let [w, x, y, z] = words;
    let address = Ipv6Addr::new(0xfe80, 0, 0, 0, w, x, y, z);
    IpCidr::Ipv6(Ipv6Cidr::new(address, 10))
}

pub(super) fn socket_address(endpoint: IpEndpoint) -> SocketAddr {
    SocketAddr::new(endpoint.addr.into(), endpoint.port)
}

pub(super) fn error(kind: io::ErrorKind, why: impl Into<String>) -> io::Error {
    io::Error::new(kind, why.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cidr(text: &str) -> IpCidr {
        text.parse().unwrap()
    }

    #[test]
    fn the_source_is_near_the_destination() {
        let addresses = Addresses {
            own: vec![
                link_local([2, 0, 0, 0, 0, 1]),
                cidr("10.0.0.1/24"),
                cidr("10.1.0.1/24"),
                cidr("fd00::1/64"),
            ],
            routes: ["0.0.0.0/0 10.1.0.9", "10.9.0.0/16 10.0.0.9", "::/0 fe80::9"]
                .map(|text| {
                    let (network, router) = text.split_once(' ').unwrap();
                    Route {
                        cidr: cidr(network),
                        via_router: router.parse::<IpAddr>().unwrap().into(),
                        preferred_until: None,
                        expires_at: None,
                    }
                })
                .to_vec(),
        };
        let source = |to: &str| {
            let to: IpAddr = to.parse().unwrap();
            addresses.source(to.into())
        };
        for (to, from) in [
            ("10.0.0.7", "10.0.0.1"),
            ("10.1.0.7", "10.1.0.1"),
            ("8.8.8.8", "10.1.0.1"),
            ("10.9.1.1", "10.0.0.1"),
            ("fe80::7", "fe80::ff:fe00:1"),
            ("fd00::7", "fd00::1"),
            ("2001:db8::1", "fd00::1"),
        ] {
            assert_eq!(source(to).unwrap().to_string(), from, "{to}");
        }
        for (to, kind) in [
            ("10.0.0.1", io::ErrorKind::AddrNotAvailable),
            ("127.0.0.1", io::ErrorKind::AddrNotAvailable),
            ("0.0.0.0", io::ErrorKind::InvalidInput),
            ("ff02::1", io::ErrorKind::InvalidInput),
        ] {
            assert_eq!(source(to).unwrap_err().kind(), kind, "{to}");
        }
        let none = Addresses::default().source(cidr("8.8.8.8/32").address());
        assert_eq!(none.unwrap_err().kind(), io::ErrorKind::NetworkUnreachable);
    }
}

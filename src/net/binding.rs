//! Who has which port.

use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use smoltcp::socket::icmp;
use smoltcp::wire::IpEndpoint;
use tokio::sync::Notify;

use super::addresses::error;
use super::backlog::Backlog;
use super::slots::{Bound, Kind, Stage};
use super::state::State;

/// Ports that are chosen for those who don't care, as in Linux.
const FIRST_PORT: u16 = 32_768;
const PORTS: u16 = 28_232;

impl State {
    /// What an address to bind to means. A port that is 0 is chosen.
    pub(super) fn bound(
        &mut self,
        address: SocketAddr,
        is_free: impl Fn(&Self, Bound) -> bool,
    ) -> io::Result<Bound> {
        let addr = match address.ip() {
            ip if ip.is_unspecified() => None,
            ip if self.addresses.has(ip.into()) => Some(ip.into()),
            ip => {
                let why = format!("{ip} is no address of this host");
                return Err(error(io::ErrorKind::AddrNotAvailable, why));
            }
        };
        if address.port() > 0 {
            let bound = Bound {
                addr,
                port: address.port(),
            };
            return match is_free(self, bound) {
                true => Ok(bound),
                false => Err(error(
                    io::ErrorKind::AddrInUse,
                    format!("{address} is in use"),
                )),
            };
        }
        for _ in 0..PORTS {
            let port = self.port();
            let bound = Bound { addr, port };
            if is_free(self, bound) {
                return Ok(bound);
            }
        }
        Err(error(io::ErrorKind::AddrInUse, "all ports are in use"))
    }

    fn port(&mut self) -> u16 {
        self.next_port = self.next_port.wrapping_add(1);
        FIRST_PORT + self.next_port % PORTS
    }

    pub(super) fn listen(
        &mut self,
        address: SocketAddr,
        most: usize,
    ) -> io::Result<(Bound, Arc<Notify>)> {
        self.works()?;
        let bound = self.bound(address, |state, bound| {
            !state.listeners.keys().any(|other| other.overlaps(&bound))
        })?;
        let notify = Arc::new(Notify::new());
        let backlog = Backlog {
            most: most.max(1),
            half_open: BTreeSet::new(),
            ready: VecDeque::new(),
            notify: notify.clone(),
        };
        self.listeners.insert(bound, backlog);
        Ok((bound, notify))
    }

    /// Takes the oldest connection that waits to be accepted.
    pub(super) fn accept(&mut self, bound: Bound) -> Option<usize> {
        let id = self.listeners.get_mut(&bound)?.ready.pop_front()?;
        let (_, connection) = self.slots.get(id)?.tcp()?;
        connection.stage = Stage::Used;
        Some(id)
    }

    /// Ends a listener, with the connections that nobody has accepted.
    pub(super) fn unlisten(&mut self, bound: Bound) {
        let Some(backlog) = self.listeners.remove(&bound) else {
            return;
        };
        for (_, id) in backlog.half_open {
            self.remove(id);
        }
        for id in backlog.ready {
            if let Some((socket, _)) = self.slots.get(id).and_then(|slot| slot.tcp()) {
                socket.abort();
            }
            self.release(id);
        }
    }

    pub(super) fn connect(&mut self, to: SocketAddr) -> io::Result<usize> {
        self.works()?;
        let remote = IpEndpoint::from(to);
        if remote.port == 0 {
            return Err(error(io::ErrorKind::InvalidInput, "port 0 is no port"));
        }
        let addr = self.addresses.source(remote.addr)?;
        for _ in 0..PORTS {
            let port = self.port();
            let local = IpEndpoint::new(addr, port);
            let taken = self.connections.contains_key(&(local, remote))
                || self.listeners.keys().any(|bound| bound.port == port);
            if taken {
                continue;
            }
            let mut socket = self.new_socket();
            let cx = self.iface.context();
            let connected = socket.connect(cx, remote, local);
            connected.map_err(|e| error(io::ErrorKind::InvalidInput, e.to_string()))?;
            let id = self.add_connection(socket, local, remote, Stage::Used);
            self.kick(id);
            return Ok(id);
        }
        let why = format!("all ports for connections to {to} are in use");
        Err(error(io::ErrorKind::AddrInUse, why))
    }

    /// Makes the socket for one ping, which has an identifier of its own.
    pub(super) fn add_ping(&mut self) -> io::Result<(usize, u16, Arc<Notify>)> {
        self.works()?;
        let free = (0..=u16::MAX).find_map(|_| {
            self.next_ident = self.next_ident.wrapping_add(1);
            (!self.pings.contains_key(&self.next_ident)).then_some(self.next_ident)
        });
        let ident = free.ok_or_else(|| error(io::ErrorKind::AddrInUse, "too many pings"))?;
        let buffer = || icmp::PacketBuffer::new(vec![icmp::PacketMetadata::EMPTY; 1], vec![0; 256]);
        let mut socket = icmp::Socket::new(buffer(), buffer());
        let done = socket.bind(icmp::Endpoint::Ident(ident));
        done.map_err(|e| error(io::ErrorKind::InvalidInput, e.to_string()))?;
        let notify = Arc::new(Notify::new());
        let id = self.slots.add(socket, Kind::Ping(notify.clone()));
        self.pings.insert(ident, id);
        Ok((id, ident, notify))
    }
}

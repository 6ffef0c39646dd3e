//! UDP.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;

use smoltcp::socket::udp as stack;
use smoltcp::wire::{IpEndpoint, IpVersion};
use tokio::sync::Notify;
use tokio::task::coop;

use super::addresses::{error, socket_address};
use super::host::{Host, Net};
use super::settings::UDP_BYTES;
use super::slots::Bound;
use super::state::State;

/// A UDP socket, from [`Net::udp`](super::Net::udp).
///
/// Up to 256 datagrams of together 256 KiB wait each way. What arrives beyond that is lost, as is
/// usual; sending waits. Those for a neighbour that does not answer are given up after three
/// seconds, and hold up no others. Datagrams don't exceed the MTU, because fragments are neither
/// sent nor received.
///
/// ```
/// use memif::net::Net;
///
/// async fn ask(net: &Net) -> std::io::Result<Vec<u8>> {
///     let socket = net.udp(([0, 0, 0, 0], 0))?;
///     socket.send_to(b"question", ([192, 168, 1, 2], 5000)).await?;
///     let mut answer = vec![0; 1500];
///     let (length, _from) = socket.recv_from(&mut answer).await?;
///     answer.truncate(length);
///     Ok(answer)
/// }
/// # let _ = ask;
/// ```
pub struct UdpSocket {
    host: Arc<Host>,
    id: usize,
    bound: Bound,
    local: SocketAddr,
    notify: Arc<Notify>,
}

impl Net {
    /// Makes a UDP socket at an address of this host, or at all of them (`0.0.0.0` and `::` both
    /// mean all, of IPv4 and IPv6). Port 0 takes a free one.
    ///
    /// # Errors
    ///
    /// As for [`listen`](Self::listen).
    pub fn udp(&self, address: impl Into<SocketAddr>) -> io::Result<UdpSocket> {
        UdpSocket::new(self.host(), address.into())
    }
}

impl UdpSocket {
    fn new(host: &Arc<Host>, address: SocketAddr) -> io::Result<Self> {
        let (id, bound, notify) = host.lock().bind_udp(address)?;
        Ok(Self {
            host: host.clone(),
            id,
            bound,
            local: SocketAddr::new(address.ip(), bound.port),
            notify,
        })
    }

    /// Sends a datagram. Waits while 256 others wait to be sent. Dropping the future may have sent
    /// it or not.
    ///
    /// # Errors
    ///
    /// `EMSGSIZE` if it exceeds the MTU. [`InvalidInput`](io::ErrorKind::InvalidInput) for an
    /// address or a port that is 0, and for an IPv6 address if the socket is bound to one of IPv4,
    /// or the reverse. [`NetworkUnreachable`](io::ErrorKind::NetworkUnreachable) if there is no
    /// route. [`NotConnected`](io::ErrorKind::NotConnected) if the host has ended.
    pub async fn send_to(&self, data: &[u8], to: impl Into<SocketAddr>) -> io::Result<()> {
        let to = IpEndpoint::from(to.into());
        coop::consume_budget().await;
        loop {
            let mut notified = pin!(self.notify.notified());
            notified.as_mut().enable();
            if self.try_send(data, to)? {
                return Ok(());
            }
            notified.await;
        }
    }

    fn try_send(&self, data: &[u8], to: IpEndpoint) -> io::Result<bool> {
        let mut state = self.host.lock();
        state.works()?;
        let headers = match to.addr.version() {
            IpVersion::Ipv4 => 28,
            IpVersion::Ipv6 => 48,
        };
        if data.len() > (state.settings.mtu - headers).min(UDP_BYTES) {
            return Err(io::Error::from_raw_os_error(libc::EMSGSIZE));
        }
        if let Some(own) = self.bound.addr
            && own.version() != to.addr.version()
        {
            let why = format!("{} is not reached from {own}", to.addr);
            return Err(error(io::ErrorKind::InvalidInput, why));
        }
        let source = match to.addr {
            addr if addr.is_unicast() => {
                let source = state.addresses.source(addr)?;
                Some(self.bound.addr.unwrap_or(source))
            }
            _ => self.bound.addr,
        };
        let mut meta = stack::UdpMetadata::from(to);
        meta.local_address = source;
        let sender = state.sender(self.id)?;
        let slot = state.slots.get(sender).ok_or(io::ErrorKind::NotConnected)?;
        match slot.socket::<stack::Socket<'_>>().send_slice(data, meta) {
            Ok(()) => {
                state.kick(sender);
                Ok(true)
            }
            Err(stack::SendError::BufferFull) => Ok(false),
            Err(e) => Err(error(io::ErrorKind::InvalidInput, format!("{to}: {e}"))),
        }
    }

    /// Waits for a datagram, and returns its length and where it comes from. What does not fit in
    /// the buffer is cut off. Dropping the future loses no datagram.
    ///
    /// # Errors
    ///
    /// [`NotConnected`](io::ErrorKind::NotConnected) if the host has ended.
    pub async fn recv_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        coop::consume_budget().await;
        loop {
            let mut notified = pin!(self.notify.notified());
            notified.as_mut().enable();
            {
                let mut state = self.host.lock();
                state.works()?;
                if let Ok((data, meta)) = self.socket(&mut state)?.recv() {
                    let length = data.len().min(buffer.len());
                    buffer[..length].copy_from_slice(&data[..length]);
                    return Ok((length, socket_address(meta.endpoint)));
                }
            }
            notified.await;
        }
    }

    fn socket<'a>(&self, state: &'a mut State) -> io::Result<&'a mut stack::Socket<'static>> {
        let slot = state.slots.get(self.id);
        let slot = slot.ok_or(io::ErrorKind::NotConnected)?;
        Ok(slot.socket())
    }

    /// The address that it is bound to, with the port that was chosen.
    ///
    /// # Errors
    ///
    /// None; tokio's sockets return a `Result` too.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.local)
    }
}

impl Drop for UdpSocket {
    fn drop(&mut self) {
        self.host.lock().release_udp(self.id);
    }
}

impl fmt::Debug for UdpSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UdpSocket")
            .field("local", &self.local)
            .finish_non_exhaustive()
    }
}

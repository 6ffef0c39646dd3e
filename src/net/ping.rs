//! Ping.

use std::io;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use smoltcp::phy::ChecksumCapabilities;
use smoltcp::socket::icmp;
use smoltcp::wire::{Icmpv4Packet, Icmpv4Repr, Icmpv6Packet, Icmpv6Repr, IpAddress};

use super::host::{Host, Net};
use super::state::State;

const DATA: &[u8; 32] = b"abcdefghijklmnopqrstuvwabcdefghi";

/// Its socket, which is forgotten with it.
struct Ping {
    host: Arc<Host>,
    id: usize,
}

impl Ping {
    fn socket<'a>(&self, state: &'a mut State) -> io::Result<&'a mut icmp::Socket<'static>> {
        let slot = state.slots.get(self.id);
        let slot = slot.ok_or(io::ErrorKind::NotConnected)?;
        Ok(slot.socket())
    }
}

impl Drop for Ping {
    fn drop(&mut self) {
        self.host.lock().remove(self.id);
    }
}

impl Net {
    /// Sends a ping, and returns how long its answer took. Waits for ever; use tokio's `timeout`.
    ///
    /// ```
    /// # use memif::net::Net;
    /// # use std::time::Duration;
    /// # async fn example(net: &Net) -> std::io::Result<()> {
    /// let answer = net.ping([192, 168, 1, 2]);
    /// let time = tokio::time::timeout(Duration::from_secs(1), answer).await??;
    /// println!("answered after {time:?}");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`connect`](Self::connect), except for those of the peer.
    pub async fn ping(&self, address: impl Into<IpAddr>) -> io::Result<Duration> {
        ping(self.host(), address.into()).await
    }
}

async fn ping(host: &Arc<Host>, to: IpAddr) -> io::Result<Duration> {
    let to = IpAddress::from(to);
    let (ping, notify, sent) = {
        let mut state = host.lock();
        let from = state.addresses.source(to)?;
        let (id, ident, notify) = state.add_ping()?;
        if let Some(slot) = state.slots.get(id) {
            let request = request(ident, from, to);
            // The socket is new and has room.
            let _ = slot.socket::<icmp::Socket<'_>>().send_slice(&request, to);
        }
        state.kick(id);
        // Last: it takes the lock when it is dropped.
        let host = host.clone();
        (Ping { host, id }, notify, Instant::now())
    };
    loop {
        let mut notified = pin!(notify.notified());
        notified.as_mut().enable();
        {
            let mut state = host.lock();
            state.works()?;
            while let Ok((packet, from)) = ping.socket(&mut state)?.recv() {
                if from == to && packet.ends_with(DATA) {
                    return Ok(sent.elapsed());
                }
            }
        }
        notified.await;
    }
}

fn request(ident: u16, from: IpAddress, to: IpAddress) -> Vec<u8> {
    let checksum = ChecksumCapabilities::ignored();
    match (from, to) {
        (IpAddress::Ipv6(from), IpAddress::Ipv6(to)) => {
            let request = Icmpv6Repr::EchoRequest {
                ident,
                seq_no: 1,
                data: DATA,
            };
            let mut packet = vec![0; request.buffer_len()];
            let mut icmp = Icmpv6Packet::new_unchecked(&mut packet);
            request.emit(&from, &to, &mut icmp, &checksum);
            packet
        }
        _ => {
            let request = Icmpv4Repr::EchoRequest {
                ident,
                seq_no: 1,
                data: DATA,
            };
            let mut packet = vec![0; request.buffer_len()];
            request.emit(&mut Icmpv4Packet::new_unchecked(&mut packet), &checksum);
            packet
        }
    }
}

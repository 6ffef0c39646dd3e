//! UDP sockets as the driver has them: one half receives, another sends.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use smoltcp::socket::udp;
use smoltcp::time::Instant;
use smoltcp::wire::IpListenEndpoint;
use tokio::sync::Notify;

use super::addresses::error;
use super::settings::{LAST_DATAGRAMS, MOST_SENDERS, UDP_BYTES, UDP_PACKETS, UNRESOLVED, now};
use super::slots::{Bound, Datagrams, Event, Kind, Sender};
use super::state::State;

/// Buffers of this size for what is received and for what is sent.
fn socket(bound: Bound, receive: usize, send: usize) -> io::Result<udp::Socket<'static>> {
    let buffer = |bytes: usize| {
        let packets = if bytes > 0 { UDP_PACKETS } else { 0 };
        udp::PacketBuffer::new(vec![udp::PacketMetadata::EMPTY; packets], vec![0; bytes])
    };
    let mut socket = udp::Socket::new(buffer(receive), buffer(send));
    let endpoint = IpListenEndpoint {
        addr: bound.addr,
        port: bound.port,
    };
    let done = socket.bind(endpoint);
    done.map_err(|e| error(io::ErrorKind::InvalidInput, e.to_string()))?;
    Ok(socket)
}

impl State {
    pub(super) fn bind_udp(
        &mut self,
        address: SocketAddr,
    ) -> io::Result<(usize, Bound, Arc<Notify>)> {
        self.works()?;
        let bound = self.bound(address, |state, bound| {
            !state.udp.keys().any(|other| other.overlaps(&bound))
        })?;
        let notify = Arc::new(Notify::new());
        let datagrams = Datagrams {
            bound,
            notify: notify.clone(),
            senders: VecDeque::new(),
        };
        let socket = socket(bound, UDP_BYTES, 0)?;
        let id = self.slots.add(socket, Kind::Udp(datagrams));
        self.udp.insert(bound, id);
        Ok((id, bound, notify))
    }

    /// What the next datagram of a UDP socket is sent by.
    pub(super) fn sender(&mut self, owner: usize) -> io::Result<usize> {
        let Some(Kind::Udp(datagrams)) = self.slots.get(owner).map(|slot| &slot.kind) else {
            return Err(io::ErrorKind::NotConnected.into());
        };
        let (bound, notify) = (datagrams.bound, datagrams.notify.clone());
        let (last, oldest) = match datagrams.senders.len() {
            MOST_SENDERS.. => (datagrams.senders.back(), datagrams.senders.front()),
            _ => (datagrams.senders.back(), None),
        };
        let (last, oldest) = (last.copied(), oldest.copied());
        if let Some(last) = last
            && let Some(Kind::Sender(sender)) = self.slots.get(last).map(|slot| &slot.kind)
            && sender.until.is_none()
        {
            return Ok(last);
        }
        if let Some(oldest) = oldest {
            self.remove(oldest);
        }
        let sender = Sender {
            owner,
            notify,
            until: None,
        };
        let id = self
            .slots
            .add(socket(bound, 0, UDP_BYTES)?, Kind::Sender(sender));
        if let Some(Kind::Udp(datagrams)) = self.slots.get(owner).map(|slot| &mut slot.kind) {
            datagrams.senders.push_back(id);
        }
        Ok(id)
    }

    /// Notes what has become of a sender.
    pub(super) fn settle_sender(&mut self, id: usize, now: Instant, event: Event) {
        let Some(slot) = self.slots.get(id) else {
            return;
        };
        // A datagram may have no bytes.
        let is_empty = self.iface.poll_at(now, &slot.set).is_none();
        let Kind::Sender(sender) = &mut slot.kind else {
            return;
        };
        if is_empty && sender.until.is_some() {
            return self.remove(id);
        }
        if event == Event::Stuck && !is_empty && sender.until.is_none() {
            sender.until = Some(now + UNRESOLVED);
            self.slots.alarm(id, now + UNRESOLVED);
        }
        if let Some(slot) = self.slots.get(id)
            && let Kind::Sender(sender) = &slot.kind
        {
            sender.notify.notify_waiters();
        }
    }

    /// Nobody has a UDP socket any more. What waits to be sent is sent.
    pub(super) fn release_udp(&mut self, owner: usize) {
        let now = now();
        let Some(Kind::Udp(datagrams)) = self.slots.get(owner).map(|slot| &mut slot.kind) else {
            return;
        };
        for id in std::mem::take(&mut datagrams.senders) {
            if let Some(slot) = self.slots.get(id)
                && let Kind::Sender(sender) = &mut slot.kind
            {
                let until = sender.until.unwrap_or(now + LAST_DATAGRAMS);
                sender.until = Some(until);
                self.slots.alarm(id, until);
                self.settle(id, now, Event::Other);
            }
        }
        self.remove(owner);
    }
}

//! TCP connections from their opening to their end.

use smoltcp::socket::tcp::{self, SocketBuffer, State as Tcp};
use smoltcp::time::{Duration, Instant};
use smoltcp::wire::{IpEndpoint, IpListenEndpoint};

use super::backlog::Full;
use super::settings::{FIN_WAIT, GIVES_WAY, HALF_OPEN, MOST_ORPHANS, Settings, now};
use super::slots::{Bound, Connection, End, Event, Kind, Sender, Stage};
use super::state::State;

impl Connection {
    pub(super) fn wake(&mut self, reader: bool, writer: bool) {
        if reader && let Some(waker) = self.reader.take() {
            waker.wake();
        }
        if writer && let Some(waker) = self.writer.take() {
            waker.wake();
        }
    }

    /// Says that nothing more comes, once all else is acknowledged. With data under way smoltcp may
    /// never repeat a FIN that is lost: a fast retransmission with nothing else to send sends nothing,
    /// and leaves no timer.
    pub(super) fn close(&mut self, socket: &mut tcp::Socket<'_>) {
        self.closing = true;
        if socket.send_queue() == 0 {
            socket.close();
        }
    }

    /// When patience ends.
    fn deadline(&self, settings: &Settings) -> Option<Instant> {
        let patience = settings.patience + settings.keep_alive.unwrap_or(Duration::ZERO);
        let lost = self.waiting.map(|since| since + patience);
        let stage = match self.stage {
            Stage::HalfOpen(_, since) => Some(since + HALF_OPEN),
            Stage::Orphan(since) if self.state == Tcp::FinWait2 => Some(since + FIN_WAIT),
            // The peer is to be told of the end.
            Stage::Orphan(since) if self.state == Tcp::Closed => {
                Some(since + settings.patience + GIVES_WAY)
            }
            Stage::Orphan(since) => Some(since + settings.patience),
            Stage::Ready(_) | Stage::Used => None,
        };
        match (lost, stage) {
            (Some(lost), Some(stage)) => Some(lost.min(stage)),
            (lost, stage) => lost.or(stage),
        }
    }
}

/// Whether the peer owes an answer to what was sent.
fn is_waiting(socket: &tcp::Socket<'_>) -> bool {
    match socket.state() {
        Tcp::SynSent | Tcp::SynReceived | Tcp::FinWait1 | Tcp::Closing | Tcp::LastAck => true,
        Tcp::Established | Tcp::CloseWait => {
            socket.send_queue() > 0 || socket.keep_alive().is_some()
        }
        Tcp::Closed | Tcp::Listen | Tcp::FinWait2 | Tcp::TimeWait => false,
    }
}

impl State {
    pub(super) fn new_socket(&self) -> tcp::Socket<'static> {
        let buffer = |size| SocketBuffer::new(vec![0; size]);
        let settings = &self.settings;
        let mut socket = tcp::Socket::new(
            buffer(settings.receive_buffer),
            buffer(settings.send_buffer),
        );
        socket.set_keep_alive(settings.keep_alive);
        socket
    }

    pub(super) fn add_connection(
        &mut self,
        socket: tcp::Socket<'static>,
        local: IpEndpoint,
        remote: IpEndpoint,
        stage: Stage,
    ) -> usize {
        let connection = Connection {
            local,
            remote,
            stage,
            state: socket.state(),
            reader: None,
            writer: None,
            end: None,
            closing: false,
            nudged: false,
            time_wait: None,
            waiting: None,
        };
        let id = self.slots.add(socket, Kind::Tcp(connection));
        self.connections.insert((local, remote), id);
        id
    }

    /// A peer asks for a connection: makes what may become one, if anybody listens there.
    pub(super) fn open(
        &mut self,
        local: IpEndpoint,
        remote: IpEndpoint,
        now: Instant,
    ) -> Result<Option<usize>, Full> {
        let [exactly, any] = [Some(local.addr), None].map(|addr| Bound {
            addr,
            port: local.port,
        });
        let bound = match self.listeners.contains_key(&exactly) {
            true => exactly,
            false => any,
        };
        let Some(backlog) = self.listeners.get(&bound) else {
            return Ok(None);
        };
        if !self.addresses.has(local.addr) || remote.port == 0 || !remote.addr.is_unicast() {
            return Ok(None);
        }
        if backlog.ready.len() >= backlog.most {
            return Err(Full);
        }
        if backlog.half_open.len() >= backlog.most {
            match backlog.half_open.first() {
                Some((since, oldest)) if *since + GIVES_WAY <= now => self.remove(*oldest),
                _ => return Err(Full),
            }
        }
        let mut socket = self.new_socket();
        let endpoint = IpListenEndpoint {
            addr: Some(local.addr),
            port: local.port,
        };
        if socket.listen(endpoint).is_err() {
            return Ok(None);
        }
        let id = self.add_connection(socket, local, remote, Stage::HalfOpen(bound, now));
        if let Some(backlog) = self.listeners.get_mut(&bound) {
            backlog.half_open.insert((now, id));
        }
        Ok(Some(id))
    }

    /// Notes what has become of a socket, and wakes those who wait for it.
    pub(super) fn settle(&mut self, id: usize, now: Instant, event: Event) {
        let Some(slot) = self.slots.get(id) else {
            return;
        };
        let (socket, connection) = match &mut slot.kind {
            Kind::Tcp(_) => match slot.tcp() {
                Some(both) => both,
                None => return,
            },
            Kind::Ping(notify) => return notify.notify_waiters(),
            Kind::Udp(datagrams) => return datagrams.notify.notify_waiters(),
            Kind::Sender(_) => return self.settle_sender(id, now, event),
        };
        if connection.closing {
            connection.close(socket);
        }
        if event == Event::Heard && std::mem::take(&mut connection.nudged) {
            socket.set_keep_alive(self.settings.keep_alive);
        }
        let before = std::mem::replace(&mut connection.state, socket.state());
        let state = connection.state;
        if state == Tcp::Closed && connection.end.is_none() {
            connection.end = Some(match before {
                Tcp::LastAck | Tcp::Closing | Tcp::TimeWait => End::Done,
                Tcp::SynSent => End::Refused,
                _ => End::Reset,
            });
        }
        connection.waiting = match event {
            Event::Heard => None,
            _ if !is_waiting(socket) => None,
            Event::Sent | Event::Stuck | Event::HeldUp => connection.waiting.or(Some(now)),
            Event::Other => connection.waiting,
        };
        if state == Tcp::TimeWait {
            connection.time_wait.get_or_insert(now);
        }
        let deadline = connection.deadline(&self.settings);
        let reads = socket.can_recv() || !socket.may_recv() && state != Tcp::SynSent;
        let writes = socket.can_send() || !socket.may_send() && state != Tcp::SynSent;
        connection.wake(reads, writes);

        match connection.stage {
            Stage::Used => {}
            Stage::HalfOpen(bound, since) => match state {
                Tcp::SynReceived => {}
                Tcp::Listen | Tcp::Closed => return self.remove(id),
                _ => {
                    connection.stage = Stage::Ready(bound);
                    if let Some(backlog) = self.listeners.get_mut(&bound) {
                        backlog.half_open.remove(&(since, id));
                        backlog.ready.push_back(id);
                        backlog.notify.notify_waiters();
                    }
                }
            },
            // A peer that opens and resets must not fill the backlog.
            Stage::Ready(_) if state == Tcp::Closed => return self.remove(id),
            Stage::Ready(_) => {}
            Stage::Orphan(_) => {
                // Nobody will read it.
                if socket.recv_queue() > 0 && state != Tcp::Closed {
                    socket.abort();
                    return self.kick(id);
                }
                let told = socket.remote_endpoint().is_none();
                let over = match state {
                    Tcp::Closed => told || !self.device.is_link_up(),
                    // All is sent and acknowledged, once no acknowledgement is due soon.
                    Tcp::TimeWait => {
                        let at = self.iface.poll_at(now, &slot.set);
                        at.is_none_or(|at| at > now + GIVES_WAY * 2)
                    }
                    _ => false,
                };
                if over {
                    return self.remove(id);
                }
            }
        }
        if let Some(at) = deadline {
            self.slots.alarm(id, at);
        }
    }

    /// Gives up a socket whose patience has ended.
    pub(super) fn expire(&mut self, id: usize, now: Instant) {
        let Some(slot) = self.slots.get(id) else {
            return;
        };
        if let Kind::Sender(Sender {
            until: Some(until), ..
        }) = slot.kind
        {
            return match until <= now {
                true => self.remove(id),
                false => self.slots.alarm(id, until),
            };
        }
        let Some((socket, connection)) = slot.tcp() else {
            return;
        };
        let Some(deadline) = connection.deadline(&self.settings) else {
            return;
        };
        if deadline > now {
            return self.slots.alarm(id, deadline);
        }
        match connection.stage {
            Stage::HalfOpen(..) => self.remove(id),
            // It has nothing more to tell.
            Stage::Orphan(_) if matches!(socket.state(), Tcp::FinWait2 | Tcp::Closed) => {
                self.remove(id);
            }
            _ => {
                connection.end.get_or_insert(End::TimedOut);
                socket.abort();
                self.settle(id, now, Event::Other);
            }
        }
    }

    /// Nobody has a connection any more: it is closed, and goes on by itself until the peer knows.
    pub(super) fn release(&mut self, id: usize) {
        let now = now();
        let Some((socket, connection)) = self.slots.get(id).and_then(|slot| slot.tcp()) else {
            return;
        };
        if socket.state() == Tcp::SynSent {
            // Nobody knows of it. A peer that answers still is told so.
            return self.remove(id);
        }
        if socket.recv_queue() > 0 {
            // As in Linux: the peer learns that not all was read.
            socket.abort();
        } else {
            connection.close(socket);
        }
        connection.stage = Stage::Orphan(now);
        (connection.reader, connection.writer) = (None, None);
        self.orphans.insert((now, id));
        if self.orphans.len() > MOST_ORPHANS
            && let Some((_, oldest)) = self.orphans.pop_first()
            && let Some((socket, _)) = self.slots.get(oldest).and_then(|slot| slot.tcp())
        {
            socket.abort();
            self.mark(oldest);
        }
        self.kick(id);
        self.settle(id, now, Event::Other);
    }

    /// Forgets a socket at once.
    pub(super) fn remove(&mut self, id: usize) {
        let Some(slot) = self.slots.remove(id) else {
            return;
        };
        self.unmark(id);
        match slot.kind {
            Kind::Tcp(connection) => {
                let key = (connection.local, connection.remote);
                // Another may have its addresses by now.
                if self.connections.get(&key) == Some(&id) {
                    self.connections.remove(&key);
                }
                match connection.stage {
                    Stage::HalfOpen(bound, since) => {
                        if let Some(backlog) = self.listeners.get_mut(&bound) {
                            backlog.half_open.remove(&(since, id));
                        }
                    }
                    Stage::Ready(bound) => {
                        if let Some(backlog) = self.listeners.get_mut(&bound) {
                            backlog.ready.retain(|ready| *ready != id);
                        }
                    }
                    Stage::Orphan(since) => {
                        self.orphans.remove(&(since, id));
                        if self.orphans.is_empty() {
                            self.drained.notify_waiters();
                        }
                    }
                    Stage::Used => {}
                }
            }
            Kind::Udp(datagrams) => {
                self.udp.remove(&datagrams.bound);
            }
            Kind::Sender(sender) => {
                if let Some(owner) = self.slots.get(sender.owner)
                    && let Kind::Udp(datagrams) = &mut owner.kind
                {
                    datagrams.senders.retain(|sender| *sender != id);
                }
            }
            Kind::Ping(_) => self.pings.retain(|_, ping| *ping != id),
        }
        if self.abandoned && self.slots.len() == 0 {
            self.wake_driver();
        }
    }
}

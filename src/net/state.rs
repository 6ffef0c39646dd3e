//! What the driver and the sockets share: the stack, the device, and who waits for what.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::io;
use std::sync::Arc;
use std::task::Waker;

use smoltcp::iface::{Interface, PollResult, SocketSet};
use smoltcp::phy::{Device, Medium};
use smoltcp::socket::tcp::State as Tcp;
use smoltcp::time::{Duration, Instant};
use smoltcp::wire::{EthernetAddress, IpCidr, IpEndpoint};
use tokio::sync::Notify;

use super::addresses::Addresses;
use super::backlog::{Backlog, Full};
use super::flow::Flow;
use super::settings::{HELD_UP, Settings, now};
use super::slots::{Bound, Event, Kind, Slots};
use crate::phy::{MemifDevice, announce};

/// How many packets are received, and how many sent, before the other gets its turn.
const TURN: usize = 64;
/// A socket that wants something that can't be done now is asked again after this time.
const AGAIN: Duration = Duration::from_millis(1);

pub(super) struct State {
    pub(super) iface: Interface,
    pub(super) device: MemifDevice,
    medium: Medium,
    mac: Option<EthernetAddress>,
    /// For packets that no socket gets.
    nobody: SocketSet<'static>,
    pub(super) settings: Settings,
    pub(super) addresses: Addresses,
    pub(super) slots: Slots,
    /// Those that may have something to send, in turn.
    dirty: VecDeque<usize>,
    /// Those that wait for the Ethernet address of a neighbour.
    unresolved: BTreeSet<usize>,
    /// A packet came that may have told of a neighbour.
    resolved: bool,
    /// By local and remote address.
    pub(super) connections: HashMap<(IpEndpoint, IpEndpoint), usize>,
    pub(super) orphans: BTreeSet<(Instant, usize)>,
    pub(super) listeners: HashMap<Bound, Backlog>,
    pub(super) udp: HashMap<Bound, usize>,
    pub(super) pings: HashMap<u16, usize>,
    pub(super) next_port: u16,
    pub(super) next_ident: u16,
    /// The link that the neighbours were learnt from.
    link: u64,
    is_up: bool,
    /// Since when the ring has had no room, or the link been down.
    no_room: Option<Instant>,
    /// Nothing can be sent, and not only for a moment.
    held_up: bool,
    pub(super) driver: Option<Waker>,
    /// Nobody has the host or one of its sockets any more.
    pub(super) abandoned: bool,
    /// Since when, and nothing is left but what the ring has no room for.
    alone: Option<Instant>,
    ended: Option<Ended>,
    /// Notified when the last orphan has gone.
    pub(super) drained: Arc<Notify>,
}

/// Why the host does not work any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    Closed,
    Runtime,
    Failed,
}

impl Ended {
    pub(super) fn error(self) -> io::Error {
        let why = match self {
            Self::Closed => "the memif interface is closed",
            Self::Runtime => "the runtime that the host was started in has ended",
            Self::Failed => "the task of the host has failed",
        };
        io::Error::new(io::ErrorKind::NotConnected, why)
    }
}

/// What the driver waits for next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Nothing: there is more to do.
    More,
    /// Packets, a socket, or this time.
    Wait(Option<Instant>),
    /// The same, or room in the ring.
    Room(Option<Instant>),
    End,
}

impl State {
    pub(super) fn new(
        iface: Interface,
        device: MemifDevice,
        mac: Option<EthernetAddress>,
        settings: Settings,
        addresses: Addresses,
        seed: u64,
    ) -> Self {
        Self {
            iface,
            medium: device.capabilities().medium,
            device,
            mac,
            nobody: SocketSet::new(Vec::new()),
            settings,
            addresses,
            slots: Slots::default(),
            dirty: VecDeque::new(),
            unresolved: BTreeSet::new(),
            resolved: false,
            connections: HashMap::new(),
            orphans: BTreeSet::new(),
            listeners: HashMap::new(),
            udp: HashMap::new(),
            pings: HashMap::new(),
            next_port: (seed >> 32) as u16,
            next_ident: seed as u16,
            link: 0,
            is_up: false,
            no_room: None,
            held_up: false,
            driver: None,
            abandoned: false,
            alone: None,
            ended: None,
            drained: Arc::default(),
        }
    }

    /// Fails once the host does not work any more.
    pub(super) fn works(&self) -> io::Result<()> {
        self.ended.map_or(Ok(()), |ended| Err(ended.error()))
    }

    /// Ends all waiting.
    pub(super) fn end(&mut self, ended: Ended) {
        self.ended.get_or_insert(ended);
        for id in self.slots.ids() {
            match self.slots.get(id).map(|slot| &mut slot.kind) {
                Some(Kind::Tcp(connection)) => connection.wake(true, true),
                Some(Kind::Udp(datagrams)) => datagrams.notify.notify_waiters(),
                Some(Kind::Sender(sender)) => sender.notify.notify_waiters(),
                Some(Kind::Ping(notify)) => notify.notify_waiters(),
                None => {}
            }
        }
        for backlog in self.listeners.values() {
            backlog.notify.notify_waiters();
        }
        self.drained.notify_waiters();
    }

    /// A socket has something to do for the driver.
    pub(super) fn kick(&mut self, id: usize) {
        self.look_at(id);
        self.wake_driver();
    }

    /// A socket may have something to send, which begins to wait for the peer if that can't be done.
    fn look_at(&mut self, id: usize) {
        self.mark(id);
        if self.held_up {
            self.settle(id, now(), Event::HeldUp);
        }
    }

    pub(super) fn wake_driver(&mut self) {
        if let Some(driver) = self.driver.take() {
            driver.wake();
        }
    }

    pub(super) fn mark(&mut self, id: usize) {
        if let Some(slot) = self.slots.get(id)
            && !slot.dirty
        {
            slot.dirty = true;
            self.dirty.push_back(id);
        }
    }

    /// Nothing waits for a socket that has gone. A peer could make one after another, none of which
    /// gets its turn.
    pub(super) fn unmark(&mut self, id: usize) {
        self.unresolved.remove(&id);
        if self.dirty.len() > 2 * self.slots.len() + TURN {
            let mut once = BTreeSet::new();
            let slots = &mut self.slots;
            self.dirty
                .retain(|id| slots.get(*id).is_some_and(|s| s.dirty) && once.insert(*id));
        }
    }

    /// What was read may have made room that the peer does not know of.
    pub(super) fn kick_if_due(&mut self, id: usize) {
        let now = now();
        let Some(slot) = self.slots.get(id) else {
            return;
        };
        if !slot.dirty
            && self
                .iface
                .poll_at(now, &slot.set)
                .is_some_and(|at| at <= now)
        {
            self.kick(id);
        }
    }

    /// Whether the driver has a reason to go on with what the device has.
    pub(super) fn has_input(&mut self, was_up: bool) -> bool {
        self.device.peek().is_some()
            || self.device.is_closed()
            || self.device.is_link_up() != was_up
    }

    /// One turn: receives, sends, and says what to wait for.
    pub(super) fn turn(&mut self, now: Instant) -> Next {
        self.look_at_link(now);
        let received = self.receive(now);
        if self.device.is_closed() {
            self.end(Ended::Closed);
            return Next::End;
        }
        while let Some(id) = self.slots.rung(now) {
            self.expire(id, now);
            self.look_at(id);
        }
        if std::mem::take(&mut self.resolved) {
            for id in std::mem::take(&mut self.unresolved) {
                if let Some(slot) = self.slots.get(id) {
                    slot.unresolved = false;
                }
                self.mark(id);
            }
        }
        let sent = self.send(now);
        self.device.publish();
        self.look_at_room(now);
        if received == TURN || sent == TURN {
            return Next::More;
        }
        let unpublished = self.device.unpublished() > 0;
        if self.abandoned && self.slots.len() == 0 {
            let since = *self.alone.get_or_insert(now);
            if !unpublished || since + self.settings.patience <= now {
                return Next::End;
            }
        }
        let alarm = self.slots.next_alarm();
        match self.device.is_link_up() {
            true if unpublished || !self.dirty.is_empty() => Next::Room(alarm),
            _ => Next::Wait(alarm),
        }
    }

    /// After a reconnect the peer may be another one, which knows nobody.
    fn look_at_link(&mut self, now: Instant) {
        let link = self.device.links();
        let was_up = std::mem::replace(&mut self.is_up, self.device.is_link_up());
        // The count may come a moment after the link.
        if !self.is_up || (was_up && self.link == link) {
            return;
        }
        self.link = link;
        // This is how the stack forgets its neighbours.
        self.iface.update_ip_addrs(|_| ());
        if let Some(mac) = self.mac {
            let addresses: Vec<IpCidr> = self.iface.ip_addrs().to_vec();
            announce(&mut self.device, mac, &addresses, now);
        }
    }

    /// Those that can't send begin to wait for the peer.
    fn look_at_room(&mut self, now: Instant) {
        let was_held_up = self.held_up;
        self.held_up = match self.device.may_send() {
            true => {
                self.no_room = None;
                false
            }
            false => {
                let since = *self.no_room.get_or_insert(now);
                !self.device.is_link_up() || since + HELD_UP <= now
            }
        };
        if self.held_up && !was_held_up {
            for id in self.dirty.iter().copied().collect::<Vec<_>>() {
                self.settle(id, now, Event::HeldUp);
            }
        }
    }

    fn receive(&mut self, now: Instant) -> usize {
        for count in 0..TURN {
            let Some(frame) = self.device.peek() else {
                return count;
            };
            let flow = Flow::of(frame, self.medium);
            let id = match flow {
                Flow::Tcp {
                    local,
                    remote,
                    opens,
                } => match self.connection(local, remote, opens) {
                    Some(id) => Some(id),
                    None if opens => match self.open(local, remote, now) {
                        Ok(id) => id,
                        // The peer tries again.
                        Err(Full) => {
                            self.device.skip();
                            continue;
                        }
                    },
                    None => None,
                },
                Flow::Udp { local } => {
                    let exactly = Bound {
                        addr: Some(local.addr),
                        port: local.port,
                    };
                    let any = Bound {
                        addr: None,
                        port: local.port,
                    };
                    let found = self.udp.get(&exactly).or_else(|| self.udp.get(&any));
                    found.copied()
                }
                Flow::Echo { ident } => self.pings.get(&ident).copied(),
                Flow::Probe { address } => {
                    // The stack drops it, as its sender has no address yet.
                    if let Some(mac) = self.mac
                        && self.addresses.has(address)
                    {
                        announce(&mut self.device, mac, &[IpCidr::new(address, 0)], now);
                    }
                    None
                }
                Flow::Other => {
                    self.resolved = true;
                    None
                }
            };
            let slot = id.and_then(|id| Some((id, self.slots.get(id)?)));
            let Some((id, slot)) = slot else {
                let nobody = &mut self.nobody;
                self.iface
                    .poll_ingress_single(now, &mut self.device, nobody);
                continue;
            };
            self.iface
                .poll_ingress_single(now, &mut self.device, &mut slot.set);
            self.settle(id, now, Event::Heard);
            self.look_at(id);
        }
        TURN
    }

    /// The connection that a segment is for. A peer that opens anew does not mean one that has ended.
    fn connection(&mut self, local: IpEndpoint, remote: IpEndpoint, opens: bool) -> Option<usize> {
        let id = *self.connections.get(&(local, remote))?;
        let (_, connection) = self.slots.get(id)?.tcp()?;
        let has_ended = matches!(connection.state, Tcp::Closed | Tcp::TimeWait);
        (!opens || !has_ended).then_some(id)
    }

    fn send(&mut self, now: Instant) -> usize {
        let mut sent = 0;
        // Each of those that are there now has one look at least.
        let mut looks = self.dirty.len() + TURN;
        while sent < TURN && looks > 0 && self.device.may_send() {
            looks -= 1;
            let Some(id) = self.dirty.pop_front() else {
                break;
            };
            let Some(slot) = self.slots.get(id) else {
                continue;
            };
            if !std::mem::take(&mut slot.dirty) {
                continue;
            }
            if slot.is_over(now) {
                continue;
            }
            let due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
            let wanted = due(self.iface.poll_at(now, &slot.set));
            let result = (self.iface).poll_egress(now, &mut self.device, &mut slot.set);
            if result == PollResult::SocketStateChanged {
                sent += 1;
                self.mark(id);
                self.settle(id, now, Event::Sent);
                continue;
            }
            let mut at = self.iface.poll_at(now, &slot.set);
            if at.is_none() && slot.nudge() {
                at = Some(now);
            }
            if due(at) {
                at = Some(now + AGAIN);
            }
            if wanted && !std::mem::replace(&mut slot.unresolved, true) {
                self.unresolved.insert(id);
            }
            if let Some(at) = at {
                self.slots.alarm(id, at);
            }
            let event = match wanted {
                true => Event::Stuck,
                false => Event::Other,
            };
            self.settle(id, now, event);
        }
        sent
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::net::Ipv4Addr;

    use smoltcp::iface::Config;
    use smoltcp::wire::HardwareAddress;

    use super::*;
    use crate::config::IfMode;
    use crate::context::Context;
    use crate::interface::config::MemifConfig;
    use crate::net::defaults::DEFAULT_PATIENCE;
    use crate::net::slots::Stage;

    /// Of a host without addresses, whose link is down.
    pub(in super::super) fn state() -> State {
        let context = Context::new("test").unwrap();
        let socket = format!("@memif-test-state-{}", std::process::id());
        let config = MemifConfig::new(socket).mode(IfMode::Ip);
        let memif = context.create_interface(config).unwrap();
        let mut device = MemifDevice::new(&memif, 0).unwrap();
        let iface = Interface::new(Config::new(HardwareAddress::Ip), &mut device, now());
        let settings = Settings {
            receive_buffer: 2048,
            send_buffer: 2048,
            patience: DEFAULT_PATIENCE.into(),
            keep_alive: None,
            mtu: 1500,
        };
        State::new(iface, device, None, settings, Addresses::default(), 1)
    }

    /// A peer opens and resets, again and again, while no socket gets its turn.
    #[test]
    fn sockets_that_have_gone_leave_nothing() {
        let mut state = state();
        let end = |port| IpEndpoint::new(Ipv4Addr::new(10, 0, 0, 1).into(), port);
        let add = |state: &mut State, port| {
            let socket = state.new_socket();
            let id = state.add_connection(socket, end(80), end(port), Stage::Used);
            state.mark(id);
            state.slots.get(id).unwrap().unresolved = true;
            state.unresolved.insert(id);
            id
        };
        let kept = add(&mut state, 1);
        for _ in 0..1000 {
            let id = add(&mut state, 2);
            state.remove(id);
        }
        let most = 2 + TURN;
        assert!(state.dirty.len() <= most, "{}", state.dirty.len());
        assert!(state.dirty.contains(&kept));
        assert_eq!(state.unresolved, [kept].into());
    }
}

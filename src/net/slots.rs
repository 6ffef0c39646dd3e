//! The sockets of a host, by number.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::task::Waker;

use smoltcp::iface::{SocketHandle, SocketSet};
use smoltcp::socket::{AnySocket, tcp};
use smoltcp::time::Instant;
use smoltcp::wire::{IpAddress, IpEndpoint};
use tokio::sync::Notify;

use super::settings::{NUDGE, TIME_WAIT};

/// One socket. Each has a set of its own: the stack looks at every socket of a set for every
/// packet, which does not do for thousands.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) set: SocketSet<'static>,
    pub(super) handle: SocketHandle,
    pub(super) kind: Kind,
    /// It is in the queue of those that may have something to send.
    pub(super) dirty: bool,
    /// It waits for the Ethernet address of a neighbour.
    pub(super) unresolved: bool,
    /// When it is to be looked at, at the latest.
    pub(super) alarm: Option<Instant>,
}

#[derive(Debug)]
pub(super) enum Kind {
    Tcp(Connection),
    Udp(Datagrams),
    Sender(Sender),
    Ping(Arc<Notify>),
}

/// What a UDP socket receives by.
#[derive(Debug)]
pub(super) struct Datagrams {
    pub(super) bound: Bound,
    pub(super) notify: Arc<Notify>,
    /// What it sends by. All but the last wait for neighbours.
    pub(super) senders: VecDeque<usize>,
}

/// What a UDP socket sends by. One that waits for a neighbour would hold up what is for others, so
/// another takes its place.
#[derive(Debug)]
pub(super) struct Sender {
    pub(super) owner: usize,
    pub(super) notify: Arc<Notify>,
    /// When what it still has is given up.
    pub(super) until: Option<Instant>,
}

/// What a listener or a UDP socket is bound to: one address, or all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Bound {
    pub(super) addr: Option<IpAddress>,
    pub(super) port: u16,
}

impl Bound {
    /// Whether both can't be there at a time.
    pub(super) fn overlaps(&self, other: &Self) -> bool {
        let any = self.addr.is_none() || other.addr.is_none() || self.addr == other.addr;
        self.port == other.port && any
    }
}

#[derive(Debug)]
pub(super) struct Connection {
    pub(super) local: IpEndpoint,
    pub(super) remote: IpEndpoint,
    pub(super) stage: Stage,
    /// The state when it was last looked at.
    pub(super) state: tcp::State,
    pub(super) reader: Option<Waker>,
    pub(super) writer: Option<Waker>,
    pub(super) end: Option<End>,
    /// Nothing more will be written.
    pub(super) closing: bool,
    /// The peer is asked for an answer, as no timer of the stack does.
    pub(super) nudged: bool,
    /// Since when both sides have been closed.
    pub(super) time_wait: Option<Instant>,
    /// Since when the peer has owed an answer.
    pub(super) waiting: Option<Instant>,
}

/// Why a socket is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// A packet came for it.
    Heard,
    /// It has sent one.
    Sent,
    /// It would send, but its neighbour is unknown.
    Stuck,
    /// It would send, but the ring is full or the link is down.
    HeldUp,
    /// Something else.
    Other,
}

/// Who has a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// The listener: it has asked for a connection at this time.
    HalfOpen(Bound, Instant),
    /// The listener: it can be accepted.
    Ready(Bound),
    /// A stream.
    Used,
    /// Nobody, since this time.
    Orphan(Instant),
}

/// Why a connection is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Done,
    Refused,
    Reset,
    TimedOut,
}

#[derive(Debug, Default)]
pub(super) struct Slots {
    slots: Vec<Option<Slot>>,
    free: Vec<usize>,
    alarms: BTreeSet<(Instant, usize)>,
}

impl Slots {
    pub(super) fn add(&mut self, socket: impl AnySocket<'static>, kind: Kind) -> usize {
        let mut set = SocketSet::new(Vec::with_capacity(1));
        let handle = set.add(socket);
        let slot = Slot {
            set,
            handle,
            kind,
            dirty: false,
            unresolved: false,
            alarm: None,
        };
        if let Some(id) = self.free.pop() {
            self.slots[id] = Some(slot);
            return id;
        }
        self.slots.push(Some(slot));
        self.slots.len() - 1
    }

    pub(super) fn get(&mut self, id: usize) -> Option<&mut Slot> {
        self.slots.get_mut(id)?.as_mut()
    }

    pub(super) fn remove(&mut self, id: usize) -> Option<Slot> {
        let slot = self.slots.get_mut(id)?.take()?;
        if let Some(at) = slot.alarm {
            self.alarms.remove(&(at, id));
        }
        self.free.push(id);
        if self.free.len() == self.slots.len() {
            // Gives memory back that only a crowd needed.
            (self.slots, self.free) = Default::default();
        }
        Some(slot)
    }

    pub(super) fn ids(&self) -> Vec<usize> {
        let used = self.slots.iter().enumerate();
        used.filter_map(|(id, slot)| slot.as_ref().map(|_| id))
            .collect()
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Sets an alarm, unless there is an earlier one. To be woken too early does no harm, and most
    /// times are moved on before they come.
    pub(super) fn alarm(&mut self, id: usize, at: Instant) {
        let Some(slot) = self.slots.get_mut(id).and_then(Option::as_mut) else {
            return;
        };
        if slot.alarm.is_some_and(|set| set <= at) {
            return;
        }
        if let Some(set) = slot.alarm.replace(at) {
            self.alarms.remove(&(set, id));
        }
        self.alarms.insert((at, id));
    }

    pub(super) fn next_alarm(&self) -> Option<Instant> {
        self.alarms.first().map(|(at, _)| *at)
    }

    /// Takes an alarm whose time has come.
    pub(super) fn rung(&mut self, now: Instant) -> Option<usize> {
        let (at, id) = *self.alarms.first()?;
        if at > now {
            return None;
        }
        self.alarms.pop_first();
        if let Some(slot) = self.get(id) {
            slot.alarm = None;
        }
        Some(id)
    }
}

impl Slot {
    /// Whether there is nothing to send any more, but something may still be read: smoltcp would
    /// clear it at the end of TIME-WAIT.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        let Kind::Tcp(connection) = &self.kind else {
            return false;
        };
        let since = connection.time_wait;
        connection.stage == Stage::Used && since.is_some_and(|since| since + TIME_WAIT <= now)
    }

    /// Asks the peer for an answer if there is something to send and no timer to do so: after a time-out
    /// at a window of zero smoltcp waits for an update that may have been lost. False: there is no
    /// need.
    pub(super) fn nudge(&mut self) -> bool {
        let Some((socket, connection)) = self.tcp() else {
            return false;
        };
        let stopped = socket.send_queue() > 0 && socket.may_send();
        if stopped {
            connection.nudged = true;
            socket.set_keep_alive(Some(NUDGE));
        }
        stopped
    }

    pub(super) fn socket<T: AnySocket<'static>>(&mut self) -> &mut T {
        self.set.get_mut(self.handle)
    }

    /// The socket and what else is known of the connection.
    pub(super) fn tcp(&mut self) -> Option<(&mut tcp::Socket<'static>, &mut Connection)> {
        match &mut self.kind {
            Kind::Tcp(connection) => Some((self.set.get_mut(self.handle), connection)),
            _ => None,
        }
    }
}

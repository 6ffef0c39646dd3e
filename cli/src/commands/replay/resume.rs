//! What a peer that comes back has to get again.

use std::collections::VecDeque;

use crate::link::session::Session;

/// The packets that were sent last, as many as the ring holds: of these the peer may not have read
/// all when it left.
pub(super) struct Resume {
    queue: u8,
    /// Each with the slots that it takes.
    kept: VecDeque<(Vec<u8>, usize)>,
    slots: usize,
    /// Of those, how many are to be sent again, the newest.
    again: usize,
    ring: usize,
    buffer: usize,
    /// Slots that peers had not read of former links.
    unread: u64,
}

impl Resume {
    pub(super) fn new(session: &Session, queue: u8) -> Self {
        let mut this = Self {
            queue,
            kept: VecDeque::new(),
            slots: 0,
            again: 0,
            ring: usize::MAX,
            buffer: 1,
            unread: unread(session, queue),
        };
        this.look(session);
        this
    }

    /// The sizes of the present link, where there is one.
    pub(super) fn look(&mut self, session: &Session) {
        let details = session.memif.details().ok();
        let queue = details.and_then(|d| d.tx_queues.get(usize::from(self.queue)).copied());
        if let Some(queue) = queue.filter(|queue| queue.buffer_size > 0) {
            self.ring = queue.ring_size as usize;
            self.buffer = queue.buffer_size.into();
        }
        self.slots = 0;
        for (packet, slots) in &mut self.kept {
            *slots = packet.len().div_ceil(self.buffer);
            self.slots += *slots;
        }
    }

    /// The link has gone: what was sent on it and not read has to be sent again.
    pub(super) fn begin(&mut self, session: &Session) {
        let all = unread(session, self.queue);
        let mut slots = usize::try_from(all - self.unread).unwrap_or(usize::MAX);
        self.unread = all;
        let mut first = self.kept.len() - self.again;
        while slots > 0 && first > 0 {
            first -= 1;
            slots = slots.saturating_sub(self.kept[first].1);
        }
        self.again = self.kept.len() - first;
    }

    /// How many packets have to be sent again.
    pub(super) fn again(&self) -> usize {
        self.again
    }

    /// The next of them.
    pub(super) fn next(&self) -> Option<Vec<u8>> {
        let at = self.kept.len() - self.again;
        self.kept.get(at).map(|(packet, _)| packet.clone())
    }

    pub(super) fn sent_again(&mut self) {
        self.again -= 1;
    }

    pub(super) fn keep(&mut self, packet: &[u8]) {
        let slots = packet.len().div_ceil(self.buffer);
        let mut kept = Vec::new();
        self.slots += slots;
        while self.slots > self.ring
            && let Some((oldest, slots)) = self.kept.pop_front()
        {
            self.slots -= slots;
            kept = oldest;
        }
        kept.clear();
        kept.extend_from_slice(packet);
        self.kept.push_back((kept, slots));
    }
}

fn unread(session: &Session, queue: u8) -> u64 {
    let queues = session.memif.stats().tx_queues;
    let queue = queues.get(usize::from(queue));
    queue.map_or(0, |queue| queue.unread_slots)
}

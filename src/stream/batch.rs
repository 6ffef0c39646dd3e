//! Packets that a sink has accepted but not sent yet.

/// As many packets as are sent at a time, in one piece of memory.
#[derive(Debug, Default)]
pub(super) struct Batch {
    bytes: Vec<u8>,
    ends: Vec<usize>,
    /// How many of them have been sent.
    sent: usize,
}

impl Batch {
    pub(super) const PACKETS: usize = 64;

    pub(super) fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    pub(super) fn is_full(&self) -> bool {
        self.ends.len() >= Self::PACKETS
    }

    pub(super) fn push(&mut self, packet: &[u8]) {
        self.bytes.extend_from_slice(packet);
        self.ends.push(self.bytes.len());
    }

    /// Passes the packets that have not been sent to `send`, which returns how many it sent.
    pub(super) fn send<E>(
        &mut self,
        send: impl FnOnce(&[&[u8]]) -> Result<usize, E>,
    ) -> Result<usize, E> {
        let mut packets: [&[u8]; Self::PACKETS] = [&[]; Self::PACKETS];
        let mut start = self.sent.checked_sub(1).map_or(0, |last| self.ends[last]);
        for (packet, &end) in packets.iter_mut().zip(&self.ends[self.sent..]) {
            *packet = &self.bytes[start..end];
            start = end;
        }
        // More than `PACKETS` only if a caller did not ask whether there is room.
        let count = (self.ends.len() - self.sent).min(Self::PACKETS);
        let sent = send(&packets[..count])?;
        self.take(sent);
        Ok(sent)
    }

    /// Removes the next packets.
    pub(super) fn take(&mut self, packets: usize) {
        self.sent += packets;
        if self.sent >= self.ends.len() {
            self.bytes.clear();
            self.ends.clear();
            self.sent = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_taken_comes_again() {
        let mut batch = Batch::default();
        for packet in ["one", "two", "three"] {
            batch.push(packet.as_bytes());
        }
        let mut seen = Vec::new();
        for take in [1, 0, 2] {
            let sent = batch.send(|packets| {
                seen.push(packets.iter().map(|p| p.len()).collect::<Vec<_>>());
                Ok::<_, ()>(take)
            });
            assert_eq!(sent, Ok(take));
        }
        assert_eq!(seen, [vec![3, 3, 5], vec![3, 5], vec![3, 5]]);
        assert!(batch.is_empty() && !batch.is_full());
        assert_eq!(batch.send(|_| Err("no")), Err("no"));
        for _ in 0..Batch::PACKETS + 1 {
            batch.push(b"x");
        }
        assert!(batch.is_full());
        for count in [Batch::PACKETS, 1] {
            let sent = batch.send(|packets| Ok::<_, ()>(packets.len()));
            assert_eq!(sent, Ok(count));
        }
        assert!(batch.is_empty());
    }
}

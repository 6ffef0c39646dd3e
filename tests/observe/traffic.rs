//! Packets that tell their number and whether they are whole; a link of this process; its turn.

use std::sync::{Mutex, MutexGuard, PoisonError};

use memif::observe::{self, Link};

use crate::common::{Pair, until};

/// Links bear no names, so there is one at a time.
pub(crate) fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The links that this process has both ends of.
pub(crate) fn own_links() -> Vec<Link> {
    let own = |l: &Link| l.processes().iter().any(|p| p.pid == std::process::id());
    observe::links()
        .unwrap()
        .links
        .into_iter()
        .filter(own)
        .collect()
}

/// The link of this pair, which is the only one.
pub(crate) fn link_of(pair: &Pair) -> Link {
    assert!(pair.master.is_link_up());
    only_link()
}

/// The only link of this process, once there is no more than one.
pub(crate) fn only_link() -> Link {
    let mut link = None;
    until("the only link", || {
        let mut links = own_links();
        if links.len() == 1 {
            link = links.pop();
        }
        link.is_some()
    });
    link.unwrap()
}

const HEADER: usize = 24;
const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;

/// Fills a packet with its number, its length, a checksum, and words that follow from the number.
pub(crate) fn write(packet: &mut Vec<u8>, number: u64, length: usize) {
    let length = length.max(HEADER);
    packet.resize(length, 0);
    packet[..8].copy_from_slice(&number.to_ne_bytes());
    packet[8..16].copy_from_slice(&(length as u64).to_ne_bytes());
    let mut state = number.wrapping_mul(MULTIPLIER) ^ length as u64;
    packet[16..24].copy_from_slice(&state.to_ne_bytes());
    for chunk in packet[HEADER..].chunks_mut(8) {
        state = state.wrapping_add(MULTIPLIER).rotate_left(5);
        chunk.copy_from_slice(&state.to_ne_bytes()[..chunk.len()]);
    }
}

/// The number of a packet that is whole.
pub(crate) fn check(packet: &[u8]) -> Result<u64, String> {
    let word = |at: usize| {
        packet
            .get(at..at + 8)
            .map(|b| u64::from_ne_bytes(b.try_into().unwrap()))
    };
    let (Some(number), Some(length), Some(sum)) = (word(0), word(8), word(16)) else {
        return Err(format!("{} bytes", packet.len()));
    };
    if length != packet.len() as u64 {
        return Err(format!("{} bytes, and says {length}", packet.len()));
    }
    let mut state = number.wrapping_mul(MULTIPLIER) ^ length;
    if sum != state {
        return Err(format!("number {number}: checksum"));
    }
    for (at, chunk) in packet[HEADER..].chunks(8).enumerate() {
        state = state.wrapping_add(MULTIPLIER).rotate_left(5);
        if chunk != &state.to_ne_bytes()[..chunk.len()] {
            return Err(format!("number {number}: byte {}", HEADER + at * 8));
        }
    }
    Ok(number)
}

/// Numbers that follow from a seed, and look like none.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % n
    }
}

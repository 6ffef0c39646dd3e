//! Which rings lead to the master, and which to the slave.

use super::link::Direction;
use crate::ffi::view::{RingState, ViewRing};

/// The rings to the master come first; how many they are is for their counters to tell. `None`
/// while more than one answer is likely.
pub(super) fn rings_to_master(rings: &[(ViewRing, RingState)]) -> Option<usize> {
    if rings.len() <= 2 {
        return Some(1.min(rings.len()));
    }
    by_marks(rings).or_else(|| by_fill(rings))
}

/// By what an end of ours leaves in the rings that the protocol does not use.
fn by_marks(rings: &[(ViewRing, RingState)]) -> Option<usize> {
    let marked = |state: &RingState| state.slave_marks != 0;
    let promises = |state: &RingState| state.sender_promises != 0;
    let slave_is_ours = rings.iter().any(|(_, state)| marked(state));
    let master_is_ours = rings.iter().any(|(_, state)| promises(state));
    if !slave_is_ours && !master_is_ours {
        return None;
    }
    // Else the master is ours, and only it promises.
    let to_slave = |state: &RingState| match slave_is_ours {
        // Another's master may have wiped the mark away.
        true => marked(state) || !promises(state),
        false => promises(state),
    };
    let first = rings.iter().position(|(_, state)| to_slave(state))?;
    let in_order = rings[first..].iter().all(|(_, state)| to_slave(state));
    in_order.then_some(first)
}

/// A ring to the master is empty as long as the master keeps up; one to the slave is full of
/// buffers that are offered.
fn by_fill(rings: &[(ViewRing, RingState)]) -> Option<usize> {
    /// As much as one ring in two that looks the wrong way round.
    const MARGIN: f64 = 0.5;
    let fill: Vec<f64> = rings
        .iter()
        .map(|(ring, state)| {
            let slots = f64::from(1u32 << ring.log2_size);
            (f64::from(state.head.wrapping_sub(state.tail)) / slots).min(1.0)
        })
        .collect();
    // All the same: before the slave has offered, or while all is stuck.
    if fill.iter().all(|f| *f < MARGIN) || fill.iter().all(|f| *f >= MARGIN) {
        return None;
    }
    let wrong = |split: usize| -> f64 {
        let to_master: f64 = fill[..split].iter().sum();
        let to_slave: f64 = fill[split..].iter().map(|f| 1.0 - f).sum();
        to_master + to_slave
    };
    let mut splits: Vec<(f64, usize)> = (1..rings.len()).map(|n| (wrong(n), n)).collect();
    splits.sort_by(|a, b| a.0.total_cmp(&b.0));
    let clear = splits[1].0 - splits[0].0 >= MARGIN && splits[0].0 < MARGIN;
    clear.then_some(splits[0].1)
}

/// The direction and queue of each ring.
pub(super) fn of_rings(count: usize, to_master: Option<usize>) -> Vec<(Option<Direction>, u16)> {
    let number = |n: usize| u16::try_from(n).unwrap_or(u16::MAX);
    (0..count)
        .map(|ring| match to_master {
            None => (None, number(ring)),
            Some(first) if ring < first => (Some(Direction::ToMaster), number(ring)),
            Some(first) => (Some(Direction::ToSlave), number(ring - first)),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rings(counters: &[(u16, u16)]) -> Vec<(ViewRing, RingState)> {
        let ring = ViewRing {
            offset: 0,
            log2_size: 10,
        };
        let state = |&(head, tail): &(u16, u16)| RingState {
            head,
            tail,
            ..RingState::default()
        };
        counters.iter().map(|c| (ring, state(c))).collect()
    }

    #[test]
    fn idle_rings_tell_by_their_fill() {
        let idle = (500, 500);
        let offered = (1024, 0);
        let wrapped = (200u16, 200u16.wrapping_sub(1000));
        for (counters, split) in [
            (vec![idle, offered], Some(1)),
            (vec![idle, offered, offered], Some(1)),
            (vec![idle, idle, wrapped], Some(2)),
            (vec![idle, (520, 500), offered, wrapped], Some(2)),
            // Nothing is offered yet; all is stuck; a nonsense.
            (vec![(0, 0); 4], None),
            (vec![offered; 4], None),
            (vec![offered, idle, offered, idle], None),
        ] {
            assert_eq!(rings_to_master(&rings(&counters)), split, "{counters:?}");
        }
    }

    #[test]
    fn marks_tell_more() {
        // A slave of ours promises on the rings to the master, and marks the others.
        let mut four = rings(&[(0, 0); 4]);
        for ring in &mut four[..3] {
            ring.1.sender_promises = 1;
        }
        four[3].1.slave_marks = 1;
        assert_eq!(rings_to_master(&four), Some(3));
        four[2].1.sender_promises = 0;
        four[2].1.slave_marks = 1;
        assert_eq!(rings_to_master(&four), Some(2));
        // A master of ours with another's slave.
        let mut four = rings(&[(0, 0); 4]);
        for ring in &mut four[1..] {
            ring.1.sender_promises = 1;
        }
        assert_eq!(rings_to_master(&four), Some(1));
    }
}

//! TCP's numbers counted from where a connection began, as tcpdump shows them without `-S`.

use std::collections::HashMap;
use std::net::IpAddr;

/// Connections that are remembered; with one more all are forgotten, so that memory has a bound.
const MOST: usize = 1 << 16;

type End = (IpAddr, u16);

/// Where the numbers of each connection's two ends began, by what has been seen of it.
#[derive(Debug, Default)]
pub(super) struct Connections(HashMap<(End, End), [u32; 2]>);

/// What is to be subtracted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Base {
    pub(super) sequence: u32,
    pub(super) acknowledgment: u32,
    pub(super) sack: u32,
}

impl Connections {
    /// Of a segment that acknowledges. The first one of a connection is shown as it is.
    pub(super) fn base(
        &mut self,
        source: End,
        destination: End,
        syn: bool,
        sequence: u32,
        acknowledgment: u32,
    ) -> Base {
        let forward = source <= destination;
        let (key, own) = if forward {
            ((source, destination), 0)
        } else {
            ((destination, source), 1)
        };
        if let Some(began) = self.0.get(&key)
            && !syn
        {
            return Base {
                sequence: began[own],
                acknowledgment: began[1 - own],
                sack: began[1 - own],
            };
        }
        if self.0.len() >= MOST {
            self.0.clear();
        }
        let mut began = [sequence; 2];
        began[1 - own] = acknowledgment.wrapping_sub(1);
        self.0.insert(key, began);
        Base {
            sack: began[1 - own],
            ..Base::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: End = (IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 1);
    const B: End = (IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 2);

    fn numbers(base: Base) -> (u32, u32) {
        (base.sequence, base.acknowledgment)
    }

    #[test]
    fn both_ends_count_from_the_handshake() {
        let mut known = Connections::default();
        assert_eq!(numbers(known.base(B, A, true, 500, 101)), (0, 0));
        assert_eq!(numbers(known.base(A, B, false, 101, 501)), (100, 500));
        assert_eq!(numbers(known.base(B, A, false, 501, 101)), (500, 100));
        // A new connection on the same ports.
        assert_eq!(numbers(known.base(B, A, true, 9, 8)), (0, 0));
        assert_eq!(numbers(known.base(A, B, false, 8, 10)), (7, 9));
    }

    #[test]
    fn a_connection_whose_beginning_was_missed() {
        let mut known = Connections::default();
        let first = known.base(A, B, false, u32::MAX, 0);
        assert_eq!((numbers(first), first.sack), ((0, 0), u32::MAX));
        let next = known.base(A, B, false, 4, 0);
        assert_eq!(numbers(next), (u32::MAX, u32::MAX));
    }

    #[test]
    fn memory_has_a_bound() {
        let mut known = Connections::default();
        for n in 0..MOST as u32 + 10 {
            let source = (IpAddr::V4(n.into()), 1);
            known.base(source, B, false, 1, 1);
        }
        assert!(known.0.len() <= MOST, "{}", known.0.len());
    }
}

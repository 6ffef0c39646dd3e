//! What only the victim's own program sees of an attack.

use std::fmt::Debug;
use std::time::Duration;

use crate::peer::patience;

/// A victim whose program runs the attack, and can look for itself.
pub trait Inside {
    /// Whether its link is up.
    fn is_link_up(&self) -> bool;

    /// All that it shows of itself: no secret may be in it.
    fn shown(&self) -> String;

    /// Its first queue each way.
    fn queue(&self) -> Box<dyn Queue>;
}

/// How the victim reads and writes.
pub trait Queue: Send {
    /// The next packet, waited for as long as this.
    fn read(&mut self, wait: Duration) -> Result<Vec<u8>, No>;

    /// Sends a packet, at once or not at all.
    fn write(&mut self, packet: &[u8]) -> Result<(), No>;
}

/// Why the victim neither reads nor writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum No {
    /// Nothing to read, no room to write.
    Nothing,
    LinkDown,
    /// The peer broke the protocol in shared memory.
    Violation,
    /// Any other error.
    Other(String),
}

/// A victim's queues as far as they can be reached: with a victim that is only a socket, nothing is
/// read or written, and nothing is checked.
pub(crate) struct Handle(pub(crate) Option<Box<dyn Queue>>);

impl Handle {
    fn check<T: Debug + PartialEq>(
        &mut self,
        wanted: T,
        what: impl FnOnce(&mut dyn Queue) -> T,
    ) -> &mut Self {
        if let Some(queue) = &mut self.0 {
            assert!(what(&mut **queue) == wanted, "wanted: {wanted:?}");
        }
        self
    }

    #[track_caller]
    pub(crate) fn reads(&mut self, packet: &[u8]) -> &mut Self {
        self.check(Ok(packet.to_vec()), |queue| queue.read(patience()))
    }

    /// A packet of this length.
    #[track_caller]
    pub(crate) fn reads_any(&mut self, length: usize) -> &mut Self {
        self.check(Ok(length), |queue| {
            queue.read(patience()).map(|packet| packet.len())
        })
    }

    /// All that is there; how many packets.
    #[track_caller]
    pub(crate) fn reads_all(&mut self) -> usize {
        let mut packets = 0;
        while let Some(queue) = &mut self.0 {
            match queue.read(Duration::ZERO) {
                Ok(_) => packets += 1,
                Err(why) => {
                    assert_eq!(why, No::Nothing);
                    break;
                }
            }
        }
        packets
    }

    #[track_caller]
    pub(crate) fn has_nothing_to_read(&mut self, why: No) -> &mut Self {
        self.check(Err(why), |queue| queue.read(Duration::ZERO))
    }

    #[track_caller]
    pub(crate) fn writes(&mut self, packet: &[u8]) -> &mut Self {
        self.check(Ok(()), |queue| queue.write(packet))
    }

    #[track_caller]
    pub(crate) fn cannot_write(&mut self, packet: &[u8], why: No) -> &mut Self {
        self.check(Err(why), |queue| queue.write(packet))
    }

    /// Writes, and reads all that is there, however that ends.
    pub(crate) fn tries(&mut self, packet: &[u8]) {
        if let Some(queue) = &mut self.0 {
            let _ = queue.write(packet);
        }
        self.empties();
    }

    /// Reads all that is there, however that ends; whether the link is there, and empty.
    pub(crate) fn empties(&mut self) -> bool {
        let Some(queue) = &mut self.0 else {
            return true;
        };
        loop {
            match queue.read(Duration::ZERO) {
                Ok(_) => {}
                Err(why) => return why == No::Nothing,
            }
        }
    }

    /// Reads what came before, then the violation, once, then the link's end.
    #[track_caller]
    pub(crate) fn violated(&mut self, before: &[&[u8]]) {
        for wanted in before {
            self.reads(wanted);
        }
        for why in [No::Violation, No::LinkDown] {
            self.check(Err(why), |queue| queue.read(patience()));
        }
        self.has_nothing_to_read(No::LinkDown);
    }

    /// Writes until the violation is told.
    #[track_caller]
    pub(crate) fn refused_to_write(&mut self) {
        self.check(Err(No::Violation), |queue| {
            loop {
                match queue.write(b"x") {
                    Ok(()) | Err(No::Nothing) => std::thread::yield_now(),
                    end => return end,
                }
            }
        });
    }
}

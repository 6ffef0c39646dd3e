//! Queues: bursts of whole packets, copied between the ring and private memory.

mod burst;
mod rx;
mod tx;

use std::time::Duration;

pub use self::burst::{Burst, BurstIter};
pub use self::rx::RxQueue;
pub use self::tx::TxQueue;
pub(crate) use self::tx::back_off;
use crate::ffi::{
    MEMIF_ERR_DISCONNECTED, MEMIF_ERR_INVAL_ARG, MEMIF_ERR_NOBUF_RING, MEMIF_ERR_SUCCESS,
};
use crate::interface::Inner;
use crate::{Eof, Error};

const SUCCESS: i32 = MEMIF_ERR_SUCCESS as i32;
const NOBUF_RING: i32 = MEMIF_ERR_NOBUF_RING as i32;
const DISCONNECTED: i32 = MEMIF_ERR_DISCONNECTED as i32;
const INVAL_ARG: i32 = MEMIF_ERR_INVAL_ARG as i32;

/// Bytes of a packet that are kept unless a snap length is set, as tcpdump has it.
pub const DEFAULT_SNAPLEN: u32 = 262_144;

/// How a queue's reader learns of packets. Whatever the mode, no system call
/// happens while packets keep coming.
///
/// ```
/// use memif::RxMode;
/// use std::time::Duration;
///
/// assert_eq!(RxMode::default(), RxMode::Interrupt);
/// let adaptive = RxMode::Adaptive { spin: Duration::from_micros(50) };
/// # let _ = adaptive;
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum RxMode {
    /// Waiting sleeps; the peer wakes this side by an eventfd.
    #[default]
    Interrupt,
    /// Waiting spins, a core's whole time; the peer is asked not to interrupt.
    Polling,
    /// Waiting spins for this time and then sleeps.
    Adaptive {
        /// How long to spin.
        spin: Duration,
    },
}

/// How a wait ended.
///
/// ```
/// use std::time::Duration;
///
/// use memif::Wait;
/// # use memif::{Context, MemifConfig, Role};
/// # let context = Context::new("doc")?;
/// # let socket = format!("@memif-doc-wait-{}", std::process::id());
/// # let memif = context.create_interface(MemifConfig::new(&socket).role(Role::Master))?;
///
/// let mut handle = memif.packet_handle(0, 64)?;
/// match handle.wait(Some(Duration::from_secs(1)))? {
///     Wait::Ready => println!("{} bytes", handle.read_packet()?.len()),
///     Wait::TimedOut => println!("the peer is silent"),
///     Wait::LinkDown => println!("nobody is there"),
///     Wait::Closed => println!("closed by another thread"),
/// }
/// # Ok::<(), memif::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// A packet can be read, or there is room to write.
    Ready,
    /// The time is over.
    TimedOut,
    /// The link is down and every packet that had arrived was read.
    LinkDown,
    /// The handle or the interface is closed.
    Closed,
}

/// How long waiting spins before it sleeps, in nanoseconds.
pub(crate) fn spin_of(mode: RxMode) -> u64 {
    match mode {
        RxMode::Interrupt => 0,
        RxMode::Polling => u64::MAX,
        RxMode::Adaptive { spin } => rx::nanos(spin),
    }
}

fn down(inner: &Inner) -> Error {
    if inner.is_closed() {
        Eof::Closed.into()
    } else {
        Eof::LinkDown.into()
    }
}

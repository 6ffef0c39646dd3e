//! Queues: bursts of whole packets, copied between the ring and private memory.

mod burst;
mod rx;
mod tx;
mod wait;

pub use self::burst::{Burst, BurstIter, DEFAULT_SNAPLEN};
pub use self::rx::RxQueue;
pub use self::tx::TxQueue;
pub use self::wait::Wait;

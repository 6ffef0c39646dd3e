//! Queues: bursts of whole packets, copied between the ring and private memory.

mod burst;
mod closer;
mod rx;
mod tx;
mod view;
mod wait;

pub use self::burst::{Burst, BurstIter};
pub use self::closer::Closer;
pub use self::rx::RxQueue;
pub use self::tx::TxQueue;
pub use self::view::{View, ViewIter, Views};
pub use self::wait::Wait;

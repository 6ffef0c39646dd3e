//! smoltcp's device on a memif: its contract, and stacks that talk over it, in one process.

mod contract;
mod link;
mod stack;
mod transfer;

//! Segments that the kernel leaves to a device: what it hands over whole is cut, and what comes in
//! segments is joined before the kernel gets it.
//!
//! The kernel hands over up to 64 KiB of a TCP connection, or several datagrams of the same length,
//! with one header and without a checksum, and takes such frames too. A header before each frame
//! says what is left to do ([`Virtio`]). Nobody else on a link understands that: what crosses a
//! memif are frames with lengths and checksums of their own.

mod frames;
mod joiner;
mod layout;
mod sum;
mod virtio;

#[cfg(test)]
mod tests;

pub(crate) use frames::Frames;
pub(crate) use joiner::{Group, Joiner, Limits};
pub(crate) use virtio::Virtio;

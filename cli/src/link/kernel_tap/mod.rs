//! A Linux TAP device as one end of a bridge: how the kernel's own stack gets onto a memif.

mod device;
mod reader;
mod writer;

pub(crate) use device::{Tap, TapOptions};
pub(crate) use reader::TapReader;
pub(crate) use writer::TapWriter;

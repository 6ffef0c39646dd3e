//! Packets over shared memory.

#![deny(unsafe_code)]

mod error;
mod packet;
#[cfg(feature = "pcap")]
pub mod pcap;

pub use error::{Eof, Error, ErrorKind};
pub use packet::{CaptureInfo, LinkType, Packet, PacketSink, PacketSource, Timestamp};

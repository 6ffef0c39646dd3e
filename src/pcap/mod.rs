//! Capture files: reads and writes pcap and pcapng.
//!
//! A [`PcapWriter`] and a [`PcapNgWriter`] are a [`PacketSink`](crate::PacketSink), and a
//! [`CaptureReader`] is a [`PacketSource`](crate::PacketSource). So a file can be used like a
//! memif: record a link, replay a file, or copy one into the other.
//!
//! ```
//! use memif::pcap::{CaptureReader, PcapWriter};
//! use memif::{LinkType, Packet, PacketSink, PacketSource, Timestamp};
//!
//! # fn main() -> Result<(), memif::Error> {
//! let mut file = Vec::new();
//! let mut writer = PcapWriter::new(&mut file, LinkType::ETHERNET, None)?;
//! let when = Timestamp::from_nanos(1_500_000_000_123_456_789);
//! writer.write_packet(&Packet::whole(&[0xff; 60], when))?;
//! writer.close()?;
//!
//! let mut reader = CaptureReader::new(&file[..])?;
//! for packet in reader.packets() {
//!     let packet = packet?;
//!     println!("{} {} bytes", packet.info().timestamp, packet.len());
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Files that are damaged
//!
//! A reader delivers every packet before the damage. Then it returns one
//! [`Error::Capture`](crate::Error::Capture) with the offset of the record that can't be read, and
//! from then on end of file. If the disk is full, the error of a writer says how many packets are
//! complete in the file. When there is room again, the writer continues at the byte where it
//! stopped.

#[cfg(feature = "compress")]
mod ahead;
mod classic;
mod file;
#[cfg(feature = "filter")]
mod filter;
#[cfg(feature = "compress")]
mod gzip;
mod ng;
mod output;
mod packer;
mod reader;
mod record;
mod records;

pub use classic::write::PcapWriter;
pub use file::{Compression, Effort, FileReader};
#[cfg(feature = "filter")]
pub use filter::Filter;
pub use ng::interface::InterfaceInfo;
pub use ng::write::{InterfaceStatistics, PcapNgWriter};
pub use reader::CaptureReader;
pub use records::RecordFormat;

//! Capture files: what is written, what is read, what damage does.
#![cfg(feature = "pcap")]

#[cfg(feature = "compress")]
mod compressed;
mod damage;
mod files;
mod interop;
mod read_ng;
mod read_pcap;
mod write;
mod write_ng;

use std::fs::File;

#[test]
fn readers_and_writers_may_change_threads() {
    fn may<T: Send + Sync>() {}
    may::<memif::pcap::CaptureReader<File>>();
    may::<memif::pcap::CaptureReader<memif::pcap::FileReader>>();
    may::<memif::pcap::PcapWriter<File>>();
}

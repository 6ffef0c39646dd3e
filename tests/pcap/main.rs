//! Capture files: what is written, what is read, what damage does.
#![cfg(feature = "pcap")]

mod damage;
mod files;
mod interop;
mod read_ng;
mod read_pcap;
mod write;

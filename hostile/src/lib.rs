//! A memif peer that speaks the wire by hand, and may deviate from the protocol at each step.
//!
//! The tests of `memif` and its fuzz targets play the other side with it.

// Most names are those of the protocol.
#![allow(missing_docs)]

pub mod peer;

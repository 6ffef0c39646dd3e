//! See src/rings.rs.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| memif_fuzz::rings::run(data));

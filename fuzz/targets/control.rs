//! See src/control.rs.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| memif_fuzz::control::run(data));

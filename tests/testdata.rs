//! The committed captures are those that the generator writes.

#![cfg(feature = "pcap")]

#[path = "../testdata/generate.rs"]
mod generate;

use std::fs;
use std::path::Path;

#[test]
fn captures_are_what_the_generator_writes() -> Result<(), generate::Error> {
    let committed = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata");
    let fresh = tempfile::tempdir()?;
    generate::write_all(fresh.path())?;
    let mut total = 0;
    for file in fs::read_dir(fresh.path())? {
        let file = file?;
        let bytes = fs::read(file.path())?;
        total += bytes.len();
        // Not assert_eq: it would print both.
        assert!(
            bytes == fs::read(committed.join(file.file_name()))?,
            "{} differs: cargo run --example testdata",
            file.file_name().display()
        );
    }
    assert!((1..100_000).contains(&total), "{total} bytes");
    Ok(())
}

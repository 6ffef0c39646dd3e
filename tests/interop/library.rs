//! Our C library, installed for programs that were built for libmemif.

use std::path::Path;
use std::process::Command;

/// Installs it into `dir/prefix`.
pub(crate) fn install(dir: &Path) {
    let out = Command::new("make")
        .args([
            "-s",
            "-C",
            concat!(env!("CARGO_MANIFEST_DIR"), "/vendor/libmemif"),
            "install",
        ])
        .arg(format!("BUILD={}", dir.join("build").display()))
        .arg(format!("PREFIX={}", dir.join("prefix").display()))
        .arg("CC=cc")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{said}");
}

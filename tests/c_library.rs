//! The C library by itself: its own tests, its symbols, and a program built against what it installs.

use std::path::Path;
use std::process::{Command, Stdio};

/// Whether all are there; says which is missing.
fn installed(programs: &[&str]) -> bool {
    let missing = |program: &&&str| {
        let run = Command::new(program)
            .arg("--version")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        run.is_err()
    };
    match programs.iter().find(missing) {
        None => true,
        Some(program) => {
            let required = std::env::var_os("MEMIF_REQUIRE_INTEROP").is_some_and(|v| v == "1");
            assert!(!required, "{program} is not installed");
            println!("skipped: {program} is not installed");
            false
        }
    }
}

fn make(target: &str) {
    let build = Path::new(env!("CARGO_TARGET_TMPDIR")).join("libmemif");
    let out = Command::new("make")
        .args([
            "-s",
            "-C",
            concat!(env!("CARGO_MANIFEST_DIR"), "/vendor/libmemif"),
        ])
        .arg(format!("BUILD={}", build.display()))
        .args(["CC=cc", target])
        .env_remove("MAKEFLAGS")
        .env_remove("CFLAGS")
        .output()
        .unwrap();
    let said = [&out.stdout[..], &out.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(out.status.success(), "make {target}:\n{said}");
    println!("{said}");
}

#[test]
fn the_tests_in_c_pass() {
    if installed(&["make", "cc"]) {
        make("check");
    }
    // Not beside it: both build the same files.
    if installed(&["make", "cc", "nm", "pkg-config"]) {
        make("check-install");
    }
}

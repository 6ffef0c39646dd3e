//! The C library by itself: its own tests, its symbols, and a program built against what it
//! installs.

#[path = "common/mod.rs"]
mod common;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

use memif::{Context, MemifConfig, Role};

use common::{LONG, assert_same, is_long, pattern, socket, up};

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
            let required =
                std::env::var_os("MEMIF_REQUIRE_INTEROP").is_some_and(|v| v == "1" || v == "all");
            assert!(!required, "{program} is not installed");
            println!("skipped: {program} is not installed");
            false
        }
    }
}

fn build() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("libmemif")
}

fn make(target: &str) {
    let build = build();
    let mut command = Command::new("make");
    if !is_long() {
        command.envs([("CHURN_ROUNDS", "1000"), ("THREADS_PACKETS", "100000")]);
    }
    let out = command
        .args([
            "-sj2",
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

/// Builds go into one folder.
fn one_at_a_time() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

#[test]
fn the_tests_in_c_pass() {
    let _turn = one_at_a_time();
    if installed(&["make", "cc"]) {
        make("check");
    }
}

#[test]
fn what_is_installed_works_and_exports_memif_names_only() {
    let _turn = one_at_a_time();
    if installed(&["make", "cc", "nm", "pkg-config"]) {
        make("check-install");
    }
}

/// The peer's buffers lie in memory that its program brought, in an order of its own.
#[test]
fn a_c_program_s_external_region_works_with_a_packet_handle() {
    let turn = one_at_a_time();
    if !installed(&["make", "cc"]) {
        return;
    }
    let program = build().join("obj/external_peer");
    make(program.to_str().unwrap());
    drop(turn);
    let socket = socket();
    let context = Context::new("test").unwrap();
    let memif = MemifConfig::new(&socket).role(Role::Master);
    let memif = context.create_interface(memif).unwrap();
    let mut peer = Command::new(program).arg(&socket).spawn().unwrap();
    up(&memif);
    let mut handle = memif.packet_handle(0).unwrap().with_burst(16);
    for n in 0..5_000u64 {
        let packet = pattern(n, 1 + (n as usize * 37) % 9000);
        handle.write_packet_timeout(&packet, Some(LONG)).unwrap();
        let back = handle.read_packet_timeout(Some(LONG)).unwrap();
        assert_same(&back, &packet, n);
    }
    memif.close();
    assert!(peer.wait().unwrap().success());
}

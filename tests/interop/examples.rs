//! The two ICMP responders among the examples answer the kernel's ping, by `memif bridge` and a TAP.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::command::{Namespace, Running};
use crate::peers::{PATIENCE, installed, one_at_a_time, wait_until};

/// Ended with its owner.
struct Example(Child);

impl Drop for Example {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// `cargo test` builds the examples; `cargo test --test interop` alone does not.
fn example(name: &str) -> Option<PathBuf> {
    let program = Path::new(env!("CARGO_BIN_EXE_memif"));
    let program = program.with_file_name("examples").join(name);
    if program.exists() {
        return Some(program);
    }
    assert!(
        std::env::var_os("MEMIF_REQUIRE_INTEROP").is_none_or(|v| v != "1"),
        "the example {name} is not built"
    );
    eprintln!("skipped: the example {name} is not built");
    None
}

fn answers_ping(name: &str) {
    let Some(program) = example(name) else { return };
    if !installed(&["ip", "ping"]) {
        return;
    }
    let _turn = one_at_a_time();
    let Some(namespace) = Namespace::new() else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("s").display().to_string();
    let bridge = format!("memif:{socket},role=master");
    let bridge = Running::start(Some(&namespace), &["bridge", "tap:mf0", &bridge]);
    let responder = Command::new(program)
        .args(["--slave", "--socket", &socket, "--ip", "10.8.0.1"])
        .stdout(Stdio::null())
        .spawn();
    let _responder = Example(responder.unwrap());
    bridge.says("connected to");
    assert!(wait_until(PATIENCE, || namespace.ip("addr add 10.8.0.2/24 dev mf0")));
    let ping = |args: &str| {
        let out = namespace.command("ping").args(args.split(' ')).output();
        let out = out.unwrap();
        (
            out.status.success(),
            String::from_utf8_lossy(&out.stdout).into_owned(),
        )
    };
    // The way may take a moment to open.
    assert!(wait_until(PATIENCE, || ping("-c 1 -W 1 10.8.0.1").0));
    for size in [0, 56, 1400] {
        let (_, said) = ping(&format!("-q -c 50 -i 0.01 -s {size} 10.8.0.1"));
        assert!(said.contains("50 received, 0% packet loss"), "{said}");
    }
    // Nobody has this address.
    assert!(!ping("-c 1 -W 1 10.8.0.3").0);
}

#[test]
fn icmp_responder_answers_the_kernel_s_ping() {
    answers_ping("icmp_responder");
}

#[test]
fn packet_responder_answers_the_kernel_s_ping() {
    answers_ping("packet_responder");
}

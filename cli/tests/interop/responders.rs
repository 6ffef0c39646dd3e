//! The library's ICMP responders answer the kernel's ping, by `memif bridge` and a TAP.

use std::process::{Child, Command, Stdio};

use crate::command::Scene;
use crate::peers::{PATIENCE, example, wait_until};

/// Ended with its owner.
struct Example(Child);

impl Drop for Example {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn answers_ping(name: &str) {
    let Some(program) = example(name) else { return };
    let Some(scene) = Scene::new(&["ip", "ping"]) else {
        return;
    };
    let namespace = &scene.namespace;
    let bridge = scene.bridge("tap:mf0", &[]);
    let responder = Command::new(program)
        .args(["--slave", "--socket", &scene.socket, "--ip", "10.8.0.1"])
        .stdout(Stdio::null())
        .spawn();
    let _responder = Example(responder.unwrap());
    bridge.says("connected to");
    assert!(wait_until(PATIENCE, || namespace.ip("addr add 10.8.0.2/24 dev mf0")));
    // The way may take a moment to open.
    assert!(wait_until(PATIENCE, || namespace.reaches("10.8.0.1")));
    for size in [0, 56, 1400] {
        namespace.pings(50, &format!("-s {size}"), "10.8.0.1");
    }
    // Nobody has this address.
    assert!(!namespace.reaches("10.8.0.3"));
}

#[test]
fn icmp_responder_answers_the_kernel_s_ping() {
    answers_ping("icmp_responder");
}

#[test]
fn packet_responder_answers_the_kernel_s_ping() {
    answers_ping("packet_responder");
}

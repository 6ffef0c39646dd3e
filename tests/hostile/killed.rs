//! Peers that are killed: processes of their own, at each step of a handshake.

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, ExitCode, Stdio};

use memif_hostile::peer::*;

/// Goes as far as it is told, says so, and waits to be killed.
pub(crate) fn child(role: &str, socket: &str, step: &str) -> ExitCode {
    let step: usize = step.parse().unwrap();
    let link;
    let wire;
    if role == "slave" {
        wire = Wire::connect(socket);
        wire.expect(HELLO);
        for step in &Plan::new(0).steps[..step] {
            step.send(&wire).unwrap();
            wire.receive().unwrap();
        }
        println!("there");
    } else {
        let raw = Master::listen(socket);
        link = raw.go(STAGES[step]);
        println!("there, with {} regions", link.regions.len());
    }
    // Until the end of the one who waits for us, at the latest.
    let _ = std::io::stdin().read(&mut [0]);
    ExitCode::SUCCESS
}

pub(crate) const STAGES: [Stage; 6] = [
    Stage::Accepted,
    Stage::Init,
    Stage::Region,
    Stage::Ring,
    Stage::Connect,
    Stage::Up,
];

/// Such a process goes up to its step, and is killed.
pub(crate) fn killed_at(role: &str, socket: &str, step: usize) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--child", role, socket, &step.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut said = BufReader::new(child.stdout.take().unwrap());
    said.read_line(&mut line).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(line.starts_with("there"), "the child came to step {step}");
}

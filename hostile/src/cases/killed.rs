//! Peers that are killed: processes of their own, at each step of a handshake.

use std::io::{BufRead, BufReader, Read};
use std::process::ExitCode;

use crate::child;
use crate::peer::*;
use crate::target::{Role, Target};

/// Goes as far as it is told, says so, and waits to be killed.
pub(crate) fn peer(target: &Target, step: usize) -> ExitCode {
    let link;
    let wire;
    match target.role {
        Role::Master => {
            wire = Wire::connect(&target.socket);
            wire.expect(HELLO);
            for step in &target.plan().steps[..step] {
                step.send(&wire).unwrap();
                wire.receive().unwrap();
            }
            println!("there");
        }
        Role::Slave => {
            link = target.go(STAGES[step]);
            println!("there, with {} regions", link.regions.len());
        }
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
pub(crate) fn killed_at(target: &Target, step: usize) {
    let mut child = child::start(target, &["killed", &step.to_string()]);
    let mut line = String::new();
    let mut said = BufReader::new(child.stdout.take().unwrap());
    said.read_line(&mut line).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(line.starts_with("there"), "the child came to step {step}");
}

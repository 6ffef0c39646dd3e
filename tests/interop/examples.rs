//! The examples of the Go adapter's subjects as two processes, in both roles.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use crate::peers::{PATIENCE, example, one_at_a_time, wait_until};

/// Ended with its owner.
struct Example(Child);

impl Drop for Example {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// One end of a pair of examples; what it says goes to a file.
struct End {
    example: Example,
    said: PathBuf,
}

impl End {
    fn start(program: &Path, dir: &Path, role: &str, more: &[&str]) -> Self {
        let said = dir.join(role);
        let file = File::create(&said).unwrap();
        let child = Command::new(program)
            .args([&format!("--{role}"), "--socket"])
            .arg(dir.join("s"))
            .args(more)
            .stdout(file.try_clone().unwrap())
            .stderr(file)
            .spawn();
        Self {
            example: Example(child.unwrap()),
            said,
        }
    }

    fn said(&self) -> String {
        fs::read_to_string(&self.said).unwrap()
    }

    #[track_caller]
    fn says_all(&self, lines: &[String]) {
        let all = || lines.iter().all(|line| self.said().contains(line.as_str()));
        assert!(wait_until(PATIENCE, all), "{lines:?}:\n{}", self.said());
    }

    #[track_caller]
    fn ends_well(&mut self) {
        let ended = || self.example.0.try_wait().unwrap().is_some();
        assert!(wait_until(PATIENCE, ended), "it goes on");
        assert!(self.example.0.wait().unwrap().success(), "{}", self.said());
    }
}

const ROLES: [(&str, &str); 2] = [("master", "slave"), ("slave", "master")];

#[test]
fn raw_data_crosses_on_every_queue_both_ways_and_ends_with_its_peer() {
    let Some(program) = example("raw_data") else {
        return;
    };
    let _turn = one_at_a_time();
    let lines: Vec<_> = (0..2)
        .flat_map(|burst| (0..3).map(move |queue| (burst, queue)))
        .flat_map(|(burst, queue)| {
            (0..4).map(move |n| format!("packet {n} of burst {burst} on queue {queue}\n"))
        })
        .collect();
    for (stays, leaves) in ROLES {
        let dir = tempfile::tempdir().unwrap();
        let mut stays = End::start(&program, dir.path(), stays, &[]);
        let leaves = End::start(&program, dir.path(), leaves, &[]);
        stays.says_all(&lines);
        leaves.says_all(&lines);
        drop(leaves);
        stays.ends_well();
    }
}

fn answers_icmp_responder(name: &str) {
    let (Some(program), Some(asker)) = (example(name), example("icmp_responder")) else {
        return;
    };
    let _turn = one_at_a_time();
    for (responder, asking) in ROLES {
        let dir = tempfile::tempdir().unwrap();
        let mut responder = End::start(&program, dir.path(), responder, &[]);
        let mut asker = End::start(&asker, dir.path(), asking, &["--ping"]);
        asker.ends_well();
        let pings: Vec<_> = (1..=5).map(|n| format!("ping {n} was answered")).collect();
        asker.says_all(&pings);
        responder.ends_well();
        responder.says_all(&["6 answers".to_owned()]); // five, and one of ARP
    }
}

#[test]
fn icmp_responder_answers_itself() {
    answers_icmp_responder("icmp_responder");
}

#[test]
fn packet_responder_answers_icmp_responder() {
    answers_icmp_responder("packet_responder");
}

#[test]
fn jumbo_frames_arrive_whole_whoever_starts_first() {
    let Some(program) = example("jumbo_frames") else {
        return;
    };
    let _turn = one_at_a_time();
    for (first, second) in ROLES {
        let dir = tempfile::tempdir().unwrap();
        let mut ends = [first, second].map(|role| End::start(&program, dir.path(), role, &[]));
        ends.iter_mut().for_each(End::ends_well);
        let master = ends.iter().find(|end| end.said.ends_with("master"));
        let said = master.unwrap().said();
        assert_eq!(said.matches(": right").count(), 18, "{said}");
        assert!(
            said.contains("62986 bytes, at least 31 buffers: right"),
            "{said}"
        );
    }
}

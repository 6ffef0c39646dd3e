//! The ICMP responders of libmemif and gomemif, asked by our example `icmp_responder`.
//!
//! MEMIF_LIBMEMIF and MEMIF_GOMEMIF name theirs, `icmp_responder` and `icmp-responder-cb`.

use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::peers::{PATIENCE, example, one_at_a_time, program, wait_until};

struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

const ROLES: [(&str, &str); 2] = [("slave", "master"), ("master", "slave")];

/// Asks the responder that this starts, in these roles of it and us.
fn answers(roles: &[(&str, &str)], start: impl Fn(&Path, &str, &str) -> Command) {
    let Some(asker) = example("icmp_responder") else {
        return;
    };
    let _turn = one_at_a_time();
    for (role, ours) in roles {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("s").display().to_string();
        let said = dir.path().join("said");
        let log = File::create(&said).unwrap();
        let begin = || {
            let mut command = start(dir.path(), role, &socket);
            let (out, err) = (log.try_clone().unwrap(), log.try_clone().unwrap());
            command.current_dir(dir.path()).stdin(Stdio::piped());
            let mut child = command.stdout(out).stderr(err).spawn().unwrap();
            use std::io::Write;
            // gomemif's is started by a word; it ends with its input.
            let mut input = child.stdin.take().unwrap();
            let _ = input.write_all(b"start\n");
            (Ended(child), input)
        };
        let mut responder = (*role == "master").then(begin);
        if responder.is_some() {
            assert!(wait_until(PATIENCE, || Path::new(&socket).exists()));
        }
        let asked = File::create(dir.path().join("asked")).unwrap();
        let mut asker = Ended(
            Command::new(&asker)
                .args([&format!("--{ours}"), "--ping", "--socket", &socket])
                .stdout(asked.try_clone().unwrap())
                .stderr(asked)
                .spawn()
                .unwrap(),
        );
        if responder.is_none() {
            assert!(wait_until(PATIENCE, || Path::new(&socket).exists()));
            responder = Some(begin());
        }
        let ended = wait_until(PATIENCE, || asker.0.try_wait().unwrap().is_some());
        let text = std::fs::read_to_string(dir.path().join("asked")).unwrap();
        let theirs = String::from_utf8_lossy(&std::fs::read(&said).unwrap()).into_owned();
        assert!(ended, "{role}: {text}{theirs}");
        for ping in 1..=5 {
            let line = format!("ping {ping} was answered");
            assert!(text.contains(&line), "{role}: {text}{theirs}");
        }
        drop(responder);
    }
}

#[test]
fn libmemif_s_responder_answers() {
    let Some(responder) = program("MEMIF_LIBMEMIF", "icmp_responder") else {
        return;
    };
    answers(&ROLES, |_, role, socket| {
        let mut command = Command::new(&responder);
        command.args(["-r", role, "-s", socket, "-i", "0", "-a", "192.168.1.1"]);
        command
    });
}

#[test]
fn gomemif_s_responder_answers() {
    let Some(responder) = program("MEMIF_GOMEMIF", "icmp-responder-cb") else {
        return;
    };
    // As master it wants more queues than the example has.
    answers(&ROLES[..1], |_, role, socket| {
        let mut command = Command::new(&responder);
        command.args(["-role", role, "-socket", socket, "-name", "gomemif"]);
        command
    });
}

//! Processes of this program that play another peer: one that is killed, for example.

use std::env;
use std::process::{Child, Command, ExitCode, Stdio};

use crate::beside;
use crate::cases::{fuse, killed};
use crate::target::{Role, Target};

/// Plays the peer that this process was started as. Every program that runs cases calls it first,
/// and ends with the code if there is one.
pub fn child() -> Option<ExitCode> {
    let args: Vec<String> = env::args().skip(1).collect();
    let [mark, role, socket, id, secret, what @ ..] = &args[..] else {
        return None;
    };
    if mark != "--child" {
        return None;
    }
    let role = match role.as_str() {
        "master" => Role::Master,
        _ => Role::Slave,
    };
    let target = Target::new(role, socket).with(id.parse().unwrap(), Some(secret));
    match what.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["killed", step] => Some(killed::peer(&target.listening(), step.parse().unwrap())),
        ["fuse", folder] => Some(fuse::daemon(folder)),
        ["beside", control] => Some(beside::main(&target.listening(), control)),
        _ => panic!("a child that does {what:?}"),
    }
}

/// Starts one against the same victim. It ends with its standard input, at the latest.
pub(crate) fn start(target: &Target, what: &[&str]) -> Child {
    Command::new(env::current_exe().unwrap())
        .args(["--child", &target.role.to_string(), &target.socket])
        .args([
            &target.id.to_string(),
            target.secret.as_deref().unwrap_or_default(),
        ])
        .args(what)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

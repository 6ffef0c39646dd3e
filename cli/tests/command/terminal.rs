//! As people type it: a shell on a terminal, which is tmux's.

use std::process::Command;

use crate::packets::{read, write_numbered};
use crate::process::{MEMIF, Place, installed, wait_until};
use crate::replay::{start_capture, start_replay};

/// A shell on a terminal of its own server, gone when dropped.
struct Terminal {
    socket: String,
}

impl Terminal {
    /// `None`, with the reason printed, where tmux is not installed.
    fn new(place: &Place) -> Option<Self> {
        if !installed(&["tmux"]) {
            return None;
        }
        let this = Self {
            socket: place.text("tmux"),
        };
        let shell = format!("env PS1='ready> ' PATH={}:$PATH sh", folder(MEMIF));
        let started = this.tmux(&[
            "-f",
            "/dev/null",
            "new-session",
            "-d",
            "-x",
            "200",
            "-y",
            "50",
            &shell,
        ]);
        assert!(started.0, "{}", started.1);
        this.wait("ready>");
        Some(this)
    }

    fn tmux(&self, args: &[&str]) -> (bool, String) {
        let out = Command::new("tmux")
            .args(["-S", &self.socket])
            .args(args)
            .env_remove("TMUX")
            .output()
            .unwrap();
        let text = [out.stdout, out.stderr].concat();
        (
            out.status.success(),
            String::from_utf8_lossy(&text).into_owned(),
        )
    }

    /// A line, and Enter.
    fn enter(&self, line: &str) {
        assert!(self.tmux(&["send-keys", "-l", line]).0);
        self.key("Enter");
    }

    fn key(&self, key: &str) {
        assert!(self.tmux(&["send-keys", key]).0);
    }

    fn shown(&self) -> String {
        self.tmux(&["capture-pane", "-p", "-J", "-S", "-"]).1
    }

    #[track_caller]
    fn wait(&self, words: &str) -> String {
        wait_until(words, || self.shown().contains(words));
        self.shown()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.tmux(&["kill-server"]);
    }
}

fn folder(program: &str) -> &str {
    program.rsplit_once('/').unwrap().0
}

#[test]
fn control_c_ends_it_with_counts() {
    let place = Place::new();
    let Some(terminal) = Terminal::new(&place) else {
        return;
    };
    let (socket, file) = (place.socket(), place.text("in.pcap"));
    write_numbered(&file, 0, 5, &[64]);
    terminal.enter(&format!(
        "memif capture -s {socket} --role master -e; echo code $?."
    ));
    terminal.wait("waiting:");
    start_replay(&place, "slave", &[&file]).finish().good();
    // Each line at once, as on a terminal.
    terminal.wait("ethertype Unknown (0x88b5), length 64");
    terminal.key("C-c");
    let shown = terminal.wait("code 0.");
    assert!(shown.contains("5 packets received, 320 bytes"), "{shown}");
    assert!(shown.contains("5 packets printed"), "{shown}");
}

#[test]
fn head_ends_it_though_no_more_packets_come() {
    let place = Place::new();
    let Some(terminal) = Terminal::new(&place) else {
        return;
    };
    let (socket, file) = (place.socket(), place.text("in.pcap"));
    write_numbered(&file, 0, 20, &[64]);
    terminal.enter(&format!(
        "memif capture -s {socket} --role master -l | head -n 3; echo done $?."
    ));
    terminal.wait("waiting:");
    let replay = start_replay(&place, "slave", &["--topspeed", &file]);
    let shown = terminal.wait("done 0.");
    replay.finish();
    // A packet's line, and two of its bytes.
    assert_eq!(shown.matches("ethertype Unknown").count(), 1, "{shown}");
    assert!(
        shown.contains("0x0010:") && !shown.contains("0x0020:"),
        "{shown}"
    );
    assert!(!shown.to_lowercase().contains("broken pipe"), "{shown}");
}

#[test]
fn a_pipe_into_another_program() {
    let place = Place::new();
    let Some(terminal) = Terminal::new(&place) else {
        return;
    };
    if !installed(&["tshark"]) {
        return;
    }
    let (socket, file) = (place.socket(), place.text("in.pcap"));
    write_numbered(&file, 0, 7, &[64]);
    terminal.enter(&format!(
        "memif capture -s {socket} --role master -c 7 -w - | tshark -l -r - -T fields -e frame.len -e frame.interface_name; echo done $?."
    ));
    terminal.wait("waiting:");
    start_replay(&place, "slave", &["--topspeed", &file])
        .finish()
        .good();
    let shown = terminal.wait("done 0.");
    assert_eq!(
        shown.matches("64\tmemif0").count() + shown.matches("64      memif0").count(),
        7,
        "{shown}"
    );
}

#[test]
fn in_the_background_it_goes_on_until_it_is_stopped() {
    let place = Place::new();
    let Some(terminal) = Terminal::new(&place) else {
        return;
    };
    let (socket, file, out) = (
        place.socket(),
        place.text("in.pcap"),
        place.text("out.pcapng"),
    );
    write_numbered(&file, 0, 5, &[64]);
    terminal.enter(&format!(
        "memif capture -s {socket} --role master -w {out} &"
    ));
    terminal.wait("waiting:");
    // Of the shell's own line.
    terminal.key("C-c");
    start_replay(&place, "slave", &["--topspeed", &file])
        .finish()
        .good();
    terminal.wait("disconnected");
    terminal.enter("kill $!; wait $!; echo code $?.");
    let shown = terminal.wait("code 0.");
    assert!(shown.contains("5 packets written to"), "{shown}");
    assert_eq!(read(&out).len(), 5);
}

#[test]
fn wrong_options_are_told_with_what_is_right() {
    let place = Place::new();
    let Some(terminal) = Terminal::new(&place) else {
        return;
    };
    for (line, says) in [
        ("memif capture -s x --snaplenn 5", "--snaplen"),
        ("memif capture", "--socket"),
        ("memif capture -s x -w -", "is a terminal"),
        ("memif capture -s x -c none", "none"),
        ("memif capturee -s x", "capture"),
    ] {
        terminal.enter(&format!("clear; {line}; echo code $?."));
        let shown = terminal.wait("code 2.");
        assert!(shown.contains(says), "{line}: {shown}");
        terminal.enter("clear");
        wait_until("a clear screen", || !terminal.shown().contains("code 2."));
    }
}

#[test]
fn a_replay_shows_how_far_it_is() {
    let place = Place::new();
    let Some(terminal) = Terminal::new(&place) else {
        return;
    };
    let (socket, file) = (place.socket(), place.text("in.pcap"));
    write_numbered(&file, 0, 1_000_000, &[64]);
    let _capture = start_capture(&place, "slave", &["-w", "/dev/null"]);
    terminal.enter(&format!(
        "memif replay -s {socket} --role master --pps 2000 {file}; echo code $?."
    ));
    wait_until("a bar with rate and time left", || {
        terminal.shown().lines().any(|line| {
            line.contains("% ") && line.contains(" packets/s, ") && line.contains(" left")
        })
    });
    terminal.key("C-c");
    let shown = terminal.wait("code 0.");
    assert!(shown.contains("rated: "), "{shown}");
}

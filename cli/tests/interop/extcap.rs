//! A memif as a capture interface of tshark.

use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use nix::fcntl::{FcntlArg, OFlag};
use nix::sys::stat::Mode;

use crate::command::MEMIF;
use crate::peers::{Testpmd, installed, one_at_a_time, output, there};

/// A home with the command linked into it, as users have after `memif extcap --install`.
pub(crate) fn home() -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    let said = with_home("memif", home.path(), &["extcap", "--install"]);
    assert!(said.status.success(), "{}", text(&said.stderr));
    assert!(
        text(&said.stderr).contains("linked "),
        "{}",
        text(&said.stderr)
    );
    home
}

pub(crate) fn with_home(program: &str, home: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(MEMIF);
    if program != "memif" {
        command = Command::new("timeout");
        command.args(["60", program]); // only a hang takes so long
    }
    command
        .args(args)
        .env("HOME", home)
        .env_remove("XDG_CONFIG_HOME")
        .env_remove("MEMIF_SECRET")
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn tshark_lists_the_interface_until_it_is_removed() {
    if !installed(&["tshark"]) {
        return;
    }
    let home = home();
    let listed = text(&with_home("tshark", home.path(), &["-D"]).stdout);
    let line = listed.lines().find(|line| line.contains(" memif "));
    let line = line.unwrap_or_else(|| panic!("{listed}"));
    assert!(line.ends_with("(Shared memory packet interface)"), "{line}");
    let types = with_home("tshark", home.path(), &["-i", "memif", "-L"]);
    assert!(
        text(&types.stdout).contains("EN10MB (Ethernet)"),
        "{types:?}"
    );

    // Once more does no harm.
    assert!(
        with_home("memif", home.path(), &["extcap", "--install"])
            .status
            .success()
    );
    let removed = with_home("memif", home.path(), &["extcap", "--remove"]);
    assert!(removed.status.success(), "{}", text(&removed.stderr));
    let listed = text(&with_home("tshark", home.path(), &["-D"]).stdout);
    assert!(
        !listed.lines().any(|line| line.contains(" memif ")),
        "{listed}"
    );
}

#[test]
fn what_is_there_and_no_link_is_left_alone() {
    let home = tempfile::tempdir().unwrap();
    // Both, as it depends on Wireshark's version which one is used.
    for folder in [".config/wireshark/extcap", ".local/lib/wireshark/extcap"] {
        fs::create_dir_all(home.path().join(folder)).unwrap();
        fs::write(home.path().join(folder).join("memif"), "mine").unwrap();
    }
    for what in ["--install", "--remove"] {
        let said = with_home("memif", home.path(), &["extcap", what]);
        assert_eq!(said.status.code(), Some(1));
        assert!(
            text(&said.stderr).contains("not a symbolic link"),
            "{}",
            text(&said.stderr)
        );
    }
}

#[test]
fn tshark_captures_from_testpmd() {
    from_testpmd(&[]);
}

#[test]
fn tshark_captures_from_testpmd_with_a_filter() {
    from_testpmd(&["-f", "udp port 9"]);
}

fn from_testpmd(filter: &[&str]) {
    if !installed(&["dpdk-testpmd", "tshark", "capinfos"]) {
        return;
    }
    let _turn = one_at_a_time();
    let home = home();
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("memif.sock").display().to_string();
    let file = dir.path().join("out.pcapng").display().to_string();
    let _testpmd = Testpmd::start(dir.path(), "server", &socket, "", "txonly", &[]);
    let option = format!("extcap.memif.socket:{socket}");
    let mut args = vec!["-i", "memif", "-o", &option, "-c", "100", "-w", &file];
    args.extend(filter);
    let tshark = with_home("tshark", home.path(), &args);
    let said = text(&tshark.stderr);
    assert!(tshark.status.success(), "{said}");
    assert!(!said.contains("Error"), "{said}");
    let about = output("capinfos", &["-M", &file]);
    assert!(about.contains("Number of packets:   100"), "{about}");
    assert!(about.contains("nanoseconds (9)"), "{about}");
    let ports = output(
        "tshark",
        &["-r", &file, "-T", "fields", "-e", "udp.dstport"],
    );
    assert_eq!(ports, "9\n".repeat(100));
}

#[test]
fn a_filter_that_nothing_passes_gives_nothing() {
    if !installed(&["dpdk-testpmd", "tshark"]) {
        return;
    }
    let _turn = one_at_a_time();
    let home = home();
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("memif.sock").display().to_string();
    let _testpmd = Testpmd::start(dir.path(), "server", &socket, "", "txonly", &[]);
    let option = format!("extcap.memif.socket:{socket}");
    let args = [
        "-i",
        "memif",
        "-o",
        &option,
        "-a",
        "duration:2",
        "-f",
        "tcp",
    ];
    let tshark = with_home("tshark", home.path(), &args);
    assert!(tshark.status.success(), "{}", text(&tshark.stderr));
    assert_eq!(text(&tshark.stdout), "");
}

#[test]
fn tshark_shows_what_is_wrong() {
    if !installed(&["tshark"]) {
        return;
    }
    let home = home();
    // No socket, and one in a folder that is not there.
    for (options, says) in [
        (&[][..], "no control socket"),
        (
            &[
                "-o",
                "extcap.memif.socket:/missing/x",
                "-o",
                "extcap.memif.role:master",
            ],
            "/missing/x",
        ),
    ] {
        let args = [&["-i", "memif", "-c", "1"][..], options].concat();
        let tshark = with_home("tshark", home.path(), &args);
        let said = text(&tshark.stderr);
        let told = said
            .lines()
            .find(|line| line.contains("Error by extcap pipe"));
        assert!(
            told.is_some_and(|line| line.contains(says)),
            "{says}: {said}"
        );
    }
}

/// tshark shows what it has read when the fifo ends, so by then all must have been said.
#[test]
fn the_error_is_told_before_the_fifo_ends() {
    let dir = tempfile::tempdir().unwrap();
    let fifo = dir.path().join("fifo");
    nix::unistd::mkfifo(&fifo, Mode::S_IRWXU).unwrap();
    for (options, says) in [
        (&[][..], "no control socket"),
        (&["--socket", "/missing/x", "--role=master"], "/missing/x"),
        (&["--socket", "/missing/x", "--snaplen", "none"], "snaplen"),
    ] {
        let mut memif = Command::new(MEMIF)
            .args(["--capture", "--extcap-interface", "memif", "--fifo"])
            .arg(&fifo)
            .args(options)
            .env_remove("MEMIF_SECRET")
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        fs::read(&fifo).unwrap();
        let mut stderr = memif.stderr.take().unwrap();
        let flags = OFlag::O_NONBLOCK;
        nix::fcntl::fcntl(&stderr, FcntlArg::F_SETFL(flags)).unwrap();
        let mut said = [0; 4096];
        let read = stderr.read(&mut said).unwrap_or(0);
        let said = text(&said[..read]);
        assert!(said.contains(says) && said.ends_with('\n'), "{said:?}");
        assert!(!memif.wait().unwrap().success());
    }
}

/// What Wireshark asks for and tshark does not.
#[test]
fn the_calls_of_wireshark() {
    let call = |args: &[&str]| {
        let out = Command::new(MEMIF).args(args).output().unwrap();
        assert!(
            out.status.success() && out.stderr.is_empty(),
            "{args:?} {out:?}"
        );
        text(&out.stdout)
    };
    let list = call(&[
        "--extcap-interfaces",
        "--extcap-version=4.0",
        "--extcap-of-tomorrow",
    ]);
    assert!(list.starts_with("extcap {version="), "{list}");
    let form = call(&["--extcap-config", "--extcap-interface", "memif"]);
    for option in [
        "socket", "id", "role", "secret", "mode", "snaplen", "rx-mode",
    ] {
        assert!(form.contains(&format!("{{call=--{option}}}")), "{form}");
    }
    let check = |filter| {
        call(&[
            "--extcap-capture-filter",
            filter,
            "--extcap-interface",
            "memif",
        ])
    };
    if there("libpcap", !check("udp").contains("libpcap, which is not")) {
        assert_eq!(check("udp port 9"), "");
        assert!(check("udp prt 9").contains("syntax error"));
    }
    let other = Command::new(MEMIF)
        .args(["--extcap-config", "--extcap-interface", "eth0"])
        .output()
        .unwrap();
    assert!(!other.status.success());
}

/// Wireshark shows what went wrong only once its user has stopped it.
#[test]
fn a_capture_that_is_stopped_says_why_there_was_no_link() {
    if !installed(&["bash", "sleep"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let fifo = dir.path().join("fifo");
    nix::unistd::mkfifo(&fifo, Mode::S_IRUSR | Mode::S_IWUSR).unwrap();
    let socket = dir.path().join("nobody.sock");
    let script = r#""$0" --capture --extcap-interface memif --fifo "$1" --socket "$2" & exec 3<"$1"
        sleep 1; kill $!; wait $!; echo "code $?" >&2"#;
    let out = Command::new("bash")
        .args(["-c", script, MEMIF])
        .args([&fifo, &socket])
        .output();
    let said = text(&out.unwrap().stderr);
    assert!(
        said.contains("nobody listens on ") && said.contains("code 1"),
        "{said}"
    );
}

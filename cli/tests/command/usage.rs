//! Wrong usage: exit code 2, and a line that names what was given.

use crate::packets::write_numbered;
use crate::process::{Place, run};

#[test]
fn options_out_of_range() {
    let place = Place::new();
    let (socket, file) = (place.socket(), place.text("in.pcap"));
    write_numbered(&file, 0, 1, &[64]);
    for (option, value) in [
        ("--queues", "0"),
        ("--queues", "256"),
        ("--queues", "two"),
        ("--ring-size", "0"),
        ("--ring-size", "15"),
        ("--buffer-size", "63"),
        ("--buffer-size", "65536"),
        ("--role", "boss"),
        ("--mode", "token-ring"),
        ("--id", "-1"),
        ("--id", "4294967296"),
        ("--timeout", "soon"),
        ("--timeout", "-1"),
        ("--timeout", "1e19"),
    ] {
        let given = format!("{option}={value}");
        for command in [&["capture"][..], &["replay", &file]] {
            let args = [command, &["-s", &socket, &given]].concat();
            let ended = run(&args);
            assert_eq!(ended.code, Some(2), "{args:?}: {}", ended.said);
            let first = ended.said.lines().next().unwrap();
            assert!(
                first.contains(value) && first.contains(option),
                "{args:?}: {}",
                ended.said
            );
        }
    }
    assert!(!place.path("memif.sock").exists());
}

#[test]
fn options_of_one_command() {
    let place = Place::new();
    let (socket, file) = (place.socket(), place.text("in.pcap"));
    write_numbered(&file, 0, 1, &[64]);
    for (args, names) in [
        (&["capture", "-c", "0"][..], "0"),
        (&["capture", "--snaplen", "0"], "0"),
        (&["capture", "--snaplen", "262145"], "262145"),
        (&["capture", "--rx-mode", "telepathy"], "telepathy"),
        (&["capture", "in.pcap"], "in.pcap"),
        (&["replay", &file, "--pps", "0"], "0 is not within"),
        (&["replay", &file, "--pps", "-5"], "-5"),
        (&["replay", &file, "--mbps", "0"], "0 is not within"),
        (&["replay", &file, "--speed", "0"], "0 is not within"),
        (&["replay", &file, "--speed", "fast"], "fast"),
        (&["replay", &file, "--pps", "1", "--topspeed"], "--topspeed"),
        (&["replay", &file, "--loop", "twice"], "twice"),
        (&["replay", &file, "--linger", "1e19"], "1e19"),
        (&["capture", "-a", "duration:1e19"], "1e19"),
        (&["replay"], "<FILE>"),
    ] {
        let ended = run(&[args, &["-s", &socket]].concat());
        assert_eq!(ended.code, Some(2), "{args:?}: {}", ended.said);
        assert!(ended.said.contains(names), "{args:?}: {}", ended.said);
    }
    for args in [&["capture"][..], &["replay", &file]] {
        let ended = run(args);
        assert_eq!(ended.code, Some(2), "{args:?}: {}", ended.said);
        assert!(ended.said.contains("--socket"), "{args:?}: {}", ended.said);
    }
}

#[test]
fn options_of_respond_and_ends_of_a_bridge() {
    let place = Place::new();
    let socket = place.socket();
    for (args, names) in [
        (&[][..], "--ip"),
        (&["--ip", "10.0.0.1"], "'10.0.0.1'"),
        (&["--ip", "224.0.0.1/8"], "224.0.0.1/8"),
        (&["--ip6", "10.0.0.1/8"], "'10.0.0.1/8'"),
        (&["--ip6", "fd00::1/64", "--mtu", "1279"], "1279"),
        (&["--ip", "10.0.0.1/8", "--mtu", "575"], "575"),
        (&["--ip", "10.0.0.1/8", "--mac", "01:00:00:00:00:01"], "01:"),
        (&["--ip", "10.0.0.1/8", "--mode", "punt-inject"], "punt"),
        (
            &["--ip", "10.0.0.1/8", "--gateway", "224.0.0.1"],
            "224.0.0.1",
        ),
        (
            &["--ip", "10.0.0.1/8", "--route", "10.0.0.0/8"],
            "10.0.0.0/8",
        ),
        (&["--ip", "10.0.0.1/8", "--route", "::/0=10.0.0.9"], "::/0"),
    ] {
        let ended = run(&[&["respond", "-s", &socket], args].concat());
        assert_eq!(ended.code, Some(2), "{args:?}: {}", ended.said);
        assert!(ended.said.contains(names), "{args:?}: {}", ended.said);
    }
    let memif = format!("memif:{socket}");
    let ip = format!("{memif},mode=ip");
    for (args, names) in [
        (&[&*memif][..], "<B>"),
        (&[&memif, &socket], "memif:SOCKET"),
        (&[&memif, "tap:a/b"], "'a/b'"),
        (&[&memif, "tap:x,mtu=20"], "20"),
        (&[&memif, &memif], "both ends"),
        (&["tap:x", &ip], "the same mode"),
    ] {
        let ended = run(&[&["bridge"], args].concat());
        assert_eq!(ended.code, Some(2), "{args:?}: {}", ended.said);
        assert!(ended.said.contains(names), "{args:?}: {}", ended.said);
    }
}

#[test]
fn a_secret_that_is_too_long_is_not_shown() {
    let place = Place::new();
    let (socket, file) = (place.socket(), place.text("in.pcap"));
    write_numbered(&file, 0, 1, &[64]);
    let secret = "open-sesame-open-sesame-x";
    for command in [&["capture"][..], &["replay", &file]] {
        let args = [command, &["-s", &socket, "--secret", secret]].concat();
        let ended = run(&args).failed(2, &["secret", "25 bytes", "24"]);
        assert!(!ended.said.contains("sesame"), "{}", ended.said);
        assert_eq!(ended.said.lines().count(), 1, "{}", ended.said);
    }
}

#[test]
fn a_socket_path_that_is_too_long_or_empty() {
    let place = Place::new();
    let file = place.text("in.pcap");
    write_numbered(&file, 0, 1, &[64]);
    let long = format!("/tmp/{}", "x".repeat(120));
    for role in ["master", "slave"] {
        for (socket, says) in [(long.as_str(), "125 bytes"), ("", "empty"), ("@", "empty")] {
            for command in [&["capture"][..], &["replay", &file]] {
                let args = [command, &["--role", role, "-s", socket]].concat();
                let ended = run(&args).failed(2, &["socket", says]);
                assert_eq!(ended.said.lines().count(), 1, "{}", ended.said);
            }
        }
    }
}

#[test]
fn stats_of_no_process_name_it() {
    // 0 is nobody's.
    run(&["stats", "0"]).failed(1, &["with process id 0"]);
}

#[test]
fn help_and_version_are_no_failures() {
    for args in [
        &["--help"][..],
        &["--version"],
        &["capture", "--help"],
        &["replay", "--help"],
        &["demo", "--help"],
    ] {
        let ended = run(args).good();
        assert!(
            !ended.output.is_empty() && ended.said.is_empty(),
            "{args:?}"
        );
    }
    assert_eq!(run(&[]).code, Some(2));
}

#[test]
fn a_wrong_mode_is_told_the_right_ones() {
    run(&["capture", "-s", "x", "--mode", "foo"]).refused("must be ethernet or ip");
}

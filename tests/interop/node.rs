//! A foreign program as the judge of the C library: the npm package `memif` is a Node addon
//! written for libmemif 4.0. It is built against ours, and talks to itself and to `PacketHandle`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use memif::{Context, Memif, MemifConfig, PacketHandle, Role, Wait};

use crate::library;
use crate::peers::{PATIENCE, installed, is_long, one_at_a_time, required, wait_until};

/// How many packets go each way.
fn count() -> usize {
    if is_long() { 20_000 } else { 4_000 }
}

/// A folder with the package in it and our library beside it.
pub(crate) fn package() -> Option<&'static Path> {
    static PACKAGE: OnceLock<Option<PathBuf>> = OnceLock::new();
    PACKAGE.get_or_init(build_package).as_deref()
}

fn build_package() -> Option<PathBuf> {
    if !installed(&["node", "npm", "make", "cc", "c++", "python3"]) {
        return None;
    }
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("node-memif");
    fs::create_dir_all(&dir).unwrap();
    library::install(&dir);

    let addon = dir.join("node_modules/memif/build/Release/memif-native.node");
    if !addon.exists() {
        fs::write(dir.join("package.json"), "{\"private\": true}").unwrap();
        let out = Command::new("npm")
            .args(["install", "--no-audit", "--no-fund", "memif"])
            .current_dir(&dir)
            .env("CPATH", dir.join("prefix/include"))
            .env("LIBRARY_PATH", dir.join("prefix/lib"))
            .output()
            .unwrap();
        if !addon.exists() {
            let said = String::from_utf8_lossy(&out.stderr).into_owned();
            assert!(!required(), "the npm package memif can't be had: {said}");
            eprintln!("skipped: the npm package memif can't be had: {said}");
            return None;
        }
    }
    fs::write(dir.join("node.mjs"), include_str!("node.mjs")).unwrap();
    Some(dir)
}

pub(crate) fn start(dir: &Path, what: &str, role: &str, socket: &Path) -> Child {
    Command::new("node")
        .args(["node.mjs", what, role])
        .arg(socket)
        .arg(count().to_string())
        .current_dir(dir)
        .env("LD_LIBRARY_PATH", dir.join("prefix/lib"))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// It ends by itself, well; what it counted.
fn ended(child: Child) -> String {
    let out = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(out.status.success(), "{said}");
    said
}

fn says_all(said: &str) {
    let count = count();
    assert!(said.contains(&format!("received {count} in ")), "{said}");
    assert!(said.contains(&format!("sent {count} in ")), "{said}");
    assert!(said.contains("dropped 0"), "{said}");
}

#[test]
fn two_node_programs_talk_through_our_library() {
    let Some(package) = package() else { return };
    let _turn = one_at_a_time();
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("s");
    for role in ["server", "client"] {
        let echo = start(package, "echo", role, &socket);
        let other = if role == "server" { "client" } else { "server" };
        let ask = start(package, "ask", other, &socket);
        says_all(&ended(ask));
        says_all(&ended(echo));
    }
}

/// `test` with a program of Node's as the peer, in both roles; the program ends with the link.
fn with_node(what: &str, test: impl Fn(&Memif)) {
    let Some(package) = package() else { return };
    let _turn = one_at_a_time();
    for (role, theirs) in [(Role::Master, "client"), (Role::Slave, "server")] {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("s");
        let context = Context::new("ours").unwrap();
        let config = MemifConfig::new(socket.to_str().unwrap()).role(role);
        let memif = context.create_interface(config).unwrap();
        let program = start(package, what, theirs, &socket);
        memif.wait_link_up(Some(PATIENCE)).unwrap();
        test(&memif);
        says_all(&ended(program));
        assert!(wait_until(PATIENCE, || !memif.is_link_up()));
    }
}

#[test]
fn a_node_program_echoes_what_a_packet_handle_sends() {
    with_node("echo", |memif| {
        let mut handle = memif.packet_handle(0).unwrap();
        for n in 0..count() {
            let length = if n % 10 == 9 { 9000 } else { 1 + n % 2048 };
            let packet: Vec<u8> = (0..length).map(|i| (n * 3 + i * 5) as u8).collect();
            handle
                .write_packet_timeout(&packet, Some(PATIENCE))
                .unwrap();
            let back = handle.read_packet_timeout(Some(PATIENCE)).unwrap();
            assert!(
                back[..] == packet[..],
                "packet {n} of {length} bytes, {} back",
                back.len()
            );
        }
        memif.close();
    });
}

/// Sends back what comes, until the peer leaves.
fn echo(handle: PacketHandle) -> usize {
    let (mut reader, mut writer) = handle.split();
    let mut count = 0;
    loop {
        match reader.read_packet() {
            Ok(packet) => {
                writer
                    .write_packet_timeout(&packet, Some(PATIENCE))
                    .unwrap();
                count += 1;
            }
            Err(e) if e.is_eof() => match reader.wait(Some(Duration::from_secs(60))).unwrap() {
                Wait::Ready => {}
                _ => return count,
            },
            Err(e) => panic!("{e}"),
        }
    }
}

#[test]
fn a_packet_handle_echoes_what_a_node_program_sends() {
    with_node("ask", |memif| {
        assert_eq!(memif.details().unwrap().remote_name, "node-memif");
        assert_eq!(echo(memif.packet_handle(0).unwrap()), count());
    });
}

//! go-libmemif's example `raw-data`: against the library, and on our C library.
//!
//! MEMIF_GOLIBMEMIF names it. It has to be built so that MEMIF_SOCKET names its socket.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use memif::{Context, MemifConfig, Role};

use crate::library;
use crate::peers::{PATIENCE, installed, one_at_a_time, program, wait_until};

/// Killed with its owner, as it hangs when it is to end on the original library.
struct RawData {
    child: Child,
    said: PathBuf,
}

impl Drop for RawData {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const QUEUES: u8 = 3;

impl RawData {
    fn start(program: &Path, dir: &Path, role: &str, library: Option<&Path>) -> Self {
        let said = dir.join(role);
        let file = File::create(&said).unwrap();
        let mut command = Command::new(program);
        if role == "slave" {
            command.arg("--slave");
        }
        if let Some(library) = library {
            command.env("LD_LIBRARY_PATH", library);
        }
        command.env("MEMIF_SOCKET", dir.join("s"));
        command.stdin(Stdio::null()).stderr(Stdio::null());
        let child = command.stdout(file).spawn().unwrap();
        Self { child, said }
    }

    /// Has it received three packets on each queue?
    #[track_caller]
    fn receives(&self) {
        let received = |said: &str, queue| {
            let from = format!("Received packet queue={queue}: Packet #");
            said.matches(&from).count() >= 3
        };
        let all = || {
            let said = fs::read_to_string(&self.said).unwrap();
            (0..QUEUES).all(|queue| received(&said, queue))
        };
        let said = || fs::read_to_string(&self.said).unwrap();
        assert!(wait_until(PATIENCE, all), "{}", said());
    }
}

#[test]
fn packets_of_go_libmemif_arrive_on_each_queue_and_ours_there() {
    let Some(raw_data) = program("MEMIF_GOLIBMEMIF", "raw-data") else {
        return;
    };
    let _turn = one_at_a_time();
    for (role, theirs) in [(Role::Slave, "master"), (Role::Master, "slave")] {
        let dir = tempfile::tempdir().unwrap();
        let context = Context::new("interop").unwrap();
        let socket = dir.path().join("s").display().to_string();
        let config = MemifConfig::new(socket).role(role).id(1).secret("secret");
        let config = config.queues(QUEUES, QUEUES);
        let memif = context.create_interface(config).unwrap();
        let peer = RawData::start(&raw_data, dir.path(), theirs, None);
        memif.wait_link_up(Some(PATIENCE)).unwrap();
        for queue in 0..QUEUES {
            let mut handle = memif.packet_handle(queue).unwrap();
            for number in 1..=3 {
                let text = format!("Packet #{number} in burst number 1");
                let packet = handle.read_packet_timeout(Some(PATIENCE)).unwrap();
                assert_eq!(String::from_utf8_lossy(&packet), text, "queue {queue}");
                handle.write_packet(text.as_bytes()).unwrap();
            }
        }
        peer.receives();
    }
}

#[test]
fn go_libmemif_runs_on_our_library() {
    let Some(raw_data) = program("MEMIF_GOLIBMEMIF", "raw-data") else {
        return;
    };
    if !installed(&["make", "cc"]) {
        return;
    }
    let _turn = one_at_a_time();
    let built = Path::new(env!("CARGO_TARGET_TMPDIR")).join("go-libmemif");
    library::install(&built);
    let ours = built.join("prefix/lib");
    for on_ours in [(true, true), (true, false), (false, true)] {
        let dir = tempfile::tempdir().unwrap();
        let library = |on: bool| on.then_some(ours.as_path());
        let master = RawData::start(&raw_data, dir.path(), "master", library(on_ours.0));
        assert!(wait_until(PATIENCE, || dir.path().join("s").exists()));
        let slave = RawData::start(&raw_data, dir.path(), "slave", library(on_ours.1));
        master.receives();
        slave.receives();
    }
}

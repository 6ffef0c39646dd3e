//! VPP: MEMIF_VPP names its program, beside which are `vppctl` and, in `../lib`, the plugins.
//!
//! Its packet generator sends what a file holds. What it counts is compared with what arrives, and
//! what arrives with the file.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use memif::{Context, ErrorKind, IfMode, Memif, MemifConfig, PacketHandle, Role, RxMode};
use tempfile::TempDir;

use crate::peers::{PATIENCE, is_long, one_at_a_time, program, wait_until};

pub(crate) struct Vpp {
    program: PathBuf,
    dir: TempDir,
    child: Option<Child>,
}

impl Vpp {
    /// `None`, with the reason said, where there is none.
    pub(crate) fn start(workers: u32) -> Option<Self> {
        let mut vpp = Self {
            program: program("MEMIF_VPP", "vpp")?,
            dir: tempfile::Builder::new().prefix("vpp").tempdir().unwrap(),
            child: None,
        };
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let n = COUNT.fetch_add(1, Ordering::Relaxed);
        let plugin = vpp.plugins();
        let dir = vpp.dir.path().display();
        let conf = format!(
            "unix {{ nodaemon nosyslog nobanner log {dir}/vpp.log cli-listen {dir}/cli.sock \
             runtime-dir {dir} poll-sleep-usec 100 }}\n\
             api-segment {{ prefix t{}-{n} }}\n\
             socksvr {{ socket-name {dir}/api.sock }}\n\
             statseg {{ size 64M page-size 4k socket-name {dir}/stats.sock }}\n\
             memory {{ main-heap-size 512M main-heap-page-size 4k }}\n\
             buffers {{ buffers-per-numa 32768 page-size 4k }}\n\
             cpu {{ workers {workers} }}\n\
             plugins {{ path {} plugin default {{ disable }} plugin memif_plugin.so {{ enable }} \
             plugin ping_plugin.so {{ enable }} }}\n",
            std::process::id(),
            plugin.display(),
        );
        fs::write(vpp.dir.path().join("startup.conf"), conf).unwrap();
        vpp.launch();
        Some(vpp)
    }

    fn plugins(&self) -> PathBuf {
        fn find(dir: &Path) -> Option<PathBuf> {
            let entries = fs::read_dir(dir).ok()?;
            entries.flatten().find_map(|entry| {
                let path = entry.path();
                if path.ends_with("memif_plugin.so") {
                    return path.parent().map(Path::to_owned);
                }
                path.is_dir().then(|| find(&path)).flatten()
            })
        }
        let root = self.program.parent().and_then(Path::parent).unwrap();
        find(&root.join("lib")).expect("its memif plugin")
    }

    fn launch(&mut self) {
        let out = File::create(self.dir.path().join("stdout")).unwrap();
        let child = Command::new(&self.program)
            .arg("-c")
            .arg(self.dir.path().join("startup.conf"))
            .stdin(Stdio::null())
            .stdout(out.try_clone().unwrap())
            .stderr(out)
            .spawn();
        self.child = Some(child.unwrap());
        let answers = || self.says("show version").contains("vpp");
        assert!(wait_until(PATIENCE, answers), "it does not answer");
    }

    /// What it says to a command.
    pub(crate) fn says(&self, command: &str) -> String {
        let mut ctl = Command::new(self.program.with_file_name("vppctl"));
        ctl.arg("-s").arg(self.dir.path().join("cli.sock"));
        let out = ctl.args(command.split(' ')).output().unwrap();
        String::from_utf8_lossy(&out.stdout).replace('\r', "")
    }

    /// A command that says nothing when it works.
    #[track_caller]
    pub(crate) fn does(&self, command: &str) {
        let said = self.says(command);
        let fine = said.trim().is_empty() || said.trim().starts_with(['p', 'm']);
        assert!(fine, "{command}: {said}");
    }

    pub(crate) fn socket(&self) -> String {
        self.dir.path().join("m").display().to_string()
    }

    /// `memif1/0` on its socket, with this rest of the line, beside a packet generator `pg1`.
    fn create(&self, kind: &str) {
        self.does(&format!(
            "create memif socket id 1 filename {}",
            self.socket()
        ));
        self.does(&format!("create interface memif id 0 socket-id 1 {kind}"));
        self.does("set interface state memif1/0 up");
    }

    fn generate_from(&self, file: &Path, count: usize, rate: u32) {
        self.does("create packet-generator interface pg1");
        self.does("set interface state pg1 up");
        self.does("set interface l2 xconnect pg1 memif1/0");
        self.does("set interface l2 xconnect memif1/0 pg1");
        let stream = self.dir.path().join("stream");
        let line = format!(
            "packet-generator new {{ name s limit {count} rate {rate} interface pg1 node ethernet-input \
             pcap {} }}\n",
            file.display()
        );
        fs::write(&stream, line).unwrap();
        self.does(&format!("exec {}", stream.display()));
    }

    /// Of memif1/0: a number that `show interface` has, 0 where it has none.
    fn counts(&self, what: &str) -> u64 {
        let shown = self.says("show interface memif1/0");
        let line = shown.lines().find(|line| line.contains(what));
        let number = line.and_then(|line| line.split_whitespace().last()?.parse().ok());
        number.unwrap_or(0)
    }

    /// Packets that found no room in memif1/0's ring, which VPP counts as sent.
    fn dropped(&self) -> u64 {
        let shown = self.says("show errors");
        let lines = shown
            .lines()
            .filter(|line| line.contains("no free tx slots"));
        lines
            .filter_map(|line| line.split_whitespace().next()?.parse::<u64>().ok())
            .sum()
    }

    fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Drop for Vpp {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let log = fs::read_to_string(self.dir.path().join("vpp.log"));
            eprintln!("--- vpp.log:\n{}", log.unwrap_or_default());
        }
    }
}

const KINDS: [&str; 3] = ["master", "slave", "slave no-zero-copy"];

fn ours(
    context: &Context,
    vpp: &Vpp,
    kind: &str,
    set: impl FnOnce(MemifConfig) -> MemifConfig,
) -> Memif {
    let role = match kind.starts_with("master") {
        true => Role::Slave,
        false => Role::Master,
    };
    let config = MemifConfig::new(vpp.socket()).role(role);
    context.create_interface(set(config)).unwrap()
}

fn context() -> Context {
    let builder = Context::builder("interop").reconnect_interval(Duration::from_millis(20));
    builder.build().unwrap()
}

#[track_caller]
fn up(memif: &Memif) {
    memif.wait_link_up(Some(PATIENCE)).unwrap();
}

/// An Ethernet frame of this length and number.
fn frame(number: u32, length: usize) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x88, 0xb5];
    let bytes = number.to_le_bytes();
    frame.extend(bytes.iter().cycle().take(length - frame.len()));
    frame
}

fn length(number: u32, longest: usize) -> usize {
    60 + number as usize * 97 % (longest - 59)
}

/// Writes a file of so many frames, as VPP reads it: with microseconds.
fn file(vpp: &Vpp, count: u32, longest: usize) -> PathBuf {
    let path = vpp.dir.path().join("in.pcap");
    let words = |words: &[u32]| -> Vec<u8> { words.iter().flat_map(|w| w.to_le_bytes()).collect() };
    let mut bytes = words(&[0xa1b2_c3d4, 0x0004_0002, 0, 0, 65535, 1]);
    for number in 0..count {
        let frame = frame(number, length(number, longest));
        bytes.extend(words(&[0, 0, frame.len() as u32, frame.len() as u32]));
        bytes.extend(frame);
    }
    fs::write(&path, bytes).unwrap();
    path
}

fn read_all(handles: &mut [PacketHandle], count: u32, longest: usize, vpp: &Vpp) {
    let mut seen = vec![false; count as usize];
    let mut read = 0;
    let complete = wait_until(PATIENCE, || {
        for handle in &mut *handles {
            while let Ok(packet) = handle.read_packet_timeout(Some(Duration::from_millis(1))) {
                let number = u32::from_le_bytes(packet[14..18].try_into().unwrap());
                assert!(
                    packet[..] == frame(number, length(number, longest)),
                    "number {number}"
                );
                assert!(!std::mem::replace(&mut seen[number as usize], true));
                read += 1;
            }
        }
        read + vpp.dropped() >= u64::from(count)
    });
    assert!(complete, "{read} of {count}, {} dropped", vpp.dropped());
    assert_eq!(read + vpp.dropped(), vpp.counts("tx packets"));
}

fn arrives(kind: &str, more: &str, queues: u8, mode: RxMode, longest: usize, workers: u32) {
    let Some(vpp) = Vpp::start(workers) else {
        return;
    };
    let count = if is_long() { 20_000 } else { 1000 };
    vpp.create(&format!("{kind} {more}"));
    let input = file(&vpp, count, longest);
    let context = context();
    let memif = ours(&context, &vpp, kind, |c| {
        c.queues(queues, queues).log2_ring_size(14)
    });
    up(&memif);
    let rx = memif.rx_queues();
    let mut handles: Vec<_> = (0..rx).map(|q| memif.packet_handle(q).unwrap()).collect();
    for queue in 0..rx {
        memif.set_rx_mode(queue, mode).unwrap();
    }
    vpp.generate_from(&input, count as usize, 20_000);
    vpp.does("packet-generator enable-stream s");
    read_all(&mut handles, count, longest, &vpp);
}

#[test]
fn what_vpp_sends_arrives_in_every_kind_and_receive_mode() {
    let _turn = one_at_a_time();
    let spin = Duration::from_micros(50);
    let adaptive = RxMode::Adaptive { spin };
    for kind in KINDS {
        for mode in [RxMode::Interrupt, RxMode::Polling, adaptive] {
            arrives(kind, "", 1, mode, 1500, 0);
        }
    }
}

#[test]
fn jumbo_frames_of_vpp_arrive_whole() {
    let _turn = one_at_a_time();
    // Before 26.06 it overruns rings that get full.
    for kind in KINDS {
        let size = if kind == "master" {
            ""
        } else {
            "ring-size 16384"
        };
        arrives(kind, size, 1, RxMode::Interrupt, 9000, 0);
    }
}

#[test]
fn several_queues_with_and_without_workers() {
    let _turn = one_at_a_time();
    for kind in KINDS {
        for queues in [2, 4] {
            for workers in [0, 1] {
                let more = format!("rx-queues {queues} tx-queues {queues}");
                arrives(kind, &more, queues, RxMode::Interrupt, 1500, workers);
            }
        }
    }
}

/// Also where VPP's slave gives back its buffers in lots of 32 only.
#[test]
fn vpp_counts_what_is_sent_to_it() {
    let _turn = one_at_a_time();
    for kind in KINDS {
        for longest in [1500, 9000] {
            let Some(vpp) = Vpp::start(0) else { return };
            vpp.create(kind);
            let context = context();
            let memif = ours(&context, &vpp, kind, |c| c);
            up(&memif);
            let mut queue = memif.tx_queue(0).unwrap();
            let (mut packets, mut bytes) = (0, 0);
            for count in [1, 10, 31, 33, 100, 2000] {
                for number in 0..count {
                    let frame = frame(number, length(number, longest));
                    while queue.tx_burst(&[&frame]).unwrap() == 0 {
                        let _ = queue.wait_writable(frame.len(), Some(PATIENCE));
                    }
                    packets += 1;
                    bytes += frame.len() as u64;
                }
                let taken = queue.flush(PATIENCE);
                let left = queue.pending_slots();
                assert!(
                    taken.is_ok(),
                    "{kind}: {count} packets to {longest} bytes, {left:?} left"
                );
                let counted = || vpp.counts("rx packets") == packets;
                assert!(
                    wait_until(PATIENCE, counted),
                    "{kind}: {}",
                    vpp.counts("rx packets")
                );
                assert_eq!(vpp.counts("rx bytes"), bytes);
            }
        }
    }
}

/// The command warns of it, and the manual too.
#[test]
fn vpp_drops_what_is_longer_than_9216_bytes_in_one_buffer() {
    let _turn = one_at_a_time();
    let Some(vpp) = Vpp::start(0) else { return };
    vpp.create("master");
    let context = context();
    let mut expected = 0;
    for (buffer, length, arrives) in [
        (16384, 9216, true),
        (16384, 9217, false),
        (9216, 9217, true),
        (2048, 60_000, true),
    ] {
        let memif = ours(&context, &vpp, "master", |c| c.buffer_size(buffer));
        up(&memif);
        let mut handle = memif.packet_handle(0).unwrap();
        handle.write_packet(&frame(1, length)).unwrap();
        handle.write_packet(&frame(1, 60)).unwrap();
        expected += 1 + u64::from(arrives);
        let counted = || vpp.counts("rx packets") == expected;
        assert!(wait_until(PATIENCE, counted), "{length} bytes in {buffer}");
        memif.close();
    }
}

#[test]
fn links_come_back_after_all_that_may_end_them() {
    let _turn = one_at_a_time();
    for kind in KINDS {
        let Some(mut vpp) = Vpp::start(0) else { return };
        vpp.create(kind);
        let context = context();
        let memif = ours(&context, &vpp, kind, |c| c);
        up(&memif);
        let down = || assert!(wait_until(PATIENCE, || !memif.is_link_up()), "{kind}");
        vpp.does("set interface state memif1/0 down");
        // VPP keeps the link, and takes nothing meanwhile.
        vpp.does("set interface state memif1/0 up");
        up(&memif);
        vpp.does("delete interface memif memif1/0");
        down();
        vpp.does(&format!("create interface memif id 0 socket-id 1 {kind}"));
        vpp.does("set interface state memif1/0 up");
        up(&memif);
        vpp.kill();
        down();
        vpp.launch();
        vpp.create(kind);
        up(&memif);
        let mut queue = memif.tx_queue(0).unwrap();
        assert!(wait_until(PATIENCE, || queue
            .tx_burst(&[&frame(1, 60)])
            .unwrap()
            == 1));
        assert!(wait_until(PATIENCE, || vpp.counts("rx packets") == 1));
    }
}

#[test]
fn secrets_and_modes_have_to_be_the_same() {
    let _turn = one_at_a_time();
    let Some(vpp) = Vpp::start(0) else { return };
    vpp.create("master secret abra mode ip");
    let context = context();
    let wrong = ours(&context, &vpp, "master", |c| {
        c.secret("cadabra").mode(IfMode::Ip)
    });
    let error = wrong.wait_link_up(Some(PATIENCE)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Disconnect, "{error}");
    wrong.close();
    let right = ours(&context, &vpp, "master", |c| {
        c.secret("abra").mode(IfMode::Ip)
    });
    up(&right);
}

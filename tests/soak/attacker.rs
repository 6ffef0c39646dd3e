//! A hostile process beside the good peers, and what it attacks: a master on the socket of a good
//! link, and a slave.

use std::io::{BufRead, BufReader, Write, stdin};
use std::os::fd::AsFd;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread;
use std::time::Duration;

use memif::{Context, Eof, Error, Memif, MemifConfig};
use memif_hostile::{Kind, Role, Target, cases};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::read;

use crate::common::socket;
use crate::peer::PAUSE;

/// Of the attacked master.
const ID: u32 = 9;

pub(crate) struct Attacker {
    child: Child,
    says: BufReader<ChildStdout>,
    pub(crate) cases: u64,
}

impl Attacker {
    /// Idle at first.
    pub(crate) fn start(context: &Context, master: &str, seed: u64) -> Self {
        let slave = socket();
        let victims = [
            MemifConfig::new(master).id(ID).role(memif::Role::Master),
            MemifConfig::new(&slave).id(ID).role(memif::Role::Slave),
        ];
        for victim in victims {
            let victim = context.create_interface(victim.log2_ring_size(4)).unwrap();
            thread::spawn(move || serve(&victim));
        }
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--attacker", master, &slave, &seed.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let says = BufReader::new(child.stdout.take().unwrap());
        Self {
            child,
            says,
            cases: 0,
        }
    }

    pub(crate) fn go(&mut self) {
        self.tell();
    }

    /// Returns when nothing of its last case is left at its side.
    pub(crate) fn stop(&mut self) {
        self.tell();
        let mut line = String::new();
        self.says.read_line(&mut line).unwrap();
        self.cases += line.trim().parse::<u64>().expect("how many cases it ran");
    }

    fn tell(&mut self) {
        let input = self.child.stdin.as_mut().unwrap();
        input.write_all(b"\n").expect("an attacker that lives");
    }
}

impl Drop for Attacker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A program that reads and writes, whatever comes.
fn serve(victim: &Memif) {
    let mut handle = victim.packet_handle(0).unwrap();
    loop {
        match handle.read_packet() {
            Ok(_) => continue,
            Err(Error::Eof(Eof::Closed)) => return,
            Err(_) => {}
        }
        let _ = handle.write_packet(b"a packet");
        thread::sleep(PAUSE);
    }
}

/// The process itself: random cases from one line of its input to the next.
pub(crate) fn main(master: &str, slave: &str, seed: &str) {
    // A case that goes another way than it is meant to ends with a panic.
    set_hook(Box::new(|_| {}));
    memif_hostile::peer::set_patience(Duration::from_secs(1));
    let mut cases = cases::all();
    cases.retain(|case| !case.inside && case.kind != Kind::Secret);
    let targets = [(Role::Master, master), (Role::Slave, slave)];
    let targets =
        targets.map(|(role, socket)| Target::new(role, socket).with(ID, None).listening());
    let mut order = cases::random(&cases, seed.parse().unwrap());
    while line() {
        let mut count = 0;
        while !told() {
            let case = order.next().expect("a case");
            let target = targets.iter().find(|target| target.role == case.role);
            let target = target.expect("both roles are there");
            let _ = catch_unwind(AssertUnwindSafe(|| case.attack(target)));
            count += 1;
        }
        line();
        println!("{count}");
    }
}

/// Reads a line, and nothing of the next, which `told` waits for.
fn line() -> bool {
    matches!(read(stdin(), &mut [0]), Ok(1))
}

fn told() -> bool {
    let input = stdin();
    let mut fds = [PollFd::new(input.as_fd(), PollFlags::POLLIN)];
    poll(&mut fds, PollTimeout::ZERO).is_ok_and(|ready| ready > 0)
}

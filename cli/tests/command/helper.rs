//! Programs that use the library, to be killed or to survive: this test binary, started again.

use std::io::{self, Read, Write};
use std::process::{Command, Stdio};
use std::thread;

use memif::{Context, Eof, Error, Memif, MemifConfig, PacketHandle, Role};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::packets::numbered;
use crate::process::{PATIENCE, Process};

const WHAT: &str = "MEMIF_TEST_HELPER";
const SOCKET: &str = "MEMIF_TEST_SOCKET";
const ROLE: &str = "MEMIF_TEST_ROLE";

/// Sends so many packets, then kills itself at once.
pub(crate) const SEND_AND_DIE: &str = "send and die";
pub(crate) const MANY: u64 = 20_000;
/// Connects; when it is told to on standard input, fills the ring; says how many it took.
pub(crate) const FILL_THE_RING: &str = "fill the ring";
/// Sends for ever, says so after a hundred packets.
pub(crate) const SEND: &str = "send";
/// Sends whenever a peer is there, says when one comes and goes.
pub(crate) const KEEP_SENDING: &str = "keep sending";

/// Links up with two hundred interfaces, and says so.
pub(crate) const MANY_LINKS: &str = "many links";
pub(crate) const LINKS: u32 = 200;

/// Starts one; what it says is on its standard output.
pub(crate) fn start(what: &str, socket: &str, role: &str) -> Process {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "helper::main", "--nocapture", "--test-threads=1"])
        .env(WHAT, what)
        .env(SOCKET, socket)
        .env(ROLE, role)
        .stdin(Stdio::piped());
    Process::spawn(&mut command)
}

/// No test, unless started by `start`.
#[test]
fn main() {
    let Ok(what) = std::env::var(WHAT) else {
        return;
    };
    let role: Role = std::env::var(ROLE).unwrap().parse().unwrap();
    let context = Context::new("helper").unwrap();
    let config = MemifConfig::new(std::env::var(SOCKET).unwrap()).role(role);
    if what == MANY_LINKS {
        many_links(&context, &config);
    }
    let memif = context.create_interface(config).unwrap();
    let mut handle = memif.packet_handle(0).unwrap();
    if what == KEEP_SENDING {
        keep_sending(&memif, &mut handle);
    }
    memif.wait_link_up(Some(PATIENCE)).unwrap();
    match &what[..] {
        SEND_AND_DIE => {
            for n in 0..MANY {
                send(&mut handle, n).unwrap();
            }
            kill(Pid::this(), Signal::SIGKILL).unwrap();
        }
        FILL_THE_RING => {
            say("up");
            io::stdin().read_exact(&mut [0]).unwrap();
            let mut sent = 0;
            while handle.write_packet(&numbered(sent, 64)).is_ok() {
                sent += 1;
            }
            say(&format!("sent {sent} in all"));
            loop {
                thread::park();
            }
        }
        SEND => {
            for n in 0.. {
                send(&mut handle, n).unwrap();
                if n == 100 {
                    say("sent 100");
                }
            }
        }
        other => panic!("{other}"),
    }
}

fn many_links(context: &Context, config: &MemifConfig) -> ! {
    let create = |id| {
        let config = config.clone().id(id).log2_ring_size(6).buffer_size(256);
        context.create_interface(config).unwrap()
    };
    let all: Vec<Memif> = (0..LINKS).map(create).collect();
    say("all there");
    // So many at once are more than may wait: some come at a later attempt.
    for memif in &all {
        while memif.wait_link_up(Some(PATIENCE)).is_err() {}
    }
    say("all up");
    loop {
        thread::park();
    }
}

fn keep_sending(memif: &Memif, handle: &mut PacketHandle) -> ! {
    for round in 1.. {
        memif.wait_link_up(None).unwrap();
        say(&format!("up {round}."));
        let mut n = 0;
        loop {
            match send(handle, n) {
                Ok(()) => n += 1,
                Err(Error::Eof(Eof::LinkDown)) => break,
                Err(e) => panic!("{e}"),
            }
        }
        say(&format!("down {round}."));
    }
    unreachable!()
}

fn send(handle: &mut PacketHandle, n: u64) -> Result<(), Error> {
    handle.write_packet_timeout(&numbered(n, 64), Some(PATIENCE))
}

fn say(text: &str) {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}").and_then(|()| out.flush()).unwrap();
}

//! Another peer beside the attacker, a process of its own: it keeps asking the same victim, and
//! measures how long the answers take.

use std::io::{BufRead, BufReader, Write, stdin};
use std::os::fd::AsFd;
use std::process::{Child, ChildStdout, ExitCode};
use std::time::{Duration, Instant};
use std::{fmt, fs, thread};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::child;
use crate::peer::*;
use crate::target::{Role, Target};

/// So long a slow peer thinks between HELLO and INIT.
const SLOW: Duration = Duration::from_millis(20);

/// So often a slave that is asked tries to connect.
pub const RECONNECT: Duration = Duration::from_millis(2);

/// Between two questions, so that the asking itself is no load.
const PAUSE: Duration = Duration::from_micros(500);

/// The peer beside, as the attacker's process holds it. It idles until it is told to go.
pub struct Beside {
    child: Child,
    says: BufReader<ChildStdout>,
}

/// What it saw.
#[derive(Clone, Copy, Debug, Default)]
pub struct Asked {
    /// The longest wait for an answer, without the time in which it, or the victim's thread, was
    /// ready to run and the machine had no processor for it.
    pub longest: Duration,
    pub times: u32,
    /// How often it was hung up on without an answer, or driven out.
    pub driven_out: u32,
}

impl fmt::Debug for Beside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {} beside", self.child.id())
    }
}

impl Beside {
    /// Asks the victim by this target, which is not the attacked one: another interface id of a
    /// master, another socket of a slave. `control` is the victim's thread that answers, as
    /// `/proc` has it: "PID/task/TID".
    pub fn start(target: &Target, control: Option<&str>) -> Self {
        let mut child = child::start(target, &["beside", control.unwrap_or_default()]);
        let says = BufReader::new(child.stdout.take().expect("its standard output"));
        let mut beside = Self { child, says };
        // A slave has found it then.
        beside.line();
        beside
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// It has asked once, and goes on asking.
    pub fn go(&mut self) {
        self.tell();
        self.line();
    }

    /// It has stopped.
    pub fn stop(&mut self) -> Asked {
        self.tell();
        let line = self.line();
        let mut numbers = line.split_whitespace().map(|n| n.parse().unwrap());
        let mut next = || numbers.next().unwrap_or_default();
        Asked {
            longest: Duration::from_nanos(next()),
            times: next() as u32,
            driven_out: next() as u32,
        }
    }

    fn tell(&mut self) {
        let input = self.child.stdin.as_mut().expect("its standard input");
        input.write_all(b"\n").expect("the peer beside lives");
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.says.read_line(&mut line).expect("what it says");
        assert!(!line.is_empty(), "the peer beside has gone");
        line
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The process itself.
pub(crate) fn main(target: &Target, control: &str) -> ExitCode {
    let line = || stdin().lines().next().is_some_and(|line| line.is_ok());
    let asker = Asker {
        target,
        threads: ["self", control].map(|thread| format!("/proc/{thread}/schedstat")),
    };
    target.settle();
    println!("ready");
    while line() {
        let mut asked = Asked::default();
        let mut slow = None;
        asker.ask(&mut asked);
        println!("going");
        while !told() {
            thread::sleep(PAUSE);
            asker.ask(&mut asked);
            if target.role == Role::Master {
                asker.ask_slowly(&mut asked, &mut slow);
            }
        }
        drop(slow);
        if !line() {
            break;
        }
        // As before it went.
        target.settle();
        let (longest, times) = (asked.longest.as_nanos(), asked.times);
        println!("{longest} {times} {}", asked.driven_out);
    }
    ExitCode::SUCCESS
}

fn told() -> bool {
    let input = stdin();
    let mut fds = [PollFd::new(input.as_fd(), PollFlags::POLLIN)];
    poll(&mut fds, PollTimeout::ZERO).is_ok_and(|ready| ready > 0)
}

struct Asker<'a> {
    target: &'a Target,
    threads: [String; 2],
}

impl Asker<'_> {
    /// A whole exchange: to INIT's answer with a master, to INIT with a slave.
    fn ask(&self, asked: &mut Asked) {
        asked.times += 1;
        match self.target.role {
            Role::Master => asked.driven_out += u32::from(self.ask_master(asked).is_none()),
            // It may just give up the attempt that is answered.
            Role::Slave => _ = self.ask_slave(asked),
        }
    }

    fn ask_master(&self, asked: &mut Asked) -> Option<()> {
        let wire = self.hello(asked)?;
        self.init(asked, &wire)
    }

    /// Another handshake that is under way meanwhile.
    fn ask_slowly(&self, asked: &mut Asked, slow: &mut Option<(Wire, Instant)>) {
        match slow.take() {
            None => *slow = self.hello(asked).map(|wire| (wire, Instant::now())),
            Some((wire, since)) if since.elapsed() > SLOW => {
                asked.times += 1;
                asked.driven_out += u32::from(self.init(asked, &wire).is_none());
            }
            Some(waiting) => *slow = Some(waiting),
        }
    }

    fn hello(&self, asked: &mut Asked) -> Option<Wire> {
        self.timed(asked, Duration::ZERO, || {
            let wire = Wire::connect(&self.target.socket);
            let hello = wire.receive()?;
            (hello.message.kind() == HELLO).then_some(wire)
        })
    }

    fn init(&self, asked: &mut Asked, wire: &Wire) -> Option<()> {
        self.timed(asked, Duration::ZERO, || {
            // Where it is driven out, the reason is still there.
            let _ = self.target.plan().steps[P_INIT].send(wire);
            let answer = wire.receive()?.message;
            // Other refusals are answers too: this process may be slow itself.
            let driven_out = answer.kind() == DISCONNECT && answer.reason().contains("too many");
            (!driven_out).then_some(())
        })
    }

    fn ask_slave(&self, asked: &mut Asked) -> Option<()> {
        // Its pause is no wait.
        let link = self.timed(asked, RECONNECT, || Some(self.target.go(Stage::Accepted)))?;
        self.timed(asked, Duration::ZERO, || {
            link.wire.send_bytes(&Message::hello().0, &[]).ok()?;
            let init = link.wire.receive()?;
            (init.message.kind() == INIT).then_some(())
        })
    }

    fn timed<T>(
        &self,
        asked: &mut Asked,
        pause: Duration,
        what: impl FnOnce() -> Option<T>,
    ) -> Option<T> {
        let (before, start) = (self.without_processor(), Instant::now());
        let done = what();
        let took = start.elapsed().saturating_sub(pause);
        let without = self.without_processor().saturating_sub(before);
        asked.longest = asked.longest.max(took.saturating_sub(without));
        done
    }

    /// How long both threads have been ready to run, and had no processor.
    fn without_processor(&self) -> Duration {
        let waited = |file: &String| {
            let text = fs::read_to_string(file).ok()?;
            text.split_whitespace().nth(1)?.parse().ok()
        };
        self.threads
            .iter()
            .filter_map(waited)
            .map(Duration::from_nanos)
            .sum()
    }
}

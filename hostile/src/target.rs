//! A victim, as an attack reaches it.

use std::cell::RefCell;
use std::fmt;
use std::fs;
use std::time::{Duration, Instant};

use crate::inside::{Handle, Inside};
use crate::peer::*;

/// The side of a link that someone has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, clap::ValueEnum)]
pub enum Role {
    Master,
    Slave,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Master => "master",
            Self::Slave => "slave",
        })
    }
}

/// A victim, as an attack reaches it: by its socket, and from inside when the attack runs in the
/// victim's own program.
pub struct Target {
    /// The victim's.
    pub role: Role,
    pub socket: String,
    pub id: u32,
    pub secret: Option<String>,
    /// For a slave: who listens.
    pub raw: RefCell<Option<Master>>,
    inside: Option<Box<dyn Inside>>,
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} at {}", self.role, self.id, self.socket)
    }
}

impl Target {
    /// A victim of which nothing but the socket is known. Of a slave, who listens is another
    /// process until [`Target::listening`].
    pub fn new(role: Role, socket: &str) -> Self {
        Self {
            role,
            socket: socket.to_owned(),
            id: 0,
            secret: None,
            raw: RefCell::new(None),
            inside: None,
        }
    }

    /// Listens where a slave comes.
    pub fn listening(self) -> Self {
        if self.role == Role::Slave {
            let mut master = Master::listen(&self.socket);
            // The cases are for small rings.
            master.hello = master.hello.put8(at::HELLO_MAX_LOG2, LOG2);
            self.raw.replace(Some(master));
        }
        self
    }

    /// A victim that can be looked into.
    pub fn with_inside(self, inside: impl Inside + 'static) -> Self {
        Self {
            inside: Some(Box::new(inside)),
            ..self
        }
    }

    /// With this interface id, and this secret of the link.
    pub fn with(self, id: u32, secret: Option<&str>) -> Self {
        Self {
            id,
            secret: secret.map(str::to_owned),
            ..self
        }
    }

    /// Another interface of it that there need not be: its refusal is an answer too.
    pub fn another(&self) -> Self {
        Self::new(self.role, &self.socket).with(self.id ^ 0x4000_0000, None)
    }

    /// The thread of such a process that answers, as [`Beside::start`](crate::Beside::start) wants
    /// it: the one that is called so, or the first.
    pub fn control_thread(pid: u32) -> String {
        let tasks = fs::read_dir(format!("/proc/{pid}/task"))
            .into_iter()
            .flatten();
        let names = |task: &fs::DirEntry| fs::read_to_string(task.path().join("comm"));
        let is_control =
            |task: &fs::DirEntry| names(task).is_ok_and(|n| n.trim() == "memif control");
        let control = tasks.flatten().find(is_control);
        let thread = control.and_then(|task| task.file_name().into_string().ok());
        format!("{pid}/task/{}", thread.unwrap_or(pid.to_string()))
    }

    /// The victim's process, as far as the kernel says.
    pub fn pid(&self) -> Option<u32> {
        match self.role {
            Role::Master => Wire::try_connect(&self.socket).ok()?.peer(),
            Role::Slave => self.go(Stage::Accepted).wire.peer(),
        }
    }

    /// As master: goes by the book up to this stage. For attacks on a slave.
    pub(crate) fn go(&self, stage: Stage) -> Link {
        let raw = self.raw.borrow();
        let raw = raw.as_ref().expect("who listens");
        // What the slave gave up while nobody answered is still in the queue.
        let mut link = None;
        until("a slave", || {
            link = raw.try_go(stage);
            link.is_some()
        });
        link.unwrap()
    }

    /// The default plan, with what this victim asks for.
    pub(crate) fn plan(&self) -> Plan {
        self.plan_with(self.secret.as_deref().unwrap_or_default().as_bytes())
    }

    /// The default plan with these bytes as the secret.
    pub(crate) fn plan_with(&self, secret: &[u8]) -> Plan {
        let mut plan = Plan::new(self.id);
        let init = &mut plan.steps[P_INIT];
        init.message = init.message.put(at::INIT_SECRET, secret);
        plan
    }

    /// A link by the book, up on both sides. A slave's buffers are offered.
    pub(crate) fn link(&self) -> Link {
        let link = match self.role {
            Role::Slave => self.go(Stage::Up),
            Role::Master => {
                let mut link = None;
                until("a link", || {
                    // The one before may still be there, or this may be too slow.
                    if let Outcome::Up(up) = self.plan().run(&self.socket) {
                        link = Some(up);
                    }
                    link.is_some()
                });
                link.unwrap()
            }
        };
        // A waiter would be told of an earlier refusal.
        self.wait_up();
        // A queue stays with the former link until that is read.
        let (ring, mut handle) = (link.m2s(), self.handle());
        until("a queue of the new link, with its buffers", || {
            handle.empties() && (self.role == Role::Master || ring.head() == ring.size)
        });
        link
    }

    pub(crate) fn handle(&self) -> Handle {
        Handle(self.inside.as_ref().map(|inside| inside.queue()))
    }

    pub(crate) fn wait_up(&self) {
        self.wait("the victim's link", |inside| inside.is_link_up());
    }

    pub(crate) fn wait_down(&self) {
        self.wait("the link's end", |inside| !inside.is_link_up());
    }

    fn wait(&self, what: &str, condition: impl Fn(&dyn Inside) -> bool) {
        if let Some(inside) = &self.inside {
            until(what, || condition(&**inside));
        }
    }

    pub(crate) fn shows(&self, text: &str) -> bool {
        let inside = self.inside.as_ref();
        inside.is_some_and(|inside| inside.shown().contains(text))
    }

    /// The victim serves a peer that behaves. How long the peer had to wait.
    pub fn serves(&self) -> Duration {
        let start = Instant::now();
        let link = self.link();
        let mut handle = self.handle();
        match self.role {
            Role::Master => {
                link.slave_sends(b"to the victim");
                link.offer();
            }
            Role::Slave => link.master_sends(b"to the victim"),
        }
        handle.reads(b"to the victim").writes(b"from the victim");
        if handle.0.is_some() {
            let ring = match self.role {
                Role::Master => link.m2s(),
                Role::Slave => link.s2m(),
            };
            assert_eq!(link.data(ring.desc(0)), b"from the victim");
            if self.role == Role::Slave {
                ring.set_tail(1);
            }
        }
        let took = start.elapsed();
        link.wire.send(&Message::disconnect(0, "served"));
        drop(link);
        self.wait_down();
        took
    }

    /// Waits until a slave has asked again: then it has as many descriptors as ever.
    pub fn settle(&self) {
        if let Some(raw) = &*self.raw.borrow() {
            raw.wait_asked();
        }
    }
}

/// Waits for a condition that something else brings about.
#[track_caller]
pub(crate) fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < patience(), "this never came: {what}");
        std::thread::sleep(Duration::from_micros(200));
    }
}

/// Bytes that follow from a number.
pub(crate) fn noise(number: u64, length: usize) -> Vec<u8> {
    let mut state = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ length as u64;
    (0..length)
        .map(|_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        })
        .collect()
}

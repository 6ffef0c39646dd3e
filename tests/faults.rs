//! Faults at home: descriptors that run out, signals in every call that blocks.

mod common;

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use common::*;
use memif::{Error, MemifConfig, PacketHandle, Role};
use memif_hostile::peer::*;
use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

/// The limit and the signals are the whole process's: one test at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn num_open() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Takes all descriptors that the process may have.
fn take_all() -> Vec<OwnedFd> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, 256.min(hard), hard).unwrap();
    let null: OwnedFd = std::fs::File::open("/dev/null").unwrap().into();
    let mut taken = Vec::new();
    loop {
        match null.try_clone() {
            Ok(fd) => taken.push(fd),
            Err(e) => {
                assert_eq!(e.raw_os_error(), Some(Errno::EMFILE as i32));
                taken.push(null);
                return taken;
            }
        }
    }
}

/// What the library logs.
struct Lines(Mutex<Vec<String>>);

static LINES: Lines = Lines(Mutex::new(Vec::new()));

impl log::Log for Lines {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        self.0.lock().unwrap().push(record.args().to_string());
    }

    fn flush(&self) {}
}

#[test]
fn a_master_without_descriptors_takes_peers_later() {
    let _alone = alone();
    log::set_logger(&LINES).unwrap();
    log::set_max_level(log::LevelFilter::Error);
    let context = context();
    let name = socket();
    let config = MemifConfig::new(&name).role(Role::Master);
    let config = config.log2_ring_size(LOG2).buffer_size(BUFFER as u16);
    let master = context.create_interface(config).unwrap();
    let plan = Plan::new(0);
    let wire = Wire::connect(&name);
    wire.expect(HELLO);

    let before = num_open();
    let next = Wire::unconnected();
    let taken = take_all();
    next.connect_to(&name).unwrap();
    until("an accept that fails", || {
        let lines = LINES.0.lock().unwrap();
        let says = |line: &String| line.contains(&name) && line.contains("too many open files");
        lines.iter().any(says)
    });
    drop(taken);
    next.expect(HELLO);
    let Outcome::Up(link) = Plan::new(0).run_on(next) else {
        panic!("refused")
    };
    up(&master);
    drop(link);
    down(&master);

    // In the middle of a handshake there is no later, but a reason.
    plan.steps[P_INIT].send(&wire).unwrap();
    wire.expect(ACK);
    // What the last link had is closed by another thread.
    until("the last link's descriptors", || num_open() <= before);
    let taken = take_all();
    plan.steps[P_REGION0].send(&wire).unwrap();
    let refusal = wire.expect_refusal();
    drop(taken);
    refusal.says("too many open files");
    drop(Plan::new(0).up(&name));
}

#[test]
fn what_can_t_be_made_for_want_of_descriptors_is_an_error() {
    let _alone = alone();
    let context = context();
    let name = socket();
    let config = || MemifConfig::new(&name).role(Role::Master).queues(2, 2);
    let (mut made, mut last) = (0, String::new());
    for left in 0..40 {
        let mut taken = take_all();
        taken.truncate(taken.len() - left);
        match context.create_interface(config()) {
            Ok(_) => made += 1,
            Err(e) => {
                last = e.to_string();
                assert!(!last.is_empty(), "{left} left");
                // And it has left nothing: not the name either.
                drop(taken);
                let again = context.create_interface(config());
                assert!(again.is_ok(), "{left} left: {last}; then {again:?}");
                continue;
            }
        }
        drop(taken);
    }
    assert!(made > 0 && made < 40, "{made} made; {last}");
}

static HEARD: AtomicU64 = AtomicU64::new(0);

extern "C" fn heard(_: i32) {
    HEARD.fetch_add(1, Ordering::Relaxed);
}

/// Every thread of this process gets a signal again and again, meanwhile.
fn under_signals(work: impl FnOnce()) {
    // Without SA_RESTART: each call that a signal meets ends with EINTR.
    let action = SigAction::new(
        SigHandler::Handler(heard),
        SaFlags::empty(),
        SigSet::empty(),
    );
    // SAFETY: the handler counts, which is all that a handler may do.
    unsafe { sigaction(Signal::SIGUSR1, &action) }.unwrap();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                for task in std::fs::read_dir("/proc/self/task").unwrap() {
                    let tid: i32 = task.unwrap().file_name().to_str().unwrap().parse().unwrap();
                    let pid = std::process::id() as i32;
                    // SAFETY: takes no pointers. A thread that is gone is an error, and no harm.
                    unsafe {
                        nix::libc::syscall(nix::libc::SYS_tgkill, pid, tid, Signal::SIGUSR1 as i32)
                    };
                }
                thread::sleep(Duration::from_micros(100));
            }
        });
        work();
        done.store(true, Ordering::Relaxed);
    });
    assert!(HEARD.load(Ordering::Relaxed) > 0);
}

/// The call comes back by itself, after its time and not before.
fn lasts(what: &str, call: impl FnOnce()) {
    let start = Instant::now();
    call();
    assert!(
        start.elapsed() >= Duration::from_millis(100),
        "{what} ended early"
    );
}

#[test]
fn signals_end_no_call_early_and_with_no_error() {
    let _alone = alone();
    const SHORT: Option<Duration> = Some(Duration::from_millis(100));
    under_signals(|| {
        for role in ROLES {
            let pair = Pair::small(3, 64);
            let (mut to, mut from) = pair.handles(role, 4);
            lasts("wait", || {
                assert_eq!(from.wait(SHORT), Err(Error::TimedOut))
            });
            lasts("read_packet_timeout", || {
                assert_eq!(
                    from.read_packet_timeout(SHORT).map(drop),
                    Err(Error::TimedOut)
                );
            });
            while to.write_packet(b"x").is_ok() {}
            lasts("write_packet_timeout", || {
                assert_eq!(to.write_packet_timeout(b"x", SHORT), Err(Error::TimedOut));
            });
            lasts("flush", || {
                assert_eq!(to.flush(SHORT.unwrap()), Err(Error::TimedOut))
            });
            let lonely = pair
                .slave_context
                .create_interface(MemifConfig::new(socket()));
            lasts("wait_link_up", || {
                assert_eq!(lonely.unwrap().wait_link_up(SHORT), Err(Error::TimedOut))
            });
            for _ in 0..8 {
                assert_eq!(read(&mut from), b"x");
            }
            numbers_cross(to, from);
            pair.master.close();
            down(&pair.slave);
        }
    });
}

/// From thread to thread, both asleep now and then.
fn numbers_cross(mut to: PacketHandle, mut from: PacketHandle) {
    let writer = thread::spawn(move || {
        for n in 0..2000u64 {
            to.write_packet_timeout(&pattern(n, 100), Some(LONG))
                .unwrap();
            if n % 64 == 0 {
                thread::sleep(Duration::from_micros(500));
            }
        }
        to
    });
    for n in 0..2000 {
        assert_same(&read(&mut from), &pattern(n, 100), n);
    }
    writer.join().unwrap();
}

//! A process that may not use `preadv2`, and a peer that makes the eventfds blocking and takes
//! their counts away: no call may wait for it. One test, alone in its process: the filter is for
//! good.

#[cfg(target_arch = "x86_64")]
mod common;

#[cfg(target_arch = "x86_64")]
#[test]
fn without_preadv2_a_peer_that_takes_the_counts_stops_nobody() {
    use std::os::fd::AsFd;
    use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
    use std::time::Duration;

    use common::*;
    use memif::{Eof, Error, MemifConfig, Role};
    use memif_hostile::peer::{LOG2, Plan};
    use nix::fcntl::{FcntlArg, OFlag, fcntl};
    use nix::libc;
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

    forbid(libc::SYS_preadv2);
    let context = context();
    let config = MemifConfig::new(socket()).role(Role::Master);
    let master = context
        .create_interface(config.log2_ring_size(LOG2))
        .unwrap();
    let link = Plan::new(0).up(master.socket());
    up(&master);
    let (done, looks) = (AtomicBool::new(false), AtomicU64::new(0));
    let mut handle = master.packet_handle(0).unwrap();
    // Who polls it must not find it readable for ever, so its events are cleared.
    let _ = handle.as_fd();
    let (told, asked) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        let efd = link.s2m().efd.clone();
        let (done, looks) = (&done, &looks);
        scope.spawn(move || {
            fcntl(&*efd, FcntlArg::F_SETFL(OFlag::empty())).unwrap();
            let mut last = 0;
            while !done.load(Ordering::Relaxed) {
                // One that hangs is left so.
                let now = looks.load(Ordering::Relaxed);
                if now == last {
                    continue;
                }
                last = now;
                nix::unistd::write(&*efd, &1u64.to_ne_bytes()).unwrap();
                (0..now % 300).for_each(|_| std::hint::spin_loop());
                let mut fds = [PollFd::new((*efd).as_fd(), PollFlags::POLLIN)];
                if poll(&mut fds, PollTimeout::ZERO) == Ok(1) {
                    nix::unistd::read(&*efd, &mut [0; 8]).unwrap();
                }
            }
        });
        scope.spawn(move || {
            for n in 0..2000u64 {
                for _ in 0..50 {
                    looks.fetch_add(1, Ordering::Relaxed);
                    assert_eq!(eof(handle.read_packet().map(drop)), Eof::Empty);
                    let waited = handle.wait(Some(Duration::from_nanos(1)));
                    assert!(matches!(waited, Ok(_) | Err(Error::TimedOut)), "{waited:?}");
                }
                told.send(n).unwrap();
                assert_same(&read(&mut handle), &pattern(n, 50), n);
            }
        });
        let all = (0..2000u64).all(|n| {
            let goes_on = asked.recv_timeout(LONG) == Ok(n);
            link.slave_sends(&pattern(n, 50));
            goes_on
        });
        done.store(true, Ordering::Relaxed);
        link.s2m().wake();
        assert!(all, "a call that should not block");
    });
}

/// From now on, in this thread and those it makes, the call fails with EPERM.
#[cfg(target_arch = "x86_64")]
fn forbid(call: i64) {
    use nix::libc::*;
    let load = sock_filter {
        code: (BPF_LD | BPF_W | BPF_ABS) as u16,
        jt: 0,
        jf: 0,
        k: 0,
    };
    let compare = sock_filter {
        code: (BPF_JMP | BPF_JEQ | BPF_K) as u16,
        jt: 0,
        jf: 1,
        k: call as u32,
    };
    let give = |k| sock_filter {
        code: (BPF_RET | BPF_K) as u16,
        jt: 0,
        jf: 0,
        k,
    };
    let fail = give(SECCOMP_RET_ERRNO | EPERM as u32);
    let mut filter = [load, compare, fail, give(SECCOMP_RET_ALLOW)];
    let program = sock_fprog {
        len: filter.len() as u16,
        filter: filter.as_mut_ptr(),
    };
    // SAFETY: the program lives across the call, which copies it.
    unsafe {
        assert_eq!(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
        assert_eq!(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
    }
}

//! How much memory is allocated.

use std::os::unix::process::CommandExt;
use std::process::Command;

/// Starts this program again without malloc's caches of threads, whose blocks count as used: they
/// made the heap grow by some bytes for each process that was killed, while a count of live blocks
/// stayed the same to the byte.
pub(crate) fn without_caches() {
    const NAME: &str = "GLIBC_TUNABLES";
    if std::env::var_os(NAME).is_none() {
        let mut again = Command::new(std::env::current_exe().unwrap());
        again.args(std::env::args_os().skip(1));
        let error = again.env(NAME, "glibc.malloc.tcache_count=0").exec();
        panic!("starting again: {error}");
    }
}

/// Bytes.
pub(crate) fn used() -> usize {
    // SAFETY: takes no pointers.
    let info = unsafe { nix::libc::mallinfo2() };
    info.uordblks + info.hblkhd
}

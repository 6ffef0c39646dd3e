//! Shared memory with forbidden land around it: any access outside a region ends the run.
//!
//! AddressSanitizer knows nothing of mappings. So the linker sends `mmap` and `munmap` here
//! (build.rs), which put gigabytes without access behind each mapping, as far as a descriptor
//! can reach, and forbid the rest of its last page.

use std::ffi::{c_int, c_long, c_void};
use std::ptr;
use std::sync::Mutex;

const PAGE: usize = 4096;
const BEFORE: usize = 1 << 20;
/// A descriptor's offset and length together.
const AFTER: usize = 8 << 30;

/// Address and length of what was mapped here.
static GUARDED: Mutex<Vec<(usize, usize)>> = Mutex::new(Vec::new());

unsafe extern "C" {
    fn __real_mmap(
        addr: *mut c_void,
        len: usize,
        prot: c_int,
        flags: c_int,
        fd: c_int,
        offset: i64,
    ) -> *mut c_void;
    fn __real_munmap(addr: *mut c_void, len: usize) -> c_int;
    fn __asan_poison_memory_region(addr: *const c_void, len: usize);
    fn __asan_unpoison_memory_region(addr: *const c_void, len: usize);
}

/// Past the sanitizer's own `mmap`, which would prepare gigabytes.
unsafe fn map(
    addr: usize,
    len: usize,
    prot: c_int,
    flags: c_int,
    fd: c_int,
    offset: i64,
) -> c_long {
    // SAFETY: the caller's.
    unsafe { libc::syscall(libc::SYS_mmap, addr, len, prot, flags, fd, offset) }
}

/// # Safety
///
/// As `mmap`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap_mmap(
    addr: *mut c_void,
    len: usize,
    prot: c_int,
    flags: c_int,
    fd: c_int,
    offset: i64,
) -> *mut c_void {
    if !addr.is_null() || fd < 0 || flags & libc::MAP_SHARED == 0 || len == 0 || len > 1 << 40 {
        // SAFETY: the caller's.
        return unsafe { __real_mmap(addr, len, prot, flags, fd, offset) };
    }
    let rounded = len.next_multiple_of(PAGE);
    let none = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    // SAFETY: fresh memory; then a mapping of the caller's in the midst of it.
    let at = unsafe {
        let base = map(0, BEFORE + rounded + AFTER, libc::PROT_NONE, none, -1, 0);
        assert!(base != -1, "no room for a guarded mapping of {len} bytes");
        let at = map(
            base as usize + BEFORE,
            len,
            prot,
            flags | libc::MAP_FIXED,
            fd,
            offset,
        );
        if at == -1 {
            libc::syscall(libc::SYS_munmap, base as usize, BEFORE + rounded + AFTER);
            return libc::MAP_FAILED;
        }
        __asan_poison_memory_region(ptr::without_provenance(at as usize + len), rounded - len);
        at as usize
    };
    GUARDED.lock().unwrap().push((at, len));
    ptr::with_exposed_provenance_mut(at)
}

/// # Safety
///
/// As `munmap`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap_munmap(addr: *mut c_void, len: usize) -> c_int {
    let at = addr as usize;
    let mut guarded = GUARDED.lock().unwrap();
    let Some(index) = guarded.iter().position(|&(start, _)| start == at) else {
        drop(guarded);
        // SAFETY: the caller's.
        return unsafe { __real_munmap(addr, len) };
    };
    assert_eq!(
        guarded.swap_remove(index).1,
        len,
        "a mapping is unmapped as it was mapped"
    );
    let rounded = len.next_multiple_of(PAGE);
    // SAFETY: all of it was made by `__wrap_mmap`.
    unsafe {
        __asan_unpoison_memory_region(addr, rounded);
        libc::syscall(libc::SYS_munmap, at - BEFORE, BEFORE + rounded + AFTER) as c_int
    }
}

/// How many mappings there are.
pub(crate) fn mappings() -> usize {
    GUARDED.lock().unwrap().len()
}

//! Functions that the C core calls: events of interfaces, lines for the log.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::mem::MaybeUninit;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::bindings::*;
use super::code::SUCCESS;

/// The events of an interface, on the control thread.
pub(crate) trait ConnEvents: Send + Sync {
    /// The interface's name in the log.
    fn name(&self) -> String;
    fn connected(&self);
    fn disconnected(&self, reason: &str);
    /// An attempt to connect failed. `refused`: the peer said so.
    fn failed(&self, err: i32, refused: bool, reason: &str, peer: &str);
}

/// # Safety
///
/// NULL, or a NUL-terminated string that stays as it is during the call.
pub(super) unsafe fn text(c: *const c_char) -> String {
    if c.is_null() {
        return String::new();
    }
    // SAFETY: the caller's promise.
    unsafe { CStr::from_ptr(c) }.to_string_lossy().into_owned()
}

pub(super) unsafe extern "C" fn log_line(level: c_int, line: *const c_char, _: *mut c_void) {
    // SAFETY: libmemif gives a NUL-terminated line that lives during the call.
    let line = unsafe { text(line) };
    let level = match level as u32 {
        MEMIF_EXT_LOG_ERROR => log::Level::Error,
        MEMIF_EXT_LOG_WARN => log::Level::Warn,
        MEMIF_EXT_LOG_INFO => log::Level::Info,
        _ => log::Level::Debug,
    };
    contained(|| log::log!(target: "memif::core", level, "{line}"));
}

/// Runs `f` so that a panic does not unwind into C, whether it comes from a callback of the program
/// or from its logger. Returns whether there was no panic.
pub(super) fn contained(f: impl FnOnce()) -> bool {
    catch_unwind(AssertUnwindSafe(f)).is_ok()
}

fn guarded(context: *mut c_void, f: impl FnOnce(&dyn ConnEvents)) -> c_int {
    // SAFETY: the pointer that `create` made; freed only after the interface is deleted, and
    // `delete` runs on this thread, not within a callback of the same interface.
    let events = unsafe { &**context.cast::<Box<dyn ConnEvents>>() };
    if !contained(|| f(events)) {
        contained(|| log::error!("{}: a callback panicked", events.name()));
    }
    0
}

pub(super) unsafe extern "C" fn on_connect(_: memif_conn_handle_t, context: *mut c_void) -> c_int {
    guarded(context, |events| events.connected())
}

/// A text of an interface that has no link; empty if it can't be had.
fn detail(conn: memif_conn_handle_t, field: fn(&memif_details_t) -> *mut u8) -> String {
    // Names, path, secret and reason are below a kilobyte; there are no queues without a link.
    let mut memory = [0u64; 256];
    // SAFETY: all fields of this C struct may be zero.
    let mut d: memif_details_t = unsafe { MaybeUninit::zeroed().assume_init() };
    let len = size_of_val(&memory) as isize;
    // SAFETY: libmemif gives its live interface, on the control thread; `memory` has `len`
    // bytes and outlives every use of `d`, which points into it.
    let err = unsafe { memif_get_details(conn, &mut d, memory.as_mut_ptr().cast(), len) };
    if err != SUCCESS {
        return String::new();
    }
    // SAFETY: on success a NUL-terminated string in `memory`.
    unsafe { text(field(&d).cast()) }
}

pub(super) unsafe extern "C" fn on_disconnect(
    conn: memif_conn_handle_t,
    context: *mut c_void,
) -> c_int {
    let reason = detail(conn, |d| d.error);
    guarded(context, |events| events.disconnected(&reason))
}

pub(super) unsafe extern "C" fn on_fail(
    conn: memif_conn_handle_t,
    context: *mut c_void,
    err: c_int,
    refused: c_int,
    reason: *const c_char,
) {
    // SAFETY: libmemif gives a NUL-terminated reason that lives during the call.
    let reason = unsafe { text(reason) };
    let peer = detail(conn, |d| d.remote_inst_name);
    guarded(context, |events| {
        events.failed(err, refused != 0, &reason, &peer);
    });
}

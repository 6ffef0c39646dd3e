//! More tests at once than there are processors: these wait for child processes and their times, and
//! hardly work themselves.

use std::env;
use std::thread::available_parallelism;

/// Called before `main`, which looks at the variable.
#[used]
#[unsafe(link_section = ".init_array")]
static BEFORE_MAIN: extern "C" fn() = set_threads;

extern "C" fn set_threads() {
    const NAME: &str = "RUST_TEST_THREADS";
    if let (None, Ok(processors)) = (env::var_os(NAME), available_parallelism()) {
        // SAFETY: there is no other thread before `main`.
        unsafe { env::set_var(NAME, (2 * processors.get()).to_string()) };
    }
}

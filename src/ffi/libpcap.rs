//! libpcap's compiler of filters, loaded when the first filter is made: programs run without it.

use std::ffi::{CStr, CString, c_char, c_int, c_uint, c_void};
use std::fmt;
use std::ptr::{self, NonNull};
use std::sync::{Mutex, OnceLock, PoisonError};

use libloading::Library;

/// `struct bpf_program`.
#[repr(C)]
struct RawProgram {
    length: c_uint,
    instructions: *mut c_void,
}

/// `struct pcap_pkthdr`.
#[repr(C)]
struct Header {
    time: libc::timeval,
    captured: u32,
    length: u32,
}

/// The functions that are used, as `pcap.h` declares them.
struct Api {
    open_dead: unsafe extern "C" fn(c_int, c_int) -> *mut c_void,
    close: unsafe extern "C" fn(*mut c_void),
    compile: unsafe extern "C" fn(*mut c_void, *mut RawProgram, *const c_char, c_int, u32) -> c_int,
    error: unsafe extern "C" fn(*mut c_void) -> *const c_char,
    free: unsafe extern "C" fn(*mut RawProgram),
    matches: unsafe extern "C" fn(*const RawProgram, *const Header, *const u8) -> c_int,
    /// Older versions keep the compiler's state in globals.
    compiling: Mutex<()>,
}

/// As Debian, others, and developers have it.
const NAMES: [&str; 3] = ["libpcap.so.0.8", "libpcap.so.1", "libpcap.so"];

/// Loaded once, and never unloaded.
fn api() -> Result<&'static Api, String> {
    static API: OnceLock<Result<Api, String>> = OnceLock::new();
    API.get_or_init(|| {
        if cfg!(target_feature = "crt-static") {
            let why = "filters need libpcap, which a static program can't load; \
                       use a build for this system's own C library";
            return Err(why.into());
        }
        let mut problem = String::new();
        for name in NAMES {
            match load(name) {
                Ok(api) => return Ok(api),
                Err(e) => problem = e.to_string(),
            }
        }
        Err(format!(
            "filters need libpcap, which is not installed (Debian: libpcap0.8): {problem}"
        ))
    })
    .as_ref()
    .map_err(Clone::clone)
}

fn load(name: &str) -> Result<Api, libloading::Error> {
    // SAFETY: loading libpcap runs no code that depends on the state of this program.
    let library = unsafe { Library::new(name)? };
    // The functions are called for as long as the program runs.
    let library: &'static Library = Box::leak(Box::new(library));
    // SAFETY: all versions of libpcap since 1.0 have these functions with these types.
    unsafe {
        Ok(Api {
            open_dead: *library.get(b"pcap_open_dead\0")?,
            close: *library.get(b"pcap_close\0")?,
            compile: *library.get(b"pcap_compile\0")?,
            error: *library.get(b"pcap_geterr\0")?,
            free: *library.get(b"pcap_freecode\0")?,
            matches: *library.get(b"pcap_offline_filter\0")?,
            compiling: Mutex::new(()),
        })
    }
}

/// A compiled filter.
pub(crate) struct Program {
    api: &'static Api,
    raw: RawProgram,
}

// SAFETY: the instructions are plain memory that belongs to the program and is not changed.
unsafe impl Send for Program {}
// SAFETY: as above.
unsafe impl Sync for Program {}

impl Program {
    /// For packets of this link type, by libpcap's numbers. What is wrong is said in words.
    pub(crate) fn compile(link_type: i32, expression: &str) -> Result<Self, String> {
        const LONGEST_PACKET: c_int = 262_144;
        let text = CString::new(expression).map_err(|_| "it contains a NUL byte".to_owned())?;
        let api = api()?;
        let _compiling = api.compiling.lock().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: takes numbers alone.
        let handle = unsafe { (api.open_dead)(link_type, LONGEST_PACKET) };
        let handle = NonNull::new(handle).ok_or("out of memory")?;
        let mut raw = RawProgram {
            length: 0,
            instructions: ptr::null_mut(),
        };
        // SAFETY: the handle is open, the others live on, and the text ends with a NUL.
        let code = unsafe { (api.compile)(handle.as_ptr(), &mut raw, text.as_ptr(), 1, 0) };
        let result = if code == 0 {
            Ok(Self { api, raw })
        } else {
            // SAFETY: a string that lasts as long as the handle, which is open.
            let says = unsafe { CStr::from_ptr((api.error)(handle.as_ptr())) };
            Err(says.to_string_lossy().into_owned())
        };
        // SAFETY: open until here, and not used again.
        unsafe { (api.close)(handle.as_ptr()) };
        result
    }

    pub(crate) fn matches(&self, packet: &[u8]) -> bool {
        let length = u32::try_from(packet.len()).unwrap_or(u32::MAX);
        let header = Header {
            time: libc::timeval {
                tv_sec: 0,
                tv_usec: 0,
            },
            captured: length,
            length,
        };
        // SAFETY: the program was compiled, and the packet has as many bytes as the header says.
        unsafe { (self.api.matches)(&self.raw, &header, packet.as_ptr()) != 0 }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // SAFETY: compiled, and not used again.
        unsafe { (self.api.free)(&mut self.raw) }
    }
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Program").field(&self.raw.length).finish()
    }
}

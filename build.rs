//! Compiles the C core; with feature `bindgen`, makes its bindings afresh too.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

const LIBRARY: &str = "vendor/libmemif";

fn main() {
    let include = Path::new(LIBRARY).join("include");
    println!("cargo:rerun-if-changed={LIBRARY}/src");
    println!("cargo:rerun-if-changed={LIBRARY}/include");

    let mut sources: Vec<PathBuf> = fs::read_dir(Path::new(LIBRARY).join("src"))
        .expect("the C sources come with the crate")
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|e| e == "c"))
        .collect();
    sources.sort();

    let mut build = cc::Build::new();
    build
        .files(&sources)
        .include(&include)
        .std("c11")
        .flag_if_supported("-fvisibility=hidden")
        .warnings(true)
        .extra_warnings(true);
    // A musl-gcc beside another libc finds musl's headers alone. The kernel's are the system's.
    if env::var("CARGO_CFG_TARGET_ENV").is_ok_and(|libc| libc == "musl") {
        let machine = env::var("CARGO_CFG_TARGET_ARCH").expect("cargo sets it");
        build.flag("-idirafter/usr/include");
        build.flag(format!("-idirafter/usr/include/{machine}-linux-gnu"));
    }
    // The packet path is here, so debug builds get it optimised too; at level 3 it is slower.
    build.opt_level(2);
    build.compile("memif");

    // For crates that compile C against us.
    if let Ok(dir) = include.canonicalize() {
        println!("cargo:include={}", dir.display());
    }

    #[cfg(feature = "bindgen")]
    make_bindings(&include);
}

/// Into `OUT_DIR`, and with `MEMIF_UPDATE_BINDINGS` set over the committed file too.
#[cfg(feature = "bindgen")]
fn make_bindings(include: &Path) {
    println!("cargo:rerun-if-env-changed=MEMIF_UPDATE_BINDINGS");
    let bindings = bindgen::Builder::default()
        .header(include.join("libmemif_ext.h").display().to_string())
        .clang_arg(format!("-I{}", include.display()))
        .allowlist_function("memif_.*")
        .allowlist_type("memif_.*")
        .allowlist_var("(MEMIF|LIBMEMIF)_.*")
        .blocklist_type("itimerspec|timespec|__time_t|__syscall_slong_t|__ssize_t")
        .raw_line("use libc::itimerspec;")
        .raw_line("type __ssize_t = isize;")
        .use_core()
        .prepend_enum_name(false)
        .derive_default(true)
        .generate()
        .expect("bindgen reads our own headers");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it")).join("bindings.rs");
    bindings
        .write_to_file(&out)
        .expect("OUT_DIR can be written");
    if env::var_os("MEMIF_UPDATE_BINDINGS").is_some() {
        fs::copy(&out, "src/ffi/bindings.rs").expect("the source tree can be written");
    }
}

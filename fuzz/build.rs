//! The C core's mappings go through src/guard.rs.

fn main() {
    for function in ["mmap", "munmap"] {
        println!("cargo:rustc-link-arg-bins=-Wl,--wrap={function}");
    }
}

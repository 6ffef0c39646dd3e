//! What the targets share: a victim that runs the C core, and the raw peer of the tests against it.

use memif as _; // links the C core

#[allow(dead_code, non_camel_case_types, unsafe_op_in_unsafe_fn, clippy::all)] // generated
mod ffi {
    include!("../../src/ffi/bindings.rs");
}

pub mod control;
mod guard;
mod plan;
pub mod rings;
mod victim;

//! Options of the examples.
#![allow(dead_code, unreachable_pub)] // No example needs all of it.

use std::process::exit;

/// The value after `--name`, or the default.
pub fn option(name: &str, default: &str) -> String {
    let mut args = std::env::args().skip_while(|arg| arg != name);
    match (args.next(), args.next()) {
        (Some(_), Some(value)) => value,
        (Some(_), None) => fail(&format!("{name} needs a value")),
        _ => default.to_owned(),
    }
}

/// Whether `--name` is given.
pub fn flag(name: &str) -> bool {
    std::env::args().any(|arg| arg == name)
}

pub fn fail(text: &str) -> ! {
    eprintln!("{text}");
    exit(1)
}

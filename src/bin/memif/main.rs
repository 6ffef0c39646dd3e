//! The `memif` command.

#[allow(dead_code)]
mod pace;
#[allow(dead_code)]
mod print;

fn main() {}

//! The `memif` command as its users run it: child processes, sockets and files in a folder of
//! their own.
//!
//! Nothing here waits by the clock: a test waits for a line, a file, a process's state or its end,
//! with a limit that only a hang reaches.

mod access;
mod bench;
mod bridge;
mod buffer;
mod capture;
mod demo;
mod endings;
mod files;
mod filter;
mod habits;
mod helper;
mod killed;
mod known;
mod lifetime;
mod links;
mod masters;
mod namespace;
mod observe;
mod output;
mod packets;
mod printing;
mod process;
mod refusals;
mod replay;
mod replay_options;
mod respond;
mod restarts;
mod resume;
mod rotation;
mod split;
mod stopped;
mod streams;
mod tcp;
mod terminal;
mod unnoticed;
mod usage;

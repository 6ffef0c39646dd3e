//! Packets as lines, in the words of `tcpdump -n` with nanoseconds.
//!
//! ```text
//! 22:13:20.123456789 ARP, Request who-has 192.0.2.2 tell 192.0.2.1, length 46
//! 22:13:20.146255716 IP 192.0.2.1.40007 > 192.0.2.2.7: Flags [S], seq 1, win 64240, options [mss 1460], length 0
//! ```
//!
//! Differences, each to say more or to keep to one line: VLAN tags are shown always, fragments
//! after the first say where they belong, a protocol without words of its own has its length.
//! What a cut packet lacks is marked by `[|layer]`.
//!
//! The modules of the layers call each other in circles, as protocols nest in each other: IP in GRE
//! in IP. That is meant.

mod app;
mod checksum;
mod color;
mod hex;
mod icmp;
mod ip;
mod json;
mod lines;
mod link;
mod options;
mod printer;
mod sequence;
mod text;
mod time;
mod transport;
mod tunnel;

pub(crate) use lines::Lines;
pub(crate) use options::PrintArgs;
pub use printer::Printer;

#[cfg(test)]
mod tests;
